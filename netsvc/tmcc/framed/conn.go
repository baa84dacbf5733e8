package framed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"hyzer/netsvc/tmc2"
)

const (
	helloTimeout  = 3 * time.Second  // a C server answers within 10 ms
	writeTimeout  = 10 * time.Second // for the server to take what is sent
	replyBytesMax = 16 << 20         // of one reply
	readBytes     = 16 << 10
)

// Errors of connecting.
var (
	// ErrLegacy is returned for a server that speaks another protocol: it
	// ended the connection cleanly or answered with something else.
	ErrLegacy = errors.New("tmc2: server speaks the legacy protocol")
	// ErrNoAnswer is returned for a server that did not answer the hello in
	// time or reset the connection. It may speak TMC2 another time.
	ErrNoAnswer = errors.New("tmc2: no answer to the hello")
)

// errLost is a connection that ended before the answer.
var errLost = errors.New("tmc2: connection lost")

// busyError is a server that wants to be asked later.
type busyError struct {
	code  tmc2.Code
	retry time.Duration
}

func (e *busyError) Error() string { return fmt.Sprintf("tmc2: server says %v", e.code) }

// conn is one connection. Its reader hands frames to the calls.
type conn struct {
	net    net.Conn
	peer   tmc2.Hello
	proved bool // in clear
	work   sync.WaitGroup

	writing sync.Mutex
	out     []byte

	mu    sync.Mutex
	calls map[uint32]*call
	last  uint32 // stream
	err   error  // no new streams
}

// call is one stream as its owner sees it.
type call struct {
	conn     *conn
	stream   uint32
	changed  chan struct{} // holds one
	mu       sync.Mutex
	reply    []byte
	position uint64
	notices  notices // of a watch
	status   *tmc2.Status
	err      error
}

// greet makes a connection of one that is open. It closes it on an error.
func greet(ctx context.Context, raw net.Conn, hello *tmc2.Hello, key Key) (*conn, error) {
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	c := &conn{net: raw, calls: map[uint32]*call{}}
	in, err := c.hello(hello)
	if err == nil && hello.Nonce != (tmc2.Nonce{}) && c.peer.Nonce != (tmc2.Nonce{}) {
		answer := key.answer(hello, &c.peer)
		c.proved = true
		err = c.send(func(b []byte) []byte {
			b, at := tmc2.StartFrame(b, tmc2.TypeHello, 0, 0)
			return tmc2.FinishFrame(tmc2.AppendHello(b, &answer), at)
		})
	}
	if err != nil {
		raw.Close()
		return nil, err
	}
	c.work.Go(func() { c.read(in) })
	return c, nil
}

// hello exchanges preambles and HELLOs and returns what was read after them.
func (c *conn) hello(mine *tmc2.Hello) (*frames, error) {
	_ = c.net.SetDeadline(time.Now().Add(helloTimeout)) // a closed one fails at once below
	b, at := tmc2.StartFrame([]byte(tmc2.Preamble), tmc2.TypeHello, 0, 0)
	if _, err := c.net.Write(tmc2.FinishFrame(tmc2.AppendHello(b, mine), at)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	preamble := make([]byte, len(tmc2.Preamble))
	n, err := io.ReadFull(c.net, preamble)
	switch {
	case errors.Is(err, io.EOF), string(preamble[:n]) != tmc2.Preamble[:n]:
		return nil, ErrLegacy
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	in := &frames{in: c.net}
	f, err := in.next()
	if err != nil || f.Type != tmc2.TypeHello {
		return nil, fmt.Errorf("%w: %w", ErrNoAnswer, errors.Join(err, errLost))
	}
	if c.peer, err = tmc2.DecodeHello(f.Payload); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	return in, c.net.SetDeadline(time.Time{})
}

// frames reads frames; each is valid until the next.
type frames struct {
	in  io.Reader
	buf []byte
	at  int
}

func (r *frames) next() (tmc2.Frame, error) {
	for {
		f, n, err := tmc2.DecodeFrame(r.buf[r.at:], tmc2.PayloadBytesUsual)
		if err == nil {
			r.at += n
			return f, nil
		}
		if !errors.Is(err, tmc2.ErrIncomplete) {
			return f, err
		}
		rest := r.buf[r.at:]
		want, _ := tmc2.FrameBytes(rest, tmc2.PayloadBytesUsual) // 0 while there is no header
		if want = max(want, readBytes); cap(r.buf) < want {
			r.buf = append(make([]byte, 0, want), rest...)
		} else {
			r.buf = r.buf[:copy(r.buf, rest)]
		}
		r.at = 0
		got, err := r.in.Read(r.buf[len(r.buf):cap(r.buf)])
		r.buf = r.buf[:len(r.buf)+got]
		if got == 0 && err != nil {
			return f, err
		}
	}
}

// read hands out frames until the connection ends.
func (c *conn) read(in *frames) {
	var err error
	for err == nil {
		var f tmc2.Frame
		if f, err = in.next(); err == nil {
			err = c.take(f)
		}
	}
	c.net.Close()
	c.fail(fmt.Errorf("%w: %w", errLost, err), 0)
}

// fail ends all calls on streams after one, and lets none begin.
func (c *conn) fail(err error, after uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
	for stream, k := range c.calls {
		if stream > after {
			delete(c.calls, stream)
			k.update(func() { k.err = c.err })
		}
	}
}

func (c *conn) take(f tmc2.Frame) error {
	switch f.Type {
	case tmc2.TypePing:
		if f.Flags&tmc2.FlagPong == 0 {
			return c.send(func(b []byte) []byte {
				return tmc2.AppendFrame(b, tmc2.Frame{Type: tmc2.TypePing, Flags: tmc2.FlagPong, Payload: f.Payload})
			})
		}
		return nil
	case tmc2.TypeGoAway:
		g, err := tmc2.DecodeGoAway(f.Payload)
		if err == nil {
			c.fail(&busyError{g.Code, g.Retry}, g.LastStream)
		}
		return err
	}
	c.mu.Lock()
	k := c.calls[f.Stream]
	if k != nil && f.Type == tmc2.TypeStatus {
		delete(c.calls, f.Stream)
	}
	c.mu.Unlock()
	if k == nil {
		return nil
	}
	return k.take(f)
}

func (k *call) take(f tmc2.Frame) (err error) {
	k.update(func() {
		switch f.Type {
		case tmc2.TypeReply:
			if len(k.reply)+len(f.Payload) > replyBytesMax {
				err = fmt.Errorf("tmc2: a reply is over %d bytes", replyBytesMax)
				return
			}
			k.reply = append(k.reply, f.Payload...)
		case tmc2.TypeWindow:
			k.position, err = tmc2.DecodeWindow(f.Payload)
		case tmc2.TypeNotify:
			err = k.notices.take(f.Payload)
		case tmc2.TypeStatus:
			var status tmc2.Status
			status, err = tmc2.DecodeStatus(append([]byte(nil), f.Payload...))
			k.status = &status
		}
	})
	return err
}

func (k *call) update(change func()) {
	k.mu.Lock()
	change()
	k.mu.Unlock()
	select {
	case k.changed <- struct{}{}:
	default:
	}
}

// open begins a stream with a request.
func (c *conn) open(r *tmc2.Request, flags tmc2.Flags) (*call, error) {
	k := &call{conn: c, changed: make(chan struct{}, 1)}
	err := c.send(func(b []byte) []byte {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.err != nil {
			k.err = c.err
			return b
		}
		c.last += 2
		k.stream = c.last - 1
		c.calls[k.stream] = k
		b, at := tmc2.StartFrame(b, tmc2.TypeRequest, flags, k.stream)
		return tmc2.FinishFrame(tmc2.AppendRequest(b, r), at)
	})
	if k.stream == 0 {
		return nil, k.err
	}
	return k, err
}

// send writes what fill appends.
func (c *conn) send(fill func([]byte) []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.out = fill(c.out[:0])
	if len(c.out) == 0 {
		return nil
	}
	_ = c.net.SetWriteDeadline(time.Now().Add(writeTimeout)) // a closed one fails at once below
	if _, err := c.net.Write(c.out); err != nil {
		c.net.Close() // its reader ends the calls
		return fmt.Errorf("%w: %w", errLost, err)
	}
	return nil
}

// data sends a piece of a body.
func (k *call) data(flags tmc2.Flags, fill func([]byte) []byte) error {
	return k.conn.send(func(b []byte) []byte {
		b, at := tmc2.StartFrame(b, tmc2.TypeData, flags, k.stream)
		return tmc2.FinishFrame(fill(b), at)
	})
}

// wait returns when something has changed.
func (k *call) wait(ctx context.Context) error {
	select {
	case <-k.changed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// abandon tells the server that nobody waits any more.
func (k *call) abandon() {
	k.conn.mu.Lock()
	_, open := k.conn.calls[k.stream]
	delete(k.conn.calls, k.stream)
	k.conn.mu.Unlock()
	if open {
		_ = k.conn.send(func(b []byte) []byte { // if it fails there is nothing to cancel
			return tmc2.AppendFrame(b, tmc2.Frame{Type: tmc2.TypeCancel, Stream: k.stream})
		})
	}
}

// broken says that no new stream can be opened.
func (c *conn) broken() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err != nil
}

// close ends the connection and waits for its reader.
func (c *conn) close() {
	c.net.Close()
	c.work.Wait()
}
