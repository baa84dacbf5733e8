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
	if p.Autoneg {
		line.speedMbps = 0
	}
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
