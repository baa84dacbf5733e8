package tmcd

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"

	"hyzer/storage/registry"
)

// hostLine is one member's port on one lan.
type hostLine struct {
	lan    string
	member *registry.LanMember
	alias  bool // also answers to the bare node name
}

// runHostnames is the experiment's /etc/hosts as this node sees it: one line
// per member and lan, sorted by member and lan, last first.
func runHostnames(c *call) {
	lines := c.hostLines()
	c.giveAliases(lines)
	for _, l := range lines {
		ip := l.member.IP
		if l.member.Protocol == "ipv4" {
			ip = c.controlIP(l.member.VNode)
		}
		alias := " "
		if l.alias {
			alias = l.member.VNode
		}
		name, number := l.member.VNode, strconv.Itoa(l.member.Port)
		if c.v(3) {
			c.str("NAME=", name, "-", l.lan, " IP=", addr(ip), " ALIASES='", name, "-", number, " ", alias, "'\n")
		} else {
			c.str("NAME=", name, " LINK=", number, " IP=", addr(ip), " ALIAS=", alias, "\n")
		}
	}
}

func (c *call) hostLines() []hostLine {
	var lines []hostLine
	for i := range c.who.expt.Lans {
		lan := &c.who.expt.Lans[i]
		for m := range lan.Members {
			lines = append(lines, hostLine{lan: lan.Name, member: &lan.Members[m]})
		}
	}
	slices.SortStableFunc(lines, func(a, b hostLine) int {
		return cmp.Or(cmp.Compare(a.member.VNode, b.member.VNode), cmp.Compare(a.lan, b.lan))
	})
	slices.Reverse(lines)
	return lines
}

// giveAliases picks, for each member, the line that gets its bare name: its
// first one on a lan shared with the asker; for the asker itself port 0; for
// one that is not directly connected its first.
func (c *call) giveAliases(lines []hostLine) {
	asker := c.who.nickname()
	shared := map[string]bool{}
	for _, l := range lines {
		if l.member.VNode == asker {
			shared[l.lan] = true
		}
	}
	connected := map[string]bool{}
	for _, l := range lines {
		connected[l.member.VNode] = connected[l.member.VNode] || shared[l.lan]
	}
	named := map[string]bool{}
	for i := range lines {
		l := &lines[i]
		name := l.member.VNode
		switch {
		case name == asker:
			l.alias = l.member.Port == 0
		case connected[name]:
			l.alias = shared[l.lan] && !named[name]
		default:
			l.alias = !named[name]
		}
		named[name] = named[name] || l.alias
	}
}

// controlIP is the control address of the node that plays a virtual one.
func (c *call) controlIP(vname string) netip.Addr {
	for _, id := range c.snap.Members(c.who.res.Experiment) {
		res, node := c.snap.Reservation(id), c.snap.Node(id)
		if res != nil && res.VName == vname && node != nil {
			return node.ControlIP()
		}
	}
	return netip.Addr{}
}

// Types of routing.
const (
	routerNone   = "none"
	routerStatic = "static"
)

// runRouting lists the node's routes. From version 19 on nodes compute static
// routes themselves.
func runRouting(c *call) {
	c.str("ROUTERTYPE=", c.routerType(), "\n")
	if c.routerType() == routerStatic && c.v(19) {
		return
	}
	for i := range c.who.expt.Routes {
		r := &c.who.expt.Routes[i]
		if r.VNode != c.who.nickname() {
			continue
		}
		c.str("ROUTE DEST=", addr(destination(r)), " DESTTYPE=", r.DestType, " DESTMASK=", addr(r.Mask),
			" NEXTHOP=", addr(r.NextHop), " COST=", strconv.Itoa(r.Cost))
		if c.v(12) {
			c.str(" SRC=", addr(r.Src))
		}
		c.str("\n")
	}
}

// runRouteList is routing in one piece for the machine and its virtual nodes.
func runRouteList(c *call) {
	c.str("ROUTERTYPE=", c.routerType(), "\n")
	if c.routerType() == routerStatic {
		return
	}
	names := map[string]bool{c.who.nickname(): true}
	for _, id := range c.snap.Guests(c.who.node.ID) {
		if res := c.snap.Reservation(id); res != nil && res.Experiment == c.who.res.Experiment {
			names[res.VName] = true
		}
	}
	for i := range c.who.expt.Routes {
		if r := &c.who.expt.Routes[i]; names[r.VNode] {
			c.str("ROUTE NODE=", r.VNode, " SRC=", addr(r.Src), " DEST=", addr(destination(r)), " DESTTYPE=", r.DestType,
				" DESTMASK=", addr(r.Mask), " NEXTHOP=", addr(r.NextHop), " COST=", strconv.Itoa(r.Cost), "\n")
		}
	}
}

func (c *call) routerType() string {
	return cmp.Or(c.who.run.RouterType, routerNone)
}

// destination of a net route is its first address.
func destination(r *registry.Route) netip.Addr {
	if r.DestType != "net" || !r.Dest.Is4() || !r.Mask.Is4() {
		return r.Dest
	}
	dest, mask := r.Dest.As4(), r.Mask.As4()
	for i := range dest {
		dest[i] &= mask[i]
	}
	return netip.AddrFrom4(dest)
}
