package dhcp

import "net/netip"

// DestKind says how a reply is sent.
type DestKind uint8

const (
	// DestNone is for silence.
	DestNone DestKind = iota
	// DestUDP is an ordinary unicast datagram.
	DestUDP
	// DestBroadcast goes to 255.255.255.255 out of the ingress interface.
	DestBroadcast
	// DestHardware is a unicast to an address the client does not answer ARP
	// for yet: a frame made by hand, or a broadcast where that is not allowed.
	DestHardware
)

// Dest is where a reply goes.
type Dest struct {
	Kind DestKind
	Addr netip.AddrPort
}

const (
	serverPort = 67
	clientPort = 68
	// bootServerPort is where PXE clients look for a proxyDHCP or boot server.
	bootServerPort = 4011
)

func portOr(port, otherwise uint16) uint16 {
	if port == 0 {
		return otherwise
	}
	return port
}

// destination follows RFC 2131 §4.1. ip is the address given in the reply; not
// set in a NAK and in a proxy's offer.
func (t *turn) destination(kind MessageType, ip netip.Addr) Dest {
	client := portOr(t.in.ClientPort, clientPort)
	ciaddr, giaddr := t.p.CIAddr(), t.p.GIAddr()
	switch {
	case t.in.ReplyToSource && t.in.Source.Addr().IsLoopback():
		return Dest{DestUDP, t.in.Source}
	case !giaddr.IsUnspecified():
		return Dest{DestUDP, netip.AddrPortFrom(giaddr, t.relayPort())}
	case kind == Nak:
		return broadcastTo(client)
	case kind == Ack && !ciaddr.IsUnspecified(): // in DISCOVER it is anybody's
		return Dest{DestUDP, netip.AddrPortFrom(ciaddr, client)}
	case t.p.Flags()&flagBroadcast != 0, !ip.IsValid(), t.subnet.AlwaysBroadcast, t.client.Type != htypeEthernet:
		return broadcastTo(client)
	}
	return Dest{DestHardware, netip.AddrPortFrom(ip, client)}
}

func broadcastTo(port uint16) Dest {
	return Dest{DestBroadcast, netip.AddrPortFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), port)}
}

// relayPort is the relay's source port if it asks for that (RFC 8357), else 67.
func (t *turn) relayPort() uint16 {
	if _, ok := t.p.RelaySubOption(relaySourcePort); ok {
		return t.in.Source.Port()
	}
	return portOr(t.in.RelayPort, serverPort)
}
