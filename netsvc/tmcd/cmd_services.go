package tmcd

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"hyzer/storage/registry"
)

// roleSubboss is the role of a reserved node that serves others in the
// appliance's place.
const roleSubboss = "subboss"

// runNTPInfo names time sources, and the drift the node reported last.
func runNTPInfo(c *call) {
	for _, s := range c.who.node.NTP {
		if s.Type == "peer" {
			c.str("PEER=", s.Address, "\n")
		} else {
			c.str("SERVER=", s.Address, "\n")
		}
	}
	if len(c.who.node.NTP) == 0 && c.who.local {
		c.str("SERVER=ntp1.", c.snap.Site().Domain, "\n")
	}
	if drift := c.who.run.NTPDrift; drift != "" {
		c.str("DRIFT=", drift, "\n")
	}
}

// runServiceInfo says who serves this node: the appliance or a subboss.
func runServiceInfo(c *call) {
	sub := c.who.node.Subbosses
	c.str("TFTP=", cmp.Or(sub["tftp"], "boss"), " DHCP=", cmp.Or(sub["dhcp"], "boss"),
		" FRISBEE=", cmp.Or(sub["frisbee"], "boss"), " PUBSUB=", cmp.Or(sub["pubsub"], "boss"), "\n")
}

// runSubbossInfo gives a subboss the attributes of the services that it is to
// run, and how often frisbee clients shall report to it.
func runSubbossInfo(c *call) {
	if c.who.res == nil || c.who.res.Role != roleSubboss {
		return
	}
	for _, service := range slices.Sorted(maps.Keys(c.who.node.ServiceAttrs)) {
		attrs := c.who.node.ServiceAttrs[service]
		c.str(service)
		for _, key := range slices.Sorted(maps.Keys(attrs)) {
			c.str(" ", key, `="`, attrs[key], `"`)
		}
		if service == "frisbee" {
			c.str(` clientreport="`, number(c.snap.Site().Vars[siteVarLoadBeat]), `"`)
		}
		c.str("\n")
	}
}

// runDHCPDConf gives a subboss the machines that it serves by DHCP.
func runDHCPDConf(c *call) {
	if c.who.res == nil || c.who.res.Role != roleSubboss {
		return
	}
	for _, node := range c.snap.Nodes() {
		if node.Subbosses["dhcp"] != c.who.node.ID {
			continue
		}
		for i := range node.Interfaces {
			if p := &node.Interfaces[i]; p.Role == registry.InterfaceControl {
				c.dhcpHost(node, p)
			}
		}
	}
}

func (c *call) dhcpHost(node *registry.Node, p *registry.Interface) {
	c.str("HOSTNAME=", node.ID, " MAC=", p.MAC.Hex(), " IP=", addr(p.IP))
	c.dhcpExperiment(node)
	for _, service := range []struct{ key, name string }{{"TFTP", "tftp"}, {"BOOTINFO", "bootinfo"}} {
		if sub := c.snap.Node(node.Subbosses[service.name]); sub != nil {
			c.str(" ", service.key, "=", addr(sub.ControlIP()))
		}
	}
	if boot := c.snap.Boot(node.ID); boot != nil {
		if path := cmp.Or(boot.NextPXEPath, boot.PXEPath, node.BootPath); path != "" {
			c.str(` FILENAME="`, path, `"`)
		}
	}
	c.str("\n")
}

// dhcpExperiment says what the node's experiment does with its boot.
func (c *call) dhcpExperiment(node *registry.Node) {
	res := c.snap.Reservation(node.ID)
	if res == nil {
		return
	}
	if res.InnerBoot {
		c.str(" INNER_ELAB_BOOT=1 INNER_ELAB_ROLE=", res.InnerRole)
	}
	if e := c.snap.Experiment(res.Experiment); e != nil && e.SingleNet {
		c.str(" SINGLENET=1")
	}
	if res.PlabBoot {
		c.str(" PLAB_BOOT=1")
	}
}

const serviceNameBytesMax = 64

// runPortRegister looks up where a service of the experiment listens, or, with
// a port, says that it listens here; port 0 takes that back.
func runPortRegister(c *call) {
	words := c.words()
	if !c.who.allocated() || len(words) == 0 || len(words[0]) > serviceNameBytesMax || !every(words[0], isNameByte) {
		return
	}
	if len(words) == 1 {
		c.lookupPort(words[0])
		return
	}
	port, err := strconv.ParseUint(words[1], 10, 16)
	if err == nil {
		c.effect(PortRegistration{Node: c.who.node.ID, Experiment: c.who.res.Experiment, Service: words[0], Port: int(port)})
	}
}

func (c *call) lookupPort(service string) {
	for _, id := range c.snap.Members(c.who.res.Experiment) {
		run := c.snap.Runtime(id)
		if run == nil {
			continue
		}
		if port, ok := run.Services[service]; ok {
			c.str("PORT=", strconv.Itoa(port), " NODEID=", id, ".", c.snap.Site().Domain, "\n")
			return
		}
	}
}

// runJailConfig tells the host how to make a virtual node.
func runJailConfig(c *call) {
	if !c.who.vnode {
		return
	}
	eventServer := "EVENTSERVER=\"event-server." + c.snap.Site().Domain + "\"\n"
	if !c.who.node.Jailed && c.who.expt.GeniFlags != 0 {
		c.str(eventServer)
		return
	}
	for i := range c.who.node.Interfaces {
		if p := &c.who.node.Interfaces[i]; p.Role == registry.InterfaceControl {
			c.str(`JAILIP="`, addr(p.IP), ",", addr(p.Mask), "\"\nCTRLMAC=\"", p.MAC.Hex(), "\"\n")
		}
	}
	if e := c.who.expt; e.PortFirst != 0 {
		c.str(`PORTRANGE="`, strconv.Itoa(e.PortFirst), ",", strconv.Itoa(e.PortLast), "\"\n")
	}
	c.str("SSHDPORT=", strconv.Itoa(c.who.node.SSHDPort), "\n")
	for _, key := range []string{"SYSVIPC", "INETRAW", "BPFRO", "INADDRANY", "IPFW", "IPDIVERT", "ROUTING", "DEVMEM"} {
		c.str(key, "=1\n")
	}
	c.str("ELABINELAB=", zeroOne(c.who.expt.ElabInElab), "\n", eventServer)
	c.jailAddresses()
	c.jailImage()
}

func (c *call) jailAddresses() {
	list := ""
	for i := range c.who.phys.Virtual {
		if p := &c.who.phys.Virtual[i]; p.VNode == c.who.node.ID && p.IP.IsValid() {
			if list != "" {
				list += ","
			}
			list += p.IP.String()
		}
	}
	c.str(`IPADDRS="`, list, "\"\n")
}

func (c *call) jailImage() {
	if image, _ := c.loadedImage(); image != nil {
		c.str(`IMAGENAME="`, image.Project, ",", image.GroupID(), ",", image.Name, "\"\n")
	}
}
