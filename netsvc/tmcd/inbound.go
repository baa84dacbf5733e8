package tmcd

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"time"
)

// inbound reads a connection up to the command word.
type inbound struct {
	conn  net.Conn
	until time.Time     // for the head
	quiet time.Duration // without a byte: the client has said all
	buf   []byte
	final bool   // no more will come
	place *place // of the connection
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
