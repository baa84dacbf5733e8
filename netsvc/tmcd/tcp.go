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
		rest, err := serve(conn, p)
		if err != nil {
			abort(conn)
		} else if rest != nil {
			rest()
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
	rest, err := s.serveInbound(s.inbound(conn, nil, false), from)
	if rest != nil {
		rest()
	}
	return err
}

// inbound is a connection of which some was read.
func (s *Server) inbound(conn net.Conn, got []byte, final bool) *inbound {
	t := s.cfg.Timeouts
	return &inbound{conn: conn, until: time.Now().Add(t.Head), quiet: t.Quiet, buf: got, final: final}
}

// serveInbound finds out who calls and answers one request. An error means that
// it was not executed. A framed connection goes on in rest, which the caller
// runs at the bottom of its stack: there may be thousands that do nothing.
func (s *Server) serveInbound(in *inbound, from netip.Addr) (rest func(), err error) {
	greeting, err := in.greeting()
	if err != nil {
		return nil, err
	}
	by := origin{from: from, transport: TCP}
	if (greeting == GreetingLegacyTLS || greeting == GreetingTLS) && s.cfg.TLS != nil {
		if greeting == GreetingLegacyTLS {
			in.drop(len(legacyTLSTag))
		}
		in = in.secure(s.cfg.TLS)
		if greeting, err = in.greeting(); err == nil {
			by.secured(in.conn.(*tls.Conn).ConnectionState(), greeting)
		}
	}
	if err == nil && greeting == GreetingFramed {
		var c *framedConn
		if c, err = s.openFramed(in, by); c != nil {
			return c.serve, nil
		}
	}
	if err == nil && greeting == GreetingText {
		err = s.serveText(in, by)
	}
	if secured, ok := in.conn.(*tls.Conn); ok {
		secured.Close() // with a word that it is the end; a reset would overtake the alert
	}
	return nil, err
}

// secure goes on over TLS.
func (in *inbound) secure(config *tls.Config) *inbound {
	return &inbound{conn: tls.Server(in.rest(), config), until: in.until, quiet: in.quiet, place: in.place}
}

// origin is where a connection came from.
type origin struct {
	from      netip.Addr
	transport Transport
	names     []string // in the client's certificate, which was verified
	exported  []byte   // of the TLS connection, for proofs of identity
}

// secured takes what TLS says of the client.
func (o *origin) secured(state tls.ConnectionState, greeting Greeting) {
	o.transport, o.names = TLS, certificateNames(state)
	if greeting == GreetingFramed {
		o.exported = exported(state)
	}
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
	err := s.execute(adm, &result)
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
