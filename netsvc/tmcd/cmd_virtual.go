package tmcd

import (
	"strconv"

	"hyzer/storage/registry"
)

// Kinds of virtual ports.
const (
	virtAlias = "alias"
	virtLoop  = "loop"
	virtVeth  = "veth"
	virtPlain = "veth-ne" // veth without encapsulation
	virtVLAN  = "vlan"
)

// virtualLines shows the host's virtual ports that belong to the asker; alias
// ones come last.
func (c *call) virtualLines() {
	var aliases []*registry.VirtInterface
	for i := range c.who.phys.Virtual {
		p := &c.who.phys.Virtual[i]
		if p.VNode != "" && (!c.who.vnode || p.VNode != c.who.node.ID) {
			continue
		}
		switch {
		case p.Type == virtAlias:
			aliases = append(aliases, p)
		case c.who.asVNode:
			c.plainLine(p)
		case c.v(27) || c.v(10) && isVeth(p):
			c.virtualLine(p)
		}
	}
	if !c.v(40) {
		return
	}
	for _, p := range aliases {
		c.virtualLine(p)
	}
}

func (c *call) plainLine(p *registry.VirtInterface) {
	c.writePort(port{kind: "any", mac: p.MAC.Hex(), lan: c.lanName(p.LanIndex), ip: p.IP, mask: p.Mask,
		speedMbps: 100, duplex: "full"})
}

func (c *call) virtualLine(p *registry.VirtInterface) {
	kind, tag := c.virtualKind(p)
	if c.v(16) {
		c.str("INTERFACE ")
	}
	c.str("IFACETYPE=", kind, " INET=", addr(p.IP), " MASK=", addr(p.Mask), " ID=", strconv.Itoa(p.Unit))
	c.str(" VMAC=", p.MAC.Hex(), " PMAC=", c.parentMAC(p.Parent))
	if c.v(14) {
		c.str(" RTABID=", strconv.Itoa(p.RouteTab))
	}
	if c.v(15) {
		c.str(" ENCAPSULATE=", zeroOne(p.Type == virtVeth))
	}
	if c.v(17) {
		c.str(" LAN=", c.lanName(p.LanIndex))
	}
	if c.v(20) {
		c.str(" VTAG=", strconv.Itoa(tag))
	}
	if c.v(44) {
		c.str(" MTU=")
	}
	c.str("\n")
}

func isVeth(p *registry.VirtInterface) bool { return p.Type == virtVeth || p.Type == virtPlain }

// virtualKind is the type and tag as clients see them: a vlan with no port
// below it never leaves the host, and is a loop.
func (c *call) virtualKind(p *registry.VirtInterface) (kind string, tag int) {
	switch {
	case p.Type == virtVLAN && p.Parent == "":
		return virtLoop, p.LanIndex
	case isVeth(p):
		return virtVeth, p.LanIndex
	case p.Type == virtVLAN:
		return virtVLAN, c.vlanTag(p)
	}
	return p.Type, 0
}

// vlanTag looks in the experiment that the port belongs to, which on a shared
// host is not always the asker's.
func (c *call) vlanTag(p *registry.VirtInterface) int {
	expt := c.who.expt
	if p.Experiment != "" {
		if e := c.snap.Experiment(p.Experiment); e != nil {
			expt = e
		}
	}
	for i := range expt.VLANs {
		if expt.VLANs[i].ID == p.VLAN {
			return expt.VLANs[i].Tag
		}
	}
	return 0
}

func (c *call) lanName(index int) string {
	for i := range c.who.expt.Lans {
		if index != 0 && c.who.expt.Lans[i].Index == index {
			return c.who.expt.Lans[i].Name
		}
	}
	return ""
}

func (c *call) parentMAC(name string) string {
	for i := range c.who.phys.Interfaces {
		if p := &c.who.phys.Interfaces[i]; name != "" && p.Name == name {
			return p.MAC.Hex()
		}
	}
	return "none"
}
