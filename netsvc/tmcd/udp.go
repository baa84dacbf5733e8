package tmcd

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
)

// datagramConn is a UDP socket that answers from the address it was asked at,
// also when it is bound to all of them.
type datagramConn struct {
	udp  *net.UDPConn
	ipv4 *ipv4.PacketConn // nil where the address is fixed
}

func listenDatagrams(addr netip.AddrPort) (*datagramConn, error) {
	network := "udp"
	if addr.Addr().Is4() {
		network = "udp4"
	}
	udp, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return nil, err
	}
	c := &datagramConn{udp: udp}
	if addr.Addr() == netip.IPv4Unspecified() {
		c.ipv4 = ipv4.NewPacketConn(udp)
		if err := c.ipv4.SetControlMessage(ipv4.FlagDst, true); err != nil {
			udp.Close()
			return nil, err
		}
	}
	return c, nil
}

// asker is where a datagram came from and at which address it arrived.
type asker struct {
	conn *datagramConn
	peer netip.AddrPort
	at   net.IP // nil: the socket's
}

func (c *datagramConn) read(buf []byte) (n int, from asker, err error) {
	if c.ipv4 == nil {
		n, peer, err := c.udp.ReadFromUDPAddrPort(buf)
		return n, asker{c, peer, nil}, err
	}
	n, cm, peer, err := c.ipv4.ReadFrom(buf)
	if err != nil {
		return 0, asker{}, err
	}
	from = asker{conn: c, peer: peer.(*net.UDPAddr).AddrPort()}
	if cm != nil {
		from.at = cm.Dst
	}
	return n, from, nil
}

func (a asker) reply(data []byte) error {
	if a.at == nil {
		_, err := a.conn.udp.WriteToUDPAddrPort(data, a.peer)
		return err
	}
	_, err := a.conn.ipv4.WriteTo(data, &ipv4.ControlMessage{Src: a.at}, net.UDPAddrFromAddrPort(a.peer))
	return err
}

// datagramLoop answers one request per datagram. Those without effects are
// answered in place; the others wait for the disk in a bounded number of
// goroutines, and more are dropped: their senders ask again.
func (s *Server) datagramLoop(ctx context.Context, conn *datagramConn) error {
	buf := make([]byte, datagramBytesMax)
	for {
		n, from, err := conn.read(buf)
		if err == nil {
			s.counts.Datagrams.Add(1)
			s.datagram(from, buf[:n])
			continue
		}
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		s.cfg.Log.Warn("receiving failed", "service", "tmcd", "error", err)
		pause(ctx, acceptPause)
	}
}

func (s *Server) datagram(back asker, data []byte) {
	from := back.peer.Addr().Unmap()
	defer s.contain(from)
	if isFramedDatagram(data) {
		s.framedDatagram(back, data)
		return
	}
	if Classify(data, true) != GreetingText {
		return
	}
	head, rest, err := ParseHead(data, true)
	if err != nil {
		s.emptyReply(back)
		return
	}
	head.Word = bytes.Clone(head.Word)
	adm := s.handler.Admit(s.cfg.Snapshot(), Request{Head: head, From: from, Transport: UDP})
	if adm.Refused != "" {
		s.logRefused(&adm, from)
		if adm.Node != "" {
			s.emptyReply(back)
		}
		return
	}
	result, _ := adm.Run(bytes.NewReader(bytes.Clone(data[rest:]))) // which never fails
	if len(result.Effects) == 0 {
		s.datagramReply(back, result.Reply)
		return
	}
	s.datagramEffects(back, &adm, result)
}

// datagramEffects replies when the effects are durable.
func (s *Server) datagramEffects(back asker, adm *Admission, result Result) {
	select {
	case s.slots <- struct{}{}:
	default:
		s.counts.DatagramsDropped.Add(1)
		return
	}
	s.work.Go(func() {
		defer func() { <-s.slots }()
		defer s.contain(back.peer.Addr())
		if err := s.execute(adm, &result); err != nil {
			s.cfg.Log.Warn("request not answered", "service", "tmcd", "node", adm.Node, "command", adm.Command, "error", err)
			return
		}
		s.datagramReply(back, result.Reply)
	})
}

func (s *Server) datagramReply(back asker, reply []byte) {
	if len(reply) == 0 {
		s.emptyReply(back)
		return
	}
	// A reply that cannot be sent is a lost datagram.
	if err := back.reply(reply); err == nil {
		s.counts.Replies.Add(1)
	}
}

// emptyReply is silence, or an empty datagram where the site wants one.
func (s *Server) emptyReply(back asker) {
	if s.cfg.EmptyDatagrams {
		_ = back.reply(nil)
	}
}
