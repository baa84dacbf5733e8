package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/ipv4"
)

// PortDefault is where probes go.
const PortDefault = 21998

// Group is where probes go unless another is said: the end of the range that
// sessions have by default.
func Group() netip.Addr { return netip.AddrFrom4([4]byte{239, 192, 79, 254}) }

// readBytes is room for a probe and to see that one is too long.
const readBytes = 2048

// Listen answers probes until ctx is done: those to the group, joined on the
// interface with the address iface, and those to this machine.
func Listen(ctx context.Context, iface netip.Addr, group netip.AddrPort) error {
	link, err := findLink(iface)
	if err != nil {
		return err
	}
	if link == nil {
		return fmt.Errorf("no interface has the address %v", iface)
	}
	c, err := net.ListenUDP("udp4", &net.UDPAddr{Port: int(group.Port())})
	if err != nil {
		return err
	}
	defer c.Close()
	p := ipv4.NewPacketConn(c)
	ifc, err := net.InterfaceByName(link.Name)
	if err != nil {
		return err
	}
	if err := p.JoinGroup(ifc, &net.UDPAddr{IP: group.Addr().AsSlice()}); err != nil {
		return fmt.Errorf("joining %v on %s: %w", group.Addr(), link.Name, err)
	}
	if err := p.SetControlMessage(ipv4.FlagTTL|ipv4.FlagDst|ipv4.FlagInterface, true); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	buf := make([]byte, readBytes)
	for {
		n, cm, from, err := p.ReadFrom(buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil:
			continue // the ICMP error of an answer
		}
		a, ok := answer(buf[:n], cm, *link)
		if !ok {
			continue
		}
		if text, err := appendAnswer(nil, a); err == nil {
			_, _ = p.WriteTo(text, nil, from) // lost or not: the other side sees
		}
	}
}

// answer is what a node that joined on link says to the probe b that came with
// cm. There is none to what is no probe, and none to a probe that came before
// the kernel was asked to say by which interface: the prober repeats.
func answer(b []byte, cm *ipv4.ControlMessage, link Link) (Answer, bool) {
	if cm == nil || cm.IfIndex == 0 {
		return Answer{}, false
	}
	seq, err := parseProbe(b)
	if err != nil {
		return Answer{}, false
	}
	a := Answer{Seq: seq, Bytes: len(b), TTL: cm.TTL, Group: cm.Dst.IsMulticast(), Joined: link.Name, MTU: link.MTU}
	if in, err := net.InterfaceByIndex(cm.IfIndex); err == nil {
		a.Iface = in.Name
	}
	return a, true
}

// Times of Examine.
const (
	answerTime = 400 * time.Millisecond
	probeTries = 3
	farTTL     = 64
	// QueryTime is how long a querier may be silent (RFC 2236, 125 s).
	QueryTime = 130 * time.Second
)
