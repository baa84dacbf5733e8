package dhcp

import (
	"bytes"
	"net/netip"
)

// proxyOffer answers a network boot client beside another DHCP server: boot
// file, but no address (PXE 2.1 §2.2.3). REQUESTs on port 67 belong to the
// server that gives addresses.
func (t *turn) proxyOffer() Decision {
	if t.kind != Discover {
		return t.silent(ReasonProxyOnly)
	}
	if !isNetBoot(t.p) {
		return t.silent(ReasonNotNetBoot)
	}
	w := t.begin(Offer)
	if !t.writeProxyBoot(&w) {
		return t.silent(ReasonNoBootFile)
	}
	if t.p.GIAddr().IsUnspecified() {
		w.setBroadcast()
	}
	return t.finish(&w, Offer, ReasonProxy, t.destination(Offer, netip.Addr{}))
}

// bootServer answers on port 4011, whatever message type the ROM uses there:
// most send REQUEST, some INFORM or DISCOVER. The answer goes to where the
// question came from: UEFI listens on 4011, BIOS ROMs on 68.
func (t *turn) bootServer() Decision {
	switch t.kind {
	case Request, Inform, Discover:
	default:
		return t.silent(ReasonNotRequest)
	}
	if !isNetBoot(t.p) {
		return t.silent(ReasonNotNetBoot)
	}
	if !t.in.Source.Addr().Is4() || t.in.Source.Addr().IsUnspecified() {
		return t.silent(ReasonNoAddress)
	}
	w := t.begin(Ack)
	w.setCIAddr(t.p.CIAddr())
	if !t.writeProxyBoot(&w) {
		return t.silent(ReasonNoBootFile)
	}
	return t.finish(&w, Ack, ReasonBootServer, Dest{DestUDP, t.in.Source})
}

func (t *turn) writeProxyBoot(w *replyWriter) bool {
	a := AskerOf(t.p)
	a.Proxy = true
	w.echo(t.p, OptClientID)
	return t.writeBoot(w, a)
}

// isNetBoot reports whether the message says PXEClient or HTTPClient.
func isNetBoot(p *Packet) bool {
	class, _ := p.Option(OptVendorClass)
	return bytes.HasPrefix(class, []byte(classPXE)) || bytes.HasPrefix(class, []byte(classHTTP))
}
