package tmcd

import (
	"net/netip"
	"slices"

	"hyzer/storage/registry"
)

// caller is who asks, and what follows from it for replies (shared specs, page
// tmcd, section 2.1).
type caller struct {
	node *registry.Node // the virtual node, if one is asked for
	phys *registry.Node // the machine below it, or node itself
	kind *registry.NodeType
	res  *registry.Reservation
	expt *registry.Experiment
	run  *registry.Runtime
	// vnode says that the request names a virtual node. One that comes from
	// its own control address counts as a machine, as in C.
	vnode bool
	// asVNode says that the container itself asks (PROXYFOR), and so sees
	// its ports as plain ones.
	asVNode bool
	local   bool // the machine's type is not remote
	shared  bool // the machine carries nodes of several experiments
	policy  policy
	proven  bool // it showed more than its address
}

// identify finds who asks, or nil. proven is the node whose key was shown, from
// the source address.
func identify(s *registry.Snapshot, h *Head, proven string, from netip.Addr) *caller {
	node, vnode := findNode(s, h, proven, from)
	if node == nil {
		return nil
	}
	w := &caller{node: node, phys: machine(s, node), vnode: vnode, asVNode: vnode && h.ProxyFor, local: true}
	if w.kind = s.Type(node.Type); w.kind == nil {
		w.kind = &registry.NodeType{Name: node.Type}
	}
	if w.kind.Attributes["notmcdinfo"] == "1" {
		return nil
	}
	if t := s.Type(w.phys.Type); t != nil {
		w.local = !t.Remote
	}
	if w.run = s.Runtime(node.ID); w.run == nil {
		w.run = &registry.Runtime{Node: node.ID}
	}
	if below := s.Reservation(w.phys.ID); below != nil {
		w.shared = below.Sharing != ""
	}
	if w.res = s.Reservation(node.ID); w.res != nil {
		w.expt = s.Experiment(w.res.Experiment)
	}
	return w
}

// findNode applies the four ways to be known, in their order. A node that has
// proven who it is needs no known address.
func findNode(s *registry.Snapshot, h *Head, proven string, from netip.Addr) (node *registry.Node, vnode bool) {
	switch {
	case h.VNode != "":
		node = s.Node(h.VNode)
		if node == nil || !maySpeakFor(s, h, proven, node, from) {
			return nil, false
		}
		return node, node.Host != "" && node.Host != node.ID
	case h.PrivKey != "":
		return s.NodeByWideAreaKey(h.PrivKey), false
	case h.IDKey != "":
		return s.NodeByExternalKey(h.IDKey), false
	}
	port, ok := s.NodeByIP(from)
	if !ok || port.Interface.Role != registry.InterfaceControl {
		return s.Node(proven), false
	}
	return port.Node, false
}

// maySpeakFor says whether the asker may name this virtual node.
func maySpeakFor(s *registry.Snapshot, h *Head, proven string, node *registry.Node, from netip.Addr) bool {
	if h.IDKey != "" && s.NodeByExternalKey(h.IDKey) == node {
		return true
	}
	host := machine(s, node)
	if proven != "" && (proven == node.ID || proven == host.ID) {
		return true
	}
	if h.PrivKey != "" && s.NodeByWideAreaKey(h.PrivKey) == host {
		return true
	}
	if node.JailIP.IsValid() && node.JailIP == from {
		return true
	}
	port, ok := s.NodeByIP(from)
	return ok && port.Node == host && port.Interface.Role == registry.InterfaceControl
}

// machine is the hardware a node runs on.
func machine(s *registry.Snapshot, node *registry.Node) *registry.Node {
	if node.Host == "" {
		return node
	}
	if host := s.Node(node.Host); host != nil {
		return host
	}
	return node
}

// mayRedirect says whether REDIRECT= is believed: only from the appliance
// itself.
func mayRedirect(s *registry.Snapshot, from netip.Addr) bool {
	boss := s.Site().BossIP
	return from == netip.AddrFrom4([4]byte{127, 0, 0, 1}) || from == netip.IPv6Loopback() ||
		boss.IsValid() && from == boss
}

func (w *caller) allocated() bool { return w.expt != nil }

// nickname is the node's name in its experiment.
func (w *caller) nickname() string {
	if w.res != nil && w.res.VName != "" {
		return w.res.VName
	}
	return w.node.ID
}

func (w *caller) tainted(taint string) bool { return slices.Contains(w.run.Taints, taint) }

// Ways to mount home directories (nfsmounts).
const (
	mountsNone        = "none"
	mountsGeniDefault = "genidefault"
)

// nfsMounts is the way in effect for this node.
func (w *caller) nfsMounts() string {
	switch {
	case !w.allocated() || w.expt.NFSMounts == mountsNone:
		return mountsNone
	case w.run.NFSMounts != "":
		return w.run.NFSMounts
	}
	return w.expt.NFSMounts
}
