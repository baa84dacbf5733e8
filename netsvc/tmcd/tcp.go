package tmcd

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"time"
)

// accepted serves a connection in a goroutine of its own, and gives back the
// place that was taken for it at the end.
func (s *Server) accepted(conn net.Conn, from netip.Addr, serve slowly) {
	if !s.gate.enter(conn, from, mayRedirect(s.cfg.Snapshot(), from)) {
		s.counts.Refused.Add(1)
		abort(conn)
		<-s.conns
		return
	}
	s.counts.Connections.Add(1)
	p := &place{slots: s.conns, held: true}
	s.work.Go(func() {
		defer p.leave()
		defer s.gate.leave(conn)
		defer conn.Close()
		defer func() {
			if v := recover(); v != nil {
				s.panicked(from, v)
				abort(conn)
			}
		}()
		if err := serve(conn, p); err != nil {
			abort(conn)
		}
	})
}

// abort resets a connection. A clean end without a reply is an answer ("your
// state is recorded", "there is nothing to load"); a client whose request was
// not executed must see an error instead.
func abort(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // then the reset is only a clean end
	}
	conn.Close()
}

// serveConn serves a connection of which nothing was read.
func (s *Server) serveConn(conn net.Conn, from netip.Addr) error {
	return s.serveInbound(s.inbound(conn, nil, false), from)
}

// inbound is a connection of which some was read.
func (s *Server) inbound(conn net.Conn, got []byte, final bool) *inbound {
	t := s.cfg.Timeouts
	return &inbound{conn: conn, until: time.Now().Add(t.Head), quiet: t.Quiet, buf: got, final: final}
}

// serveInbound finds out who calls and answers one request. An error means that
// it was not executed.
func (s *Server) serveInbound(in *inbound, from netip.Addr) error {
	t := s.cfg.Timeouts
	greeting, err := in.greeting()
	if err != nil {
		return err
	}
	by := origin{from: from, transport: TCP}
	if (greeting == GreetingLegacyTLS || greeting == GreetingTLS) && s.cfg.TLS != nil {
		if greeting == GreetingLegacyTLS {
			in.drop(len(legacyTLSTag))
		}
		secured := tls.Server(in.rest(), s.cfg.TLS)
		defer secured.Close()
		in = &inbound{conn: secured, until: in.until, quiet: t.Quiet, place: in.place}
		if greeting, err = in.greeting(); err != nil {
			return err
		}
		by.transport, by.names = TLS, certificateNames(secured.ConnectionState())
		if greeting == GreetingFramed {
			by.exported = exported(secured.ConnectionState())
		}
	}
	if greeting == GreetingFramed {
		return s.serveFramed(in, by)
	}
	if greeting != GreetingText {
		return nil
	}
	return s.serveText(in, by)
}

// origin is where a connection came from.
type origin struct {
	from      netip.Addr
	transport Transport
	names     []string // in the client's certificate, which was verified
	exported  []byte   // of the TLS connection, for proofs of identity
}

func (s *Server) serveText(in *inbound, by origin) error {
	from, transport := by.from, by.transport
	head, rest, err := in.head()
	if errors.Is(err, ErrMalformed) {
		return nil // dropped with an empty reply, as in C
	}
	if err != nil {
		return err
	}
	adm := s.handler.Admit(s.cfg.Snapshot(), Request{Head: head, From: from, Transport: transport, Names: by.names})
	body := s.body(in, rest, &head, transport, adm.Streams)
	if adm.Refused != "" {
		s.logRefused(&adm, from)
		body.left, body.quiet = refusedBytesMax, min(body.quiet, s.cfg.Timeouts.LateBody)
		body.drain()
		return nil
	}
	result, err := adm.Run(body)
	if err != nil {
		return err
	}
	// The request is read to its end: closing on unread bytes would reset the
	// connection, and the client could lose the reply.
	if !adm.Streams {
		body.drain()
	}
	return s.finish(in, &adm, result, body.drain)
}

// finish makes a result's effects durable and only then replies. drain reads
// what effects have left of the request.
func (s *Server) finish(in *inbound, adm *Admission, result Result, drain func()) error {
	err := s.execute(result.Effects)
	if err == nil {
		drain()
		err = in.reply(result.Reply, s.cfg.Timeouts.Reply)
	}
	if err != nil {
		s.cfg.Log.Warn("request not answered", "service", "tmcd", "node", adm.Node, "command", adm.Command, "error", err)
		return err
	}
	s.counts.Replies.Add(1)
	return nil
}

// body is the rest of a request. When it ends depends on the client: it
// half-closes, or is quiet for long enough, or is of a version that sends
// nothing more.
func (s *Server) body(in *inbound, rest int, head *Head, transport Transport, streams bool) *body {
	t := s.cfg.Timeouts
	b := &body{in: in, at: rest, until: time.Now().Add(t.Body), left: drainBytesMax, streams: streams}
	switch {
	case transport == TCP && head.Version >= versionHalfClose:
		b.quiet = t.Quiet
	case streams:
		b.quiet = t.LateBody
	}
	if streams {
		b.left = logBytesMax
	}
	return b
}
