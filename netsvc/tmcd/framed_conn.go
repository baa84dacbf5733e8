package tmcd

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"hyzer/netsvc/tmc2"
)

// framedConn is one framed connection. Its reader answers requests that change
// nothing in place, as long as nothing else is being done; all others go through the
// node's lane, in order.
type framedConn struct {
	s    *Server
	conn net.Conn
	origin
	peer  tmc2.Hello
	out   framedOut
	proof atomic.Pointer[proof]

	// Of the reader alone.
	buf        []byte // read and not yet decoded: buf[at:]
	at         int
	request    tmc2.Request
	lastStream uint32
	nonce      tmc2.Nonce // the challenge that was not answered yet

	draining atomic.Bool
	work     sync.WaitGroup
	mu       sync.Mutex
	streams  map[uint32]*stream
	lanes    map[string]*lane
	watching int  // streams that are watches
	resting  bool // it has given back its place (framed_place.go)
	large    bool // the frame that is being read needs one
	place    *place
}

// errProtocol ends a connection whose client broke the rules.
var errProtocol = errors.New("tmcd: protocol error")

func protocolError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errProtocol, fmt.Sprintf(format, args...))
}

// openFramed greets a client of which in has read the preamble. nil is one that
// was sent away.
func (s *Server) openFramed(in *inbound, by origin) (*framedConn, error) {
	c := &framedConn{s: s, conn: in.conn, origin: by, peer: tmc2.UsualHello(),
		buf: in.buf, at: len(tmc2.Preamble), place: in.place,
		streams: map[uint32]*stream{}, lanes: map[string]*lane{}}
	c.out = framedOut{conn: in.conn, timeout: s.cfg.Timeouts.Reply}
	if err := c.hello(in.until); err != nil {
		return nil, err
	}
	if code := s.framed.enter(c, s.framedPerAddr(by.from)); code != tmc2.CodeOK {
		s.counts.Refused.Add(1)
		c.goAway(code, retryAfter(code), "")
		return nil, nil
	}
	return c, nil
}

// serve serves a connection until its client ends it or is quiet for too long,
// or the server stops.
func (c *framedConn) serve() {
	defer c.leave()
	c.finish(c.readLoop())
}

func (c *framedConn) leave() {
	c.s.framed.leave(c)
	if c.transport == TLS {
		c.conn.Close() // with a word that it is the end
	}
}

// hello reads the client's HELLO and answers it.
func (c *framedConn) hello(until time.Time) error {
	f, err := c.next(until)
	if err != nil {
		return err
	}
	if f.Type != tmc2.TypeHello || f.Stream != 0 {
		return protocolError("%v in place of HELLO", f.Type)
	}
	if c.peer, err = tmc2.DecodeHello(f.Payload); err != nil {
		return err
	}
	c.proveOverTLS()
	mine := tmc2.Hello{Nonce: c.challenge(), VersionMin: tmc2.Version, VersionMax: tmc2.Version, ReplyVersion: c.peer.ReplyVersion,
		PayloadBytes: framedFrameBytes, Streams: framedStreams, WindowBytes: framedWindowBytes,
		BootID: c.s.framed.run, Idle: framedIdleTimeout}
	if c.s.framed.logs != nil {
		mine.Features |= tmc2.FeatureLiveLog
	}
	c.out.mu.Lock()
	b, at := tmc2.StartFrame(append(c.out.buf, tmc2.Preamble...), tmc2.TypeHello, 0, 0)
	c.out.buf = tmc2.FinishFrame(tmc2.AppendHello(b, &mine), at)
	c.out.mu.Unlock()
	if !c.peer.Speaks() {
		c.goAway(tmc2.CodeVersion, 0, "")
		return errProtocol
	}
	return nil
}

// readLoop takes frames until the connection ends. Its error says why.
func (c *framedConn) readLoop() error {
	for {
		f, err := c.next(time.Time{})
		if err != nil {
			return err
		}
		if err := c.take(f); err != nil {
			return err
		}
		if c.out.size() >= framedOutBytes {
			if err := c.out.flush(); err != nil {
				return err
			}
		}
	}
}

func (c *framedConn) take(f tmc2.Frame) error {
	switch f.Type {
	case tmc2.TypeRequest:
		return c.takeRequest(f)
	case tmc2.TypeData:
		return c.takeData(f)
	case tmc2.TypeCancel:
		c.cancel(f.Stream)
	case tmc2.TypePing:
		if _, err := tmc2.DecodePing(f.Payload); err != nil {
			return err
		}
		if f.Flags&tmc2.FlagPong == 0 {
			f.Flags = tmc2.FlagPong
			c.out.frame(f)
		}
	case tmc2.TypeGoAway:
		c.draining.Store(true) // nothing more comes
	case tmc2.TypeHello:
		return c.takeProof(f.Payload)
	}
	return nil
}

// next returns the next frame, whose payload is valid until the call after.
// Before it waits, it sends what was answered. until is the deadline of the
// first frame; zero is the usual ones.
func (c *framedConn) next(until time.Time) (tmc2.Frame, error) {
	var begun time.Time
	for {
		f, n, err := tmc2.DecodeFrame(c.buf[c.at:], framedFrameBytes)
		if err == nil {
			c.at += n
			return f, nil
		}
		if !errors.Is(err, tmc2.ErrIncomplete) {
			return f, err
		}
		deadline := until
		if deadline.IsZero() {
			deadline = c.deadline(&begun)
		}
		if err := c.fill(deadline); err != nil {
			return f, err
		}
	}
}

// deadline is when the next byte must be there. begun is when the frame being
// read was first seen in part.
func (c *framedConn) deadline(begun *time.Time) time.Time {
	if c.at < len(c.buf) {
		if begun.IsZero() {
			*begun = time.Now()
		}
		return begun.Add(framedFrameTimeout)
	}
	if c.busy() {
		return time.Time{} // the system's keep-alive finds clients that are gone
	}
	return time.Now().Add(framedIdleTimeout)
}

// fill reads once, into a buffer that holds the frame that has begun.
func (c *framedConn) fill(deadline time.Time) error {
	if err := c.out.flush(); err != nil {
		return err
	}
	rest := c.buf[c.at:]
	want, err := c.room(rest)
	if err != nil {
		return err
	}
	if cap(c.buf) == want {
		c.buf = c.buf[:copy(c.buf, rest)]
	} else {
		c.buf = append(make([]byte, 0, want), rest...)
	}
	c.at = 0
	if err := c.conn.SetReadDeadline(deadline); err != nil {
		return err
	}
	if c.draining.Load() {
		return io.EOF
	}
	n, err := c.conn.Read(c.buf[len(c.buf):cap(c.buf)])
	c.buf = c.buf[:len(c.buf)+n]
	if n > 0 {
		return nil
	}
	return err
}

// room is how large the buffer for a frame that has begun, or for the next one,
// shall be.
func (c *framedConn) room(rest []byte) (int, error) {
	n, err := tmc2.FrameBytes(rest, framedFrameBytes)
	if err != nil { // its header is not whole
		n = 0
	}
	if !c.expect(n) {
		return 0, errNoPlace
	}
	if len(rest) == 0 && c.relax() {
		return tmc2.HeaderBytes, nil
	}
	return max(framedBufferBytes, n), nil
}

// busy says whether a stream is open or a lane at work.
func (c *framedConn) busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.streams)+len(c.lanes) > 0
}

// drain makes the reader stop; what was begun is finished.
func (c *framedConn) drain() {
	c.draining.Store(true)
	_ = c.conn.SetReadDeadline(time.Now()) // it ends a read that waits
}

// finish ends the bodies that are not whole, waits for what is being done, and
// tells the client why nothing more is read.
func (c *framedConn) finish(why error) {
	for _, st := range c.open() {
		st.breakOff()
	}
	c.work.Wait()
	code, text := tmc2.CodeGoingAway, ""
	switch {
	case errors.Is(why, errNoPlace):
		code = tmc2.CodeBusy
	case c.draining.Load() || errors.Is(why, os.ErrDeadlineExceeded):
	case errors.Is(why, errProtocol), errors.Is(why, tmc2.ErrMalformed), errors.Is(why, tmc2.ErrChecksum), errors.Is(why, tmc2.ErrTooLarge):
		code, text = tmc2.CodeProtocol, why.Error()
		c.s.counts.Refused.Add(1)
		c.s.cfg.Log.Debug("framed connection ended", "service", "tmcd", "from", c.from, "error", why)
	default:
		_ = c.out.flush() // a client that has gone needs no GOAWAY
		return
	}
	c.goAway(code, retryAfter(code), text)
}

// open are the streams that are not answered.
func (c *framedConn) open() []*stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Values(c.streams))
}

// retryAfter is when a client may come again.
func retryAfter(code tmc2.Code) time.Duration {
	if code == tmc2.CodeBusy {
		return framedBusyRetry
	}
	return 0
}

// goAway says the last word and sends what is left. The client may have sent
// more; closing on that would reset the connection under the word, so the
// little that is there is read.
func (c *framedConn) goAway(code tmc2.Code, retry time.Duration, text string) {
	c.out.message(tmc2.TypeGoAway, 0, 0, func(b []byte) []byte {
		return tmc2.AppendGoAway(b, &tmc2.GoAway{Code: code, LastStream: c.lastStream, Retry: retry, Text: []byte(text)})
	})
	if c.out.flush() != nil {
		return
	}
	half, ok := c.conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(c.s.cfg.Timeouts.LateBody))
	_, _ = io.Copy(io.Discard, io.LimitReader(c.conn, refusedBytesMax))
}
