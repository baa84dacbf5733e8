package tmcd

import "strconv"

// runIntfcMap lists the hardware addresses of all nodes named pc*.
func runIntfcMap(c *call) {
	for _, node := range c.snap.Nodes() {
		if len(node.ID) < 2 || node.ID[:2] != "pc" || len(node.Interfaces) == 0 {
			continue
		}
		c.str(node.ID)
		for i := range node.Interfaces {
			c.str(" ", node.Interfaces[i].MAC.Hex())
		}
		c.str("\n")
	}
}

// runHWInfo says what hardware to expect, for the node checker. Disks are not
// in the registry and are left out, as for a type that describes none.
func runHWInfo(c *call) {
	if c.who.vnode {
		return
	}
	vars := c.snap.Site().Vars
	c.str(`TESTINFO LOGDIR="" COLLECT=`, number(vars["nodecheck/collect"]), " CHECK=", number(vars["nodecheck/check"]), "\n")
	if cores := c.attribute("hw_cpu_cores", ""); cores != "" {
		c.str("CPUINFO CORES=", cores, "\n")
	}
	if size := c.attribute("hw_mem_size", ""); size != "" {
		c.str("MEMINFO SIZE=", size, "\n")
	}
	ports := c.who.node.Interfaces
	c.str("NETINFO UNITS=", strconv.Itoa(len(ports)), "\n")
	for i := range ports {
		c.str(`NETUNIT TYPE="ETH" ID="`, ports[i].MAC.Hex(), "\"\n")
	}
}

// number is a site variable's value as C reads it: what is none is 0.
func number(value string) string {
	n, _ := strconv.Atoi(value)
	return strconv.Itoa(n)
}
