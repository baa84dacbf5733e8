package dhcp

import "net/netip"

// request tells the four kinds of REQUEST apart (RFC 2131 §4.3.2, table 4).
func (t *turn) request() Decision {
	_, hasServer := t.p.Option(OptServerID)
	asked, hasAsked := t.p.AddrOption(OptRequestedAddress)
	ciaddr := t.p.CIAddr()
	switch {
	case hasServer && !t.namesUs():
		return t.otherServer()
	case !ciaddr.IsUnspecified():
		// With option 54 or 50 beside ciaddr the client breaks the table, but
		// there is only one thing it can mean.
		return t.renew(ciaddr)
	case !hasAsked:
		return t.silent(ReasonNoAddress)
	case hasServer:
		return t.selecting(asked)
	}
	return t.initReboot(asked)
}

// otherServer: the client took another server's offer; ours is free again.
func (t *turn) otherServer() Decision {
	d := t.silent(ReasonOtherServer)
	b := t.table.ofClient(t.client, t.subnet)
	if b != nil && b.state == bindingOffered && b.heldBy(t.client, t.now) {
		d.Change = Change{Kind: ChangeWithdraw, IP: addrOf(b.ip), Client: t.client}
	}
	return d
}

func (t *turn) selecting(asked netip.Addr) Decision {
	if reason, ok := t.entitled(asked); !ok {
		return t.nak(reason)
	} else {
		return t.bind(asked, reason)
	}
}

// entitled reports whether the client may have exactly this address now.
func (t *turn) entitled(ip netip.Addr) (Reason, bool) {
	if fixed, ok := t.fixed(); ok {
		switch {
		case ip != fixed:
			return ReasonOtherAddress, false
		case t.heldByOther(ip):
			return ReasonHeldByOther, false
		}
		return ReasonReserved, true
	}
	if b := t.table.ofClient(t.client, t.subnet); b.heldBy(t.client, t.now) && addrOf(b.ip) != ip && t.available(addrOf(b.ip)) {
		return ReasonOtherAddress, false
	}
	if !t.available(ip) {
		return ReasonNotAvailable, false
	}
	return ReasonPool, true
}

// initReboot: the client remembers an address. Say no only if we know better;
// stay silent about clients that may be another server's.
func (t *turn) initReboot(asked netip.Addr) Decision {
	if !t.ours(asked) {
		return t.noOrSilent(t.knowsBetter(asked))
	}
	if reason, ok := t.entitled(asked); !ok {
		return t.nak(reason)
	} else {
		return t.bind(asked, reason)
	}
}

// renew serves RENEWING and REBINDING alike: what counts is whether the
// binding is ours. giaddr and option 82 may be absent or filled in by a relay.
func (t *turn) renew(ciaddr netip.Addr) Decision {
	if !t.ours(ciaddr) {
		return t.noOrSilent(t.knowsBetter(ciaddr))
	}
	if reason, ok := t.entitled(ciaddr); !ok {
		return t.nak(reason)
	} else {
		return t.bind(ciaddr, reason)
	}
}

// ours reports whether the client's claim to an address is one we have a
// record of: its reservation, or its binding, live or remembered.
func (t *turn) ours(ip netip.Addr) bool {
	if fixed, ok := t.fixed(); ok {
		return ip == fixed
	}
	b := t.table.find(ip)
	return b != nil && b.client == t.client && b.state != bindingDeclined && t.subnet.inPool(ip)
}

// knowsBetter says why the client cannot keep an address we have no record of,
// or 0 if another server may have given it.
func (t *turn) knowsBetter(ip netip.Addr) Reason {
	if _, ok := t.fixed(); ok {
		return ReasonOtherAddress
	}
	if b := t.table.ofClient(t.client, t.subnet); b.heldBy(t.client, t.now) && b.state == bindingLeased {
		if addrOf(b.ip) == ip {
			return ReasonNotAvailable // its reservation is gone
		}
		return ReasonOtherAddress
	}
	if b := t.table.find(ip); b.live(t.now) && b.state == bindingLeased && b.client != t.client {
		return ReasonHeldByOther
	}
	if res, reserved := t.dir.ByAddress(ip); reserved && (!t.known || res.Node != t.res.Node) {
		return ReasonNotAvailable
	}
	if !t.subnet.Authoritative {
		return 0
	}
	if !t.subnet.Prefix.Contains(ip) {
		return ReasonWrongNetwork
	}
	return ReasonNoRecord
}

func (t *turn) noOrSilent(reason Reason) Decision {
	if reason == 0 {
		return t.silent(ReasonNoRecord)
	}
	return t.nak(reason)
}
