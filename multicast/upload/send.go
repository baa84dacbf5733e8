package upload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"hyzer/multicast/master"
	"hyzer/multicast/wire"
)

// Times and tries of the C client (spec frisbee B3).
const (
	busyTries   = 3
	busyPause   = 2 * time.Second
	verifyPause = time.Second
	// The C client tries three times. A large image takes its time to be checked
	// and become durable: verifyTriesMin, and one for each verifyBytesPerTry.
	verifyTriesMin    = 10
	verifyBytesPerTry = 32 << 20
	connectTime       = 30 * time.Second
	timeoutMin        = 10 * time.Second
	bytesPerSec       = 1 << 20 // the slowest that the default timeout allows
	askMargin         = 2 * time.Second
	bufferBytes       = 64 << 10
)

// Config is an upload.
type Config struct {
	Server  netip.AddrPort // master server
	From    netip.Addr     // address to send from; not valid: by the routes
	For     netip.Addr     // host that the image is of; not valid: this one
	ImageID string
	Bytes   int64     // 0: not known
	MTime   time.Time // zero: not known
	// Timeout bounds the whole; 0: by the size, or the server's if that is not
	// known. Idle bounds a time without progress; 0: none.
	Timeout, Idle time.Duration
	BufferBytes   int
	SocketBytes   int
	NoVerify      bool
	// OnStart is told where the bytes go; nil: nobody.
	OnStart func(netip.AddrPort)
}

// Errors that Send may wrap.
var (
	ErrCut    = errors.New("the image was not read to its end")
	ErrVerify = errors.New("the server does not have the image")
	// ErrMaster is a refusal of the master server, whose wire.MasterError is
	// wrapped too, or that it did not answer.
	ErrMaster = errors.New("master server")
)

// timeout is the time for the transfer; 0: not bounded.
func (c *Config) timeout() time.Duration {
	if c.Timeout > 0 || c.Bytes == 0 {
		return c.Timeout
	}
	return max(timeoutMin, time.Duration(c.Bytes/bytesPerSec)*time.Second)
}

func (c *Config) query(status uint8) master.PutQuery {
	q := master.PutQuery{Server: c.Server, From: c.From}
	q.Request = wire.PutRequest{Host: netip.IPv4Unspecified(), Status: status, ImageID: c.ImageID}
	if c.For.IsValid() {
		q.Request.Host = c.For
	}
	if status != 0 {
		return q
	}
	q.Request.FileBytes, q.Request.EndMark = uint64(c.Bytes), c.Bytes == 0
	if !c.MTime.IsZero() {
		q.Request.MTime = uint32(c.MTime.Unix())
	}
	if t := c.timeout(); t > 0 {
		q.Request.TimeoutS = uint32((t + askMargin) / time.Second)
	}
	return q
}

// Send uploads what from has, to its end, and returns how many bytes that was. If
// it can be closed that ends a read that waits when ctx, or the time, is over.
func Send(ctx context.Context, c Config, from io.Reader) (int64, error) {
	reply, err := ask(ctx, c.query(0), busyTries, busyPause)
	if err != nil {
		return 0, err
	}
	at := netip.AddrPortFrom(reply.Addr, reply.Port)
	if c.OnStart != nil {
		c.OnStart(at)
	}
	n, err := stream(ctx, c, at, from, reply.EndMark)
	if err != nil || c.NoVerify {
		return n, err
	}
	return n, c.verify(ctx, n)
}

// Status asks whether the image could be uploaded, and what is there.
func Status(ctx context.Context, c Config) (wire.PutReply, error) {
	return put(ctx, c.query(1))
}

func put(ctx context.Context, q master.PutQuery) (wire.PutReply, error) {
	reply, err := master.Put(ctx, q)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrMaster, err)
	}
	return reply, err
}

// ask asks again while the image is busy.
func ask(ctx context.Context, q master.PutQuery, tries int, pause time.Duration) (reply wire.PutReply, err error) {
	for i := range tries {
		if i > 0 {
			if err := wait(ctx, pause); err != nil {
				return reply, err
			}
		}
		if reply, err = put(ctx, q); !errors.Is(err, wire.MasterTryAgain) {
			break
		}
	}
	return reply, err
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Stream sends the bytes to an upload server.
func Stream(ctx context.Context, c Config, at netip.AddrPort, from io.Reader) (n int64, err error) {
	return stream(ctx, c, at, from, false)
}

// stream is Stream, with a mark behind the last byte if the server wants one.
func stream(ctx context.Context, c Config, at netip.AddrPort, from io.Reader, marked bool) (n int64, err error) {
	if t := c.timeout(); t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t)
		defer cancel()
	}
	conn, err := c.dial(ctx, at)
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, conn.SetLinger(0)) // resets
		}
		err = errors.Join(err, conn.Close())
	}()
	stop := context.AfterFunc(ctx, func() {
		conn.SetDeadline(time.Unix(1, 0))
		if from, ok := from.(io.Closer); ok {
			from.Close()
		}
	})
	defer stop()
	n, err = c.copy(conn, from)
	if err == nil && marked {
		_, err = conn.Write(wire.AppendEndMark(nil, n))
	}
	switch {
	case ctx.Err() != nil:
		return n, fmt.Errorf("%w: %w after %d bytes", ErrCut, context.Cause(ctx), n)
	case err != nil:
		return n, fmt.Errorf("%w: after %d bytes: %w", ErrCut, n, err)
	case c.Bytes > 0 && n != c.Bytes:
		return n, fmt.Errorf("%w: %d of %d bytes; it changed while it was sent", ErrCut, n, c.Bytes)
	}
	return n, nil
}

func (c *Config) dial(ctx context.Context, at netip.AddrPort) (*net.TCPConn, error) {
	d := net.Dialer{Timeout: connectTime}
	if c.From.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.From, 0))
	}
	raw, err := d.DialContext(ctx, "tcp4", at.String())
	if err != nil {
		return nil, err
	}
	conn := raw.(*net.TCPConn)
	if c.SocketBytes > 0 {
		if err := conn.SetWriteBuffer(c.SocketBytes); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	return conn, nil
}

// copy sends, with a deadline for each piece if there is an idle time.
func (c *Config) copy(conn *net.TCPConn, from io.Reader) (n int64, err error) {
	size := c.BufferBytes
	if size <= 0 {
		size = bufferBytes
	}
	buf := make([]byte, size)
	for {
		k, rerr := from.Read(buf)
		if k > 0 {
			if c.Idle > 0 {
				if err := conn.SetWriteDeadline(time.Now().Add(c.Idle)); err != nil {
					return n, err
				}
			}
			w, err := conn.Write(buf[:k])
			n += int64(w)
			if err != nil {
				return n, err
			}
		}
		switch {
		case rerr == io.EOF:
			return n, nil
		case rerr != nil:
			return n, rerr
		}
	}
}

// verifyTries is how often is asked, with verifyPause between, while the server is
// busy with an image of that many bytes.
func verifyTries(sent int64) int { return verifyTriesMin + int(sent/verifyBytesPerTry) }

// verify asks until the server is done with the image, and holds what it has
// against what was sent.
func (c *Config) verify(ctx context.Context, sent int64) error {
	if err := wait(ctx, verifyPause); err != nil {
		return err
	}
	r, err := ask(ctx, c.query(1), verifyTries(sent), verifyPause)
	if err != nil {
		return fmt.Errorf("verifying: %w", err)
	}
	mtime, timed := r.Signature.MTime()
	switch {
	case !r.Exists:
		return fmt.Errorf("%w: its log says why", ErrVerify)
	case r.FileBytes != uint64(sent):
		return fmt.Errorf("%w: it has one of %d bytes, %d were sent; its log says why", ErrVerify, r.FileBytes, sent)
	case timed && !c.MTime.IsZero() && mtime != uint32(c.MTime.Unix()):
		return fmt.Errorf("%w: it has one of %v, not of %v", ErrVerify, time.Unix(int64(mtime), 0).UTC(), c.MTime.UTC())
	}
	return nil
}
