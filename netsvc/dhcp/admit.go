package dhcp

import "net/netip"

// hopsMax is how many relays a request may have passed (RFC 1542 §4.1.1).
const hopsMax = 16

// relayOptionBytesMax is the longest option 82 that is echoed: RFC 3046 knows
// one of it. A longer one leaves no room for the answer.
const relayOptionBytesMax = optionBytesMax

// admit finds out who asks on which subnet, or why nobody answers.
func (t *turn) admit() Reason {
	if t.p.Op() != opBootRequest {
		return ReasonNotRequest
	}
	if t.kind = t.p.Type(); t.kind == 0 {
		return ReasonBOOTP
	}
	client, ok := t.p.Client()
	if !ok || client.Type == htypeEthernet && client.Octets[0]&1 != 0 {
		return ReasonNoIdentity
	}
	t.client = client
	if v, ok := t.p.Option(OptRelayAgent); ok && len(v) > relayOptionBytesMax {
		return ReasonRelayOption
	}
	if reason := t.findSubnet(); reason != 0 {
		return reason
	}
	t.findServer()
	t.res, t.known = t.dir.ByHardware(client)
	if t.known && t.res.Ignore {
		return ReasonIgnored
	}
	return 0
}

// findSubnet: giaddr selects the subnet, link selection overrides it (RFC
// 3527), then option 118 (RFC 3011), both only through a relay we accept.
// Without a relay it is the network of the ingress address, except for a
// client that renews through a router.
func (t *turn) findSubnet() Reason {
	subnets := t.dir.Subnets()
	giaddr := t.p.GIAddr()
	switch {
	case !giaddr.IsUnspecified():
		return t.findRelayed(subnets, giaddr)
	case t.in.Unicast && !t.p.CIAddr().IsUnspecified():
		t.subnet = subnets.Find(t.p.CIAddr())
	default:
		t.subnet = subnets.Find(t.in.Local)
	}
	return t.checkSubnet()
}

func (t *turn) findRelayed(subnets *Subnets, giaddr netip.Addr) Reason {
	if t.p.Hops() > hopsMax {
		return ReasonHops
	}
	relay := subnets.findRelay(giaddr)
	if relay == nil || relay.Mode == ModeOff {
		return ReasonUnknownRelay
	}
	t.subnet = relay
	if v, ok := t.p.RelaySubOption(relayLinkSelection); ok && len(v) == 4 {
		t.subnet = subnets.Find(netip.AddrFrom4([4]byte(v)))
	} else if a, ok := t.p.AddrOption(OptSubnetSelection); ok {
		t.subnet = subnets.Find(a)
	}
	return t.checkSubnet()
}

func (t *turn) checkSubnet() Reason {
	switch {
	case t.subnet == nil:
		return ReasonNoSubnet
	case t.subnet.Mode == ModeOff:
		return ReasonOff
	}
	return 0
}

// findServer chooses option 54: the relay's override (RFC 5107), the subnet's,
// or the address the request came in on.
func (t *turn) findServer() {
	t.server = t.ownAddr()
	if t.p.GIAddr().IsUnspecified() {
		return
	}
	if v, ok := t.p.RelaySubOption(relayServerID); ok && len(v) == 4 {
		t.server = netip.AddrFrom4([4]byte(v))
	}
}

// ownAddr is an address of this host that the client reaches.
func (t *turn) ownAddr() netip.Addr {
	if t.subnet.Server.IsValid() {
		return t.subnet.Server
	}
	return t.in.Local
}
