package dhcp

import "net/netip"

// fixed returns the client's reserved address, if it has one on this subnet.
func (t *turn) fixed() (netip.Addr, bool) {
	return t.res.IP, t.known && t.res.IP.Is4() && t.subnet.usable(t.res.IP)
}

// heldByOther reports whether the lease of somebody else keeps a reserved
// address from its owner. Another card of the same node does not.
func (t *turn) heldByOther(ip netip.Addr) bool {
	b := t.table.find(ip)
	if !b.live(t.now) || b.state != bindingLeased || b.client == t.client {
		return false
	}
	return b.node == "" || b.node != t.res.Node
}

// choose finds the address this client gets here, and why it gets none.
func (t *turn) choose() (netip.Addr, Reason) {
	if ip, ok := t.fixed(); ok {
		if t.heldByOther(ip) {
			return netip.Addr{}, ReasonHeldByOther
		}
		return ip, ReasonReserved
	}
	if !t.subnet.HasPool() {
		if t.known {
			return netip.Addr{}, ReasonReservedElsewhere
		}
		return netip.Addr{}, ReasonUnknownClient
	}
	return t.chooseDynamic()
}

// chooseDynamic: the present binding, the previous one if free, the address
// asked for if free, a new one (RFC 2131 §4.3.1).
func (t *turn) chooseDynamic() (netip.Addr, Reason) {
	if b := t.table.ofClient(t.client, t.subnet); b != nil {
		if ip := addrOf(b.ip); b.client == t.client && t.available(ip) {
			return ip, ReasonPool
		}
	}
	if ip, ok := t.p.AddrOption(OptRequestedAddress); ok && t.available(ip) {
		return ip, ReasonPool
	}
	if t.table.full() {
		return netip.Addr{}, ReasonBusy
	}
	if ip, ok := t.table.freeIn(t.subnet, t.client, t.dir, t.now); ok {
		return ip, ReasonPool
	}
	return netip.Addr{}, ReasonPoolEmpty
}

func (t *turn) available(ip netip.Addr) bool {
	return t.table.available(ip, t.subnet, t.client, t.dir, t.now)
}
