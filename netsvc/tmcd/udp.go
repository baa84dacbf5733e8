package tmcd

import (
	"bytes"
	"context"
	"net"
	"net/netip"
)

// datagramLoop answers one request per datagram. Those without effects are
// answered in place; the others wait for the disk in a bounded number of
// goroutines, and more are dropped: their senders ask again.
func (s *Server) datagramLoop(ctx context.Context, conn *net.UDPConn) error {
	buf := make([]byte, datagramBytesMax)
	for {
		n, peer, err := conn.ReadFromUDPAddrPort(buf)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		s.counts.Datagrams.Add(1)
		s.datagram(conn, peer, buf[:n])
	}
}

func (s *Server) datagram(conn *net.UDPConn, peer netip.AddrPort, data []byte) {
	from := peer.Addr().Unmap()
	defer s.contain(from)
	if Classify(data, true) != GreetingText {
		return
	}
	head, rest, err := ParseHead(data, true)
	if err != nil {
		s.emptyReply(conn, peer)
		return
	}
	head.Word = bytes.Clone(head.Word)
	adm := s.handler.Admit(s.cfg.Snapshot(), Request{Head: head, From: from, Transport: UDP})
	if adm.Refused != "" {
		s.logRefused(&adm, from)
		if adm.Node != "" {
			s.emptyReply(conn, peer)
		}
		return
	}
	result, _ := adm.Run(bytes.NewReader(bytes.Clone(data[rest:]))) // which never fails
	if len(result.Effects) == 0 {
		s.datagramReply(conn, peer, result.Reply)
		return
	}
	select {
	case s.slots <- struct{}{}:
	default:
		s.counts.DatagramsDropped.Add(1)
		return
	}
	s.work.Go(func() {
		defer func() { <-s.slots }()
		defer s.contain(from)
		if err := s.execute(result.Effects); err != nil {
			s.cfg.Log.Warn("request not answered", "service", "tmcd", "node", adm.Node, "command", adm.Command, "error", err)
			return
		}
		s.datagramReply(conn, peer, result.Reply)
	})
}

func (s *Server) datagramReply(conn *net.UDPConn, peer netip.AddrPort, reply []byte) {
	if len(reply) == 0 {
		s.emptyReply(conn, peer)
		return
	}
	// A reply that cannot be sent is a lost datagram.
	if _, err := conn.WriteToUDPAddrPort(reply, peer); err == nil {
		s.counts.Replies.Add(1)
	}
}

// emptyReply is silence, or an empty datagram where the site wants one.
func (s *Server) emptyReply(conn *net.UDPConn, peer netip.AddrPort) {
	if s.cfg.EmptyDatagrams {
		_, _ = conn.WriteToUDPAddrPort(nil, peer)
	}
}
