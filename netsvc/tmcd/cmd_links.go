package tmcd

import (
	"strconv"

	"hyzer/storage/registry"
)

// Links that are not of plain ports.

// runBridges lists the ports that the node joins.
func runBridges(c *call) {
	for _, b := range c.who.node.Bridges {
		c.str("BRIDGE IDX=", strconv.Itoa(b.Index), " IFACE=", c.shapedMAC(b.Port, 0), " VNODE=", b.VNode, " LINKNAME=", b.Link, "\n")
	}
}

// runTunnels lists the node's own ends of IP tunnels. A container sees them as
// ports.
func runTunnels(c *call) {
	if c.who.asVNode {
		return
	}
	for i := range c.who.expt.IPTunnels {
		tunnel := &c.who.expt.IPTunnels[i]
		for _, m := range tunnel.Members {
			if m.Node != c.who.node.ID {
				continue
			}
			for _, a := range m.Attributes {
				c.str("TUNNEL=", strconv.Itoa(tunnel.ID), " MEMBER=", strconv.Itoa(m.ID), " KEY='", a.Name, "' VALUE='", a.Value, "'\n")
			}
		}
	}
}

// runTraceInfo lists the links that the node listens on.
func runTraceInfo(c *call) {
	for i := range c.who.node.Traces {
		t := &c.who.node.Traces[i]
		c.str("TRACE LINKNAME=", t.Link, " IDX=", strconv.Itoa(t.Index),
			" MAC0=", c.shapedMAC(t.Ports[0], 0), " MAC1=", c.shapedMAC(t.Ports[1], 0), " VNODE=", t.VNode, " VNODE_MAC=", c.endMAC(t),
			" TRACE_TYPE=", t.Type, " TRACE_EXPR='", t.Expr, "' TRACE_SNAPLEN=", strconv.Itoa(t.SnapLen), "\n")
	}
}

// endMAC is the hardware address at the virtual node's end of a traced link.
func (c *call) endMAC(t *registry.Trace) string {
	node := c.memberNamed(t.VNode)
	if node == nil || t.VNode == "" {
		return ""
	}
	for i := range c.who.expt.Lans {
		lan := &c.who.expt.Lans[i]
		member := memberOf(lan, t.VNode)
		if lan.Name != t.Link || member == nil || !member.IP.IsValid() {
			continue
		}
		for k := range node.Interfaces {
			if node.Interfaces[k].IP == member.IP {
				return node.Interfaces[k].MAC.Hex()
			}
		}
	}
	return ""
}
