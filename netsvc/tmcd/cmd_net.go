package tmcd

import (
	"maps"
	"net/netip"
	"slices"
	"strconv"

	"hyzer/storage/registry"
)

// runIfconfig lists the experiment's ports in the groups and the order of the
// specs, page tmcd, section 4.1. Within a group the order is the stored one.
func runIfconfig(c *call) {
	if !c.who.vnode {
		for i := range c.who.node.Interfaces {
			if p := &c.who.node.Interfaces[i]; experimentPort(p) && p.IP.IsValid() {
				c.portLine(p)
			}
		}
		c.sharedLanLine()
		c.portSettings()
		if c.v(18) {
			c.parentLines()
		}
	}
	c.virtualLines()
}

func experimentPort(p *registry.Interface) bool {
	return p.Role == registry.InterfaceExperiment && p.Type != "P2PLTE"
}

// port is one line about a physical port, or one shown as such.
type port struct {
	kind, mac, iface, rtab, lan, mtu, duplex string
	ip, mask                                 netip.Addr
	speedMbps                                int
}

func (c *call) writePort(p port) {
	if c.v(16) {
		c.str("INTERFACE IFACETYPE=", p.kind)
	} else {
		c.str("IFACETYPE=eth")
	}
	c.str(" INET=", addr(p.ip), " MASK=", addr(p.mask), " MAC=", p.mac)
	c.str(" SPEED=", strconv.Itoa(p.speedMbps), "Mbps DUPLEX=", p.duplex)
	if c.v(8) && !c.v(27) {
		c.str(` IPALIASES=""`)
	}
	if c.v(11) {
		c.str(" IFACE=", p.iface)
	}
	if c.v(14) {
		c.str(" RTABID=", p.rtab)
	}
	if c.v(17) {
		c.str(" LAN=", p.lan)
	}
	if c.v(44) {
		c.str(" MTU=", p.mtu)
	}
	c.str("\n")
}

func (c *call) portLine(p *registry.Interface) {
	lan, member := c.lanOf(p.IP)
	line := port{kind: p.Type, mac: p.MAC.Hex(), rtab: strconv.Itoa(p.RouteTab), lan: lan,
		ip: p.IP, mask: p.Mask, speedMbps: speed(p.SpeedMbps), duplex: p.Duplex}
	if c.who.kind.Class == "ixp" {
		line.iface = p.Name
	}
	line.mtu = c.mtu(line.speedMbps, member)
	c.writePort(line)
}

func speed(mbps int) int {
	if mbps == 0 {
		return 100
	}
	return mbps
}

// lanOf finds the lan on which the asker has an address.
func (c *call) lanOf(ip netip.Addr) (string, *registry.LanMember) {
	for i := range c.who.expt.Lans {
		lan := &c.who.expt.Lans[i]
		for m := range lan.Members {
			if lan.Members[m].IP == ip && lan.Members[m].VNode == c.who.nickname() {
				return lan.Name, &lan.Members[m]
			}
		}
	}
	return "", nil
}

func (c *call) mtu(speedMbps int, member *registry.LanMember) string {
	jumbo := c.snap.Site().Vars["general/allowjumboframes"] == "1" && speedMbps >= 10000 && member != nil && member.Jumbo
	if jumbo || speedMbps >= 50000 {
		return "9000"
	}
	return ""
}

// sharedLanLine shows a port that node attributes describe.
func (c *call) sharedLanLine() {
	attr := c.who.node.Attributes
	ip, err := netip.ParseAddr(attr["shared_lan_ip"])
	if err != nil {
		return
	}
	mask, _ := netip.ParseAddr(attr["shared_lan_mask"])
	mbps, _ := strconv.Atoi(attr["shared_lan_speed"])
	c.writePort(port{kind: "ixgbe", mac: attr["shared_lan_mac"], rtab: "0", lan: "shared_lan_0",
		ip: ip, mask: mask, speedMbps: speed(mbps), duplex: "full", mtu: attr["shared_lan_mtu"]})
}

func (c *call) portSettings() {
	if !c.v(16) {
		return
	}
	for i := range c.who.node.Interfaces {
		p := &c.who.node.Interfaces[i]
		for _, key := range slices.Sorted(maps.Keys(p.Settings)) {
			c.str("INTERFACE_SETTING MAC=", p.MAC.Hex(), " KEY='", key, "' VAL='", p.Settings[key], "'\n")
		}
	}
}

// parentLines shows ports in use that carry no address of their own.
func (c *call) parentLines() {
	for i := range c.who.node.Interfaces {
		p := &c.who.node.Interfaces[i]
		if experimentPort(p) && !p.IP.IsValid() && p.SpeedMbps != 0 {
			c.writePort(port{kind: p.Type, mac: p.MAC.Hex(), speedMbps: p.SpeedMbps, duplex: p.Duplex,
				mtu: c.mtu(p.SpeedMbps, nil)})
		}
	}
}

// Kinds of virtual ports.
const (
	virtAlias = "alias"
	virtLoop  = "loop"
	virtVeth  = "veth"
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
		case c.v(27) || c.v(10) && p.Type == virtVeth:
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
		c.str(" ENCAPSULATE=", zeroOne(kind == virtVeth))
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

// virtualKind is the type and tag as clients see them: a vlan with no port
// below it never leaves the host, and is a loop.
func (c *call) virtualKind(p *registry.VirtInterface) (kind string, tag int) {
	switch {
	case p.Type == virtVLAN && p.Parent == "":
		return virtLoop, p.LanIndex
	case p.Type == virtVeth:
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
