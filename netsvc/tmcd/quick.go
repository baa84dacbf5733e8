package tmcd

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// quickBytesMax bounds a request that is answered in the accept loop.
const quickBytesMax = 4 << 10

// quickLane answers, in the accept loop and with five system calls, the
// requests that nearly all are: whole when they are accepted, short, without
// effects. What is left of everything else goes to a goroutine and a connection object of its
// own (accepted). The lane never waits for a client.
type quickLane struct {
	s   *Server
	buf [quickBytesMax]byte
	in  bytes.Reader
}

// verdict is what the lane makes of a connection.
type verdict int

const (
	quickDone verdict = iota // close it
	quickMore                // it needs a goroutine
	quickFail                // reset it
)

// slowly is what is left to do for a client where one can wait. nil is all.
type slowly func(net.Conn, *place) (rest func(), err error)

// serve owns the socket.
func (q *quickLane) serve(ctx context.Context, fd int, from netip.Addr) {
	got, final, err := q.read(fd)
	verdict, serve := quickDone, slowly(nil)
	if err == nil {
		verdict, serve = q.answer(fd, from, got, final)
	}
	if verdict == quickMore {
		if serve == nil {
			got := bytes.Clone(got)
			serve = func(conn net.Conn, p *place) (func(), error) {
				in := q.s.inbound(conn, got, final)
				in.place = p
				return q.s.serveInbound(in, from)
			}
		}
		q.handOver(ctx, fd, from, serve)
		return
	}
	if verdict == quickFail {
		_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	unix.Close(fd)
	q.s.counts.Connections.Add(1)
}

// read takes what is there. final says that the client has ended.
func (q *quickLane) read(fd int) (got []byte, final bool, err error) {
	n := 0
	for n < len(q.buf) {
		m, err := unix.Read(fd, q.buf[n:])
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return q.buf[:n], false, nil
		case err != nil:
			return nil, false, err
		case m == 0:
			return q.buf[:n], true, nil
		default:
			n += m
		}
	}
	return q.buf[:n], false, nil
}

// answer answers a request that is whole.
func (q *quickLane) answer(fd int, from netip.Addr, got []byte, final bool) (v verdict, more slowly) {
	defer func() {
		if p := recover(); p != nil {
			q.s.panicked(from, p)
			v = quickFail
		}
	}()
	if len(got) == len(q.buf) || Classify(got, final) != GreetingText {
		return quickMore, nil
	}
	head, at, err := ParseHead(got, final)
	if errors.Is(err, ErrMalformed) {
		return quickDone, nil // dropped with an empty reply, as in C
	}
	if err != nil || !final && head.Version >= versionHalfClose {
		return quickMore, nil
	}
	adm := q.s.handler.Admit(q.s.cfg.Snapshot(), Request{Head: head, From: from})
	if adm.Refused != "" {
		q.s.logRefused(&adm, from)
		return quickDone, nil
	}
	if adm.Streams {
		return quickMore, nil
	}
	q.in.Reset(got[at:])
	result, _ := adm.Run(&q.in) // which never fails
	if len(result.Effects) > 0 {
		return quickMore, func(conn net.Conn, _ *place) (func(), error) {
			return nil, q.s.finish(&inbound{conn: conn}, &adm, result, func() {})
		}
	}
	q.s.counts.Replies.Add(1)
	return q.reply(fd, result.Reply)
}

func (q *quickLane) reply(fd int, reply []byte) (verdict, slowly) {
	for len(reply) > 0 {
		n, err := unix.Write(fd, reply)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return quickMore, func(conn net.Conn, _ *place) (func(), error) {
				return nil, (&inbound{conn: conn}).reply(reply, q.s.cfg.Timeouts.Reply)
			}
		case err != nil:
			return quickDone, nil // the client has gone
		default:
			reply = reply[n:]
		}
	}
	return quickDone, nil
}

// handOver gives the connection to a goroutine. When there are as many as may
// be, accepting waits; more clients wait in the listen queue.
func (q *quickLane) handOver(ctx context.Context, fd int, from netip.Addr, serve slowly) {
	conn, err := connOf(fd)
	if err != nil {
		q.s.cfg.Log.Warn("connection dropped", "service", "tmcd", "from", from, "error", err)
		return
	}
	select {
	case q.s.conns <- struct{}{}:
	case <-ctx.Done():
		abort(conn)
		return
	}
	q.s.accepted(conn, from, serve)
}
