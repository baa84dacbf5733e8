package tmcd

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"
)

// acceptPause is how long accepting rests when the process is out of files.
const acceptPause = 100 * time.Millisecond

func (s *Server) acceptLoop(ctx context.Context, l net.Listener) error {
	for {
		select {
		case s.conns <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		conn, err := l.Accept()
		if err == nil {
			s.accepted(conn)
			continue
		}
		<-s.conns
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		s.cfg.Log.Warn("accepting failed", "service", "tmcd", "error", err)
		pause(ctx, acceptPause)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// accepted serves a connection in a goroutine of its own and gives its place
// back at the end.
func (s *Server) accepted(conn net.Conn) {
	from := conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
	if !s.gate.enter(conn, from) {
		s.counts.Refused.Add(1)
		abort(conn)
		<-s.conns
		return
	}
	s.counts.Connections.Add(1)
	s.work.Go(func() {
		defer func() { <-s.conns }()
		defer s.gate.leave(conn)
		defer conn.Close()
		defer func() {
			if v := recover(); v != nil {
				s.panicked(from, v)
				abort(conn)
			}
		}()
		if err := s.serveConn(conn, from); err != nil {
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

// serveConn finds out who calls and answers one request. An error means that
// it was not executed.
func (s *Server) serveConn(conn net.Conn, from netip.Addr) error {
	t := s.cfg.Timeouts
	in := &inbound{conn: conn, until: time.Now().Add(t.Head), quiet: t.Quiet}
	greeting, err := in.greeting()
	if err != nil {
		return err
	}
	transport := TCP
	if greeting == GreetingLegacyTLS && s.cfg.TLS != nil {
		in.drop(len(legacyTLSTag))
		secured := tls.Server(in.rest(), s.cfg.TLS)
		defer secured.Close()
		in = &inbound{conn: secured, until: in.until, quiet: t.Quiet}
		if greeting, err = in.greeting(); err != nil {
			return err
		}
		transport = TLS
	}
	if greeting != GreetingText {
		// An immediate end is the answer: a TMC2 client takes it as "no
		// TMC2 here" and comes back with text.
		return nil
	}
	return s.serveText(in, transport, from)
}

func (s *Server) serveText(in *inbound, transport Transport, from netip.Addr) error {
	head, rest, err := in.head()
	if errors.Is(err, ErrMalformed) {
		return nil // dropped with an empty reply, as in C
	}
	if err != nil {
		return err
	}
	adm := s.handler.Admit(s.cfg.Snapshot(), Request{Head: head, From: from, Transport: transport})
	body := s.body(in, rest, &head, transport, adm.Streams)
	if adm.Refused != "" {
		s.logRefused(&adm, from)
		body.left, body.quiet = refusedBytesMax, min(body.quiet, s.cfg.Timeouts.LateBody)
		body.drain()
		return nil
	}
	if err := s.answer(in, &adm, body); err != nil {
		s.cfg.Log.Warn("request not answered", "service", "tmcd", "node", adm.Node, "command", adm.Command, "error", err)
		return err
	}
	s.counts.Replies.Add(1)
	return nil
}

// answer runs the command, makes its effects durable and only then replies.
// The request is read to its end: closing on unread bytes would reset the
// connection, and the client could lose the reply.
func (s *Server) answer(in *inbound, adm *Admission, body *body) error {
	result, err := adm.Run(body)
	if err != nil {
		return err
	}
	if !adm.Streams {
		body.drain()
	}
	if err := s.execute(result.Effects); err != nil {
		return err
	}
	body.drain()
	return in.reply(result.Reply, s.cfg.Timeouts.Reply)
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

// inbound reads a connection up to the command word.
type inbound struct {
	conn  net.Conn
	until time.Time     // for the head
	quiet time.Duration // without a byte: the client has said all
	buf   []byte
	final bool // no more will come
}

// fill reads once more. At the end of the stream, or when a client that has
// said something falls silent, it sets final.
func (in *inbound) fill() error {
	deadline := in.until
	if quiet := time.Now().Add(in.quiet); len(in.buf) > 0 && quiet.Before(deadline) {
		deadline = quiet
	}
	if err := in.conn.SetReadDeadline(deadline); err != nil {
		return err
	}
	if cap(in.buf) == len(in.buf) {
		in.buf = slices.Grow(in.buf, headBytesMax)
	}
	n, err := in.conn.Read(in.buf[len(in.buf):cap(in.buf)])
	in.buf = in.buf[:len(in.buf)+n]
	silent := errors.Is(err, os.ErrDeadlineExceeded) && len(in.buf) > 0 && deadline.Before(in.until)
	if err == io.EOF || silent {
		in.final, err = true, nil
	}
	if n > 0 {
		return nil
	}
	return err
}

func (in *inbound) greeting() (Greeting, error) {
	for {
		if g := Classify(in.buf, in.final); g != GreetingMore {
			return g, nil
		}
		if err := in.fill(); err != nil {
			return GreetingUnknown, err
		}
	}
}

// head reads a whole command word.
func (in *inbound) head() (Head, int, error) {
	for {
		head, rest, err := ParseHead(in.buf, in.final)
		if err == nil {
			head.Word = bytes.Clone(head.Word) // buf may move
		}
		if !errors.Is(err, ErrIncomplete) {
			return head, rest, err
		}
		if err := in.fill(); err != nil {
			return head, 0, err
		}
	}
}

func (in *inbound) drop(n int) { in.buf = in.buf[n:] }

// rest is the connection with what was read of it in front.
func (in *inbound) rest() net.Conn {
	return &prefixed{Conn: in.conn, head: in.buf}
}

type prefixed struct {
	net.Conn
	head []byte
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.head) > 0 {
		n := copy(b, p.head)
		p.head = p.head[n:]
		return n, nil
	}
	return p.Conn.Read(b)
}

func (in *inbound) reply(reply []byte, timeout time.Duration) error {
	if len(reply) == 0 {
		return nil
	}
	if err := in.conn.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	_, err := in.conn.Write(reply)
	return err
}

// body reads the bytes after the head until the client ends, falls silent for
// the quiet time, or exceeds what a request may be. What came by then is the
// request. Only a stream that breaks off fails: its sender must know.
type body struct {
	in      *inbound
	at      int           // of in.buf
	quiet   time.Duration // 0: nothing comes after the first bytes
	until   time.Time
	left    int64
	streams bool
	done    bool
}

// errBodyLimits ends a stream that is too long or takes too long.
var errBodyLimits = errors.New("tmcd: request is over its limit of time or size")

func (b *body) Read(p []byte) (int, error) {
	if b.at < len(b.in.buf) {
		n := copy(p, b.in.buf[b.at:])
		b.at += n
		return n, nil
	}
	if b.done || b.in.final || b.quiet == 0 {
		return 0, io.EOF
	}
	if b.left <= 0 {
		return 0, b.end(errBodyLimits)
	}
	deadline := time.Now().Add(b.quiet)
	if b.until.Before(deadline) {
		deadline = b.until
	}
	if err := b.in.conn.SetReadDeadline(deadline); err != nil {
		return 0, b.end(err)
	}
	n, err := b.in.conn.Read(p)
	b.left -= int64(n)
	switch {
	case n > 0:
		return n, nil // an error comes again
	case errors.Is(err, os.ErrDeadlineExceeded) && deadline.Equal(b.until):
		return 0, b.end(errBodyLimits)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return 0, b.end(io.EOF)
	}
	return 0, b.end(err)
}

// end makes an error the end of the request, except of a stream.
func (b *body) end(err error) error {
	b.done = true
	if b.streams && err != io.EOF {
		return err
	}
	return io.EOF
}

func (b *body) drain() { _, _ = io.Copy(io.Discard, b) }
