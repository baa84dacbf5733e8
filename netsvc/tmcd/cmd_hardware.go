package tmcd

import (
	"cmp"
	"strconv"
	"time"
)

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

// runHWInfo says what hardware to expect, for the node checker. What the
// registry does not know of a node is left out.
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
	c.hardDisks()
	ports := c.who.node.Interfaces
	c.str("NETINFO UNITS=", strconv.Itoa(len(ports)), "\n")
	for i := range ports {
		c.str(`NETUNIT TYPE="ETH" ID="`, ports[i].MAC.Hex(), "\"\n")
	}
}

const sectorBytesUsual = 512

func (c *call) hardDisks() {
	disks := c.who.node.HardDisks
	if len(disks) == 0 {
		return
	}
	c.str("DISKINFO UNITS=", strconv.Itoa(len(disks)), "\n")
	for _, d := range disks {
		c.str(`DISKUNIT SN="`, d.Serial, `" TYPE="`, d.Type, `" SECSIZE=`, strconv.Itoa(cmp.Or(d.SectorBytes, sectorBytesUsual)), " SIZE=", d.Size, "\n")
	}
}

// runHWCollect says what a node shall find out of its hardware, if that is due.
// Sites that collect nothing say nothing.
func runHWCollect(c *call) {
	collect := &c.snap.Site().HWCollect
	if collect.OutDir == "" || c.who.vnode {
		return
	}
	now := c.h.Now()
	if last := c.who.run.Collected; !last.IsZero() && now.Sub(last) < time.Duration(collect.IntervalHours)*time.Hour {
		c.str("COLLECT=0\n")
		return
	}
	c.effect(HostReport{Node: c.who.node.ID, Collected: now.UTC()})
	c.str("COLLECT=1\nOUTDIR=", collect.OutDir, "\nPREFIX=", c.who.node.ID, "\n")
	for _, command := range collect.Commands {
		c.str("OS=", command.OS, " NAME=", command.Name, ` CMDLINE="`, command.Line, "\"\n")
	}
}

// number is a site variable's value as C reads it: what is none is 0.
func number(value string) string {
	n, _ := strconv.Atoi(value)
	return strconv.Itoa(n)
}
