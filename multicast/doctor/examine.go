package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"hyzer/multicast/igmp"
)

// Config is what Examine is asked.
type Config struct {
	Iface netip.Addr     // that images are sent from
	Node  netip.Addr     // that runs Listen; not valid: only this machine is looked at
	Group netip.AddrPort // not valid: the defaults
	// QueryTime is how long to listen for IGMP queries; 0: not at all.
	QueryTime time.Duration
}

// Examine finds out the facts. It fails only if it cannot.
func Examine(ctx context.Context, c Config) (Facts, error) {
	if !c.Group.IsValid() {
		c.Group = netip.AddrPortFrom(Group(), PortDefault)
	}
	f := Facts{Iface: c.Iface, Node: c.Node, Group: c.Group}
	var err error
	if f.Local, err = findLink(c.Iface); err != nil || f.Local == nil {
		return f, err
	}
	if c.Node.IsValid() {
		if f.Route, err = route(c.Node); err != nil {
			return f, err
		}
		if err := probeAll(ctx, c, &f); err != nil {
			return f, err
		}
	}
	if c.QueryTime > 0 {
		f.QueryHeard, err = hearQuery(ctx, c.Iface, c.QueryTime)
		f.QueryWaited = f.QueryHeard || c.QueryTime >= QueryTime
	}
	return f, err
}

// hearQuery says whether anybody asks for memberships.
func hearQuery(ctx context.Context, iface netip.Addr, wait time.Duration) (bool, error) {
	c, err := igmp.Open(iface)
	if err != nil {
		return false, fmt.Errorf("listening for IGMP queries: %w", err)
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	for until := time.Now().Add(wait); ; {
		m, _, err := c.Read(until)
		switch {
		case ctx.Err() != nil:
			return false, ctx.Err()
		case errors.Is(err, os.ErrDeadlineExceeded):
			return false, nil
		case err != nil:
			return false, err
		case m.Type == igmp.Query:
			return true, nil
		}
	}
}

// prober sends probes from one socket.
type prober struct {
	c   *net.UDPConn
	p   *ipv4.PacketConn
	seq uint32
}

func probeAll(ctx context.Context, c Config, f *Facts) error {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: c.Iface.AsSlice()})
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	ifc, err := net.InterfaceByName(f.Local.Name)
	if err != nil {
		return err
	}
	p := &prober{c: conn, p: ipv4.NewPacketConn(conn)}
	if err := errors.Join(p.p.SetMulticastInterface(ifc), p.p.SetMulticastLoopback(false), p.whole()); err != nil {
		return err
	}
	alone := netip.AddrPortFrom(c.Node, c.Group.Port())
	for _, probe := range []struct {
		to    netip.AddrPort
		ttl   int
		bytes int
		into  *Result
	}{
		{alone, SessionTTL, probeBytesMin, &f.Unicast}, {alone, SessionTTL, SessionBytes, &f.UnicastFull},
		{c.Group, SessionTTL, probeBytesMin, &f.Multicast}, {c.Group, SessionTTL, SessionBytes, &f.MulticastFull},
		{c.Group, farTTL, probeBytesMin, &f.Far},
	} {
		if err := p.p.SetMulticastTTL(probe.ttl); err != nil {
			return err
		}
		*probe.into = p.probe(probe.to, c.Node, probe.bytes)
		if err := ctx.Err(); err != nil || f.Unicast.Answer == nil {
			return err // what it does not answer, it does not answer in a group
		}
	}
	return nil
}

// whole forbids to cut datagrams: where one does not fit, that is to be seen.
func (p *prober) whole() error {
	raw, err := p.c.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = raw.Control(func(fd uintptr) {
		inner = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE)
	})
	return errors.Join(err, inner)
}

// probe asks a few times until the node answers.
func (p *prober) probe(to netip.AddrPort, node netip.Addr, size int) (r Result) {
	buf := make([]byte, readBytes)
	for range probeTries {
		p.seq++
		if _, r.Err = p.c.WriteToUDPAddrPort(appendProbe(nil, p.seq, size), to); r.Err != nil {
			continue
		}
		if p.c.SetReadDeadline(time.Now().Add(answerTime)) != nil {
			return r
		}
		for {
			n, from, err := p.c.ReadFromUDPAddrPort(buf)
			if errors.Is(err, unix.ECONNREFUSED) {
				continue
			}
			if err != nil {
				break
			}
			a, err := ParseAnswer(buf[:n])
			if err == nil && from.Addr().Unmap() == node && a.Seq == p.seq {
				r.Answer = &a
				return r
			}
		}
	}
	return r
}
