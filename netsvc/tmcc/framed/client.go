package framed

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"hyzer/netsvc/tmc2"
)

// Client asks one server over one connection, which it makes when it is needed
// and again when it is lost. Its fields are set before the first call; calls may
// be made from several goroutines.
type Client struct {
	Addrs []netip.AddrPort // of the server, tried in this order
	Bind  netip.Addr       // local address, for tests with many nodes on one host
	// BootID names this boot of the node; zero gives up the promise that a
	// repeated request is executed once.
	BootID       tmc2.BootID
	ReplyVersion int    // of the replies; 0 is the current one
	VNode        string // virtual node that is asked for, "" for none
	Container    bool   // the virtual node itself asks
	PrivKey      string // who asks, where the address does not say so
	Key          Key    // proves who asks; zero does not
	// LoaderVersion is, for bootwhat, the version of a bootinfo packet; nil
	// does not say.
	LoaderVersion *uint16
	// Secure makes TLS of a new connection, or closes it; nil speaks in clear.
	Secure func(context.Context, net.Conn) (net.Conn, error)
	// RetryPause is before the second try, and doubles; 0 is a second.
	RetryPause time.Duration

	mu   sync.Mutex // held while connecting
	conn *conn

	shown atomic.Bool // PrivKey goes also where a proof was sent in clear

	ids    sync.Mutex
	nextID uint64
}

const (
	triesMax   = 4
	retryPause = time.Second // doubles with each try
	pieceBytes = 16 << 10    // of a body in one frame
)

// NewBootID returns a random boot id.
func NewBootID() (id tmc2.BootID) {
	_, _ = rand.Read(id[:]) // which never fails
	return id
}

// Do makes one request and returns its reply and status. It repeats the request
// on a new connection when one is lost, and later when the server is busy. A
// status that is not good is no error: the server answered. ErrLegacy,
// ErrNoAnswer and errors of connecting are returned only if nothing was
// executed.
func (c *Client) Do(ctx context.Context, command string, args []string, body []byte) (reply []byte, status tmc2.Status, err error) {
	return c.do(ctx, c.request(command, args), body)
}

// DoETag is Do for a reply that the caller has already; etag is of its last
// status, or 0. With status tmc2.CodeNotModified there is no reply.
func (c *Client) DoETag(ctx context.Context, command string, args []string, etag uint64) (reply []byte, status tmc2.Status, err error) {
	r := c.request(command, args)
	r.Flags, r.ETag = tmc2.FlagWantETag, etag
	return c.do(ctx, r, nil)
}

// do tries a request until it is answered. Once it was sent, connecting is
// tried again as well.
func (c *Client) do(ctx context.Context, r *tmc2.Request, body []byte) (reply []byte, status tmc2.Status, err error) {
	pause := c.retryPause()
	for try, sent := 1, false; ; try++ {
		reply, status, err = c.try(ctx, r, body, &sent)
		if err == nil && c.shows(r, status.Code) {
			continue
		}
		var busy *busyError
		wait := pause
		switch {
		case err == nil && status.Code == tmc2.CodeBusy:
			wait = max(wait, status.Retry)
		case err == nil || ctx.Err() != nil || !sent && !errors.Is(err, errLost) && !errors.As(err, &busy):
			return reply, status, err
		case busy != nil:
			wait = max(wait, busy.retry)
		}
		if try == triesMax {
			return reply, status, err
		}
		if err := sleep(ctx, wait); err != nil {
			return nil, status, err
		}
		pause *= 2
	}
}

func (c *Client) retryPause() time.Duration { return cmp.Or(c.RetryPause, retryPause) }

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *Client) try(ctx context.Context, r *tmc2.Request, body []byte, sent *bool) ([]byte, tmc2.Status, error) {
	conn, err := c.connect(ctx)
	if err != nil {
		return nil, tmc2.Status{}, err
	}
	flags := tmc2.FlagEnd
	if len(body) > 0 {
		flags = 0
	}
	k, err := c.open(conn, r, flags)
	if err != nil {
		return nil, tmc2.Status{}, err
	}
	*sent = true
	defer k.abandon()
	left := body
	for said := uint64(0); ; {
		reply, status, position, err := k.state()
		if err != nil || status != nil {
			return reply, orZero(status), err
		}
		for len(left) > 0 && said < position+uint64(conn.peer.WindowBytes) {
			n := min(len(left), pieceBytes, int(position+uint64(conn.peer.WindowBytes)-said))
			if err := k.piece(left[:n], n == len(left)); err != nil {
				return nil, tmc2.Status{}, err
			}
			left, said = left[n:], said+uint64(n)
		}
		if err := k.wait(ctx); err != nil {
			return nil, tmc2.Status{}, err
		}
	}
}

func orZero(s *tmc2.Status) tmc2.Status {
	if s == nil {
		return tmc2.Status{}
	}
	return *s
}

func (k *call) piece(b []byte, last bool) error {
	flags := tmc2.Flags(0)
	if last {
		flags = tmc2.FlagEnd
	}
	return k.data(flags, func(out []byte) []byte { return append(out, b...) })
}

func (k *call) state() (reply []byte, status *tmc2.Status, position uint64, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.status != nil {
		return k.reply, k.status, k.position, nil
	}
	return k.reply, nil, k.position, k.err
}

// request is one with an ID of its own.
func (c *Client) request(command string, args []string) *tmc2.Request {
	r := &tmc2.Request{ID: c.newID(), Command: []byte(command), VNode: []byte(c.VNode), PrivKey: []byte(c.PrivKey)}
	for _, arg := range args {
		r.Args = append(r.Args, []byte(arg))
	}
	if c.Container {
		r.Mode = tmc2.ModeContainer
	}
	if c.LoaderVersion != nil {
		r.LoaderVersion, r.HasLoaderVersion = *c.LoaderVersion, true
	}
	return r
}

// newID counts from a random number: several clients may share a boot id.
func (c *Client) newID() uint64 {
	c.ids.Lock()
	defer c.ids.Unlock()
	if c.nextID == 0 {
		var b [8]byte
		_, _ = rand.Read(b[:]) // which never fails
		c.nextID = binary.BigEndian.Uint64(b[:])
	}
	c.nextID++
	return c.nextID
}

// connect returns the connection, a new one if the last is lost.
func (c *Client) connect(ctx context.Context) (*conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil && !c.conn.broken() {
		return c.conn, nil
	}
	if c.conn != nil {
		c.conn.close()
		c.conn = nil
	}
	raw, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	if c.Secure != nil {
		if raw, err = c.Secure(ctx, raw); err != nil {
			return nil, err
		}
	}
	c.conn, err = c.greet(ctx, raw)
	return c.conn, err
}

// open begins a stream. In clear the PRIVKEY goes only where no proof does, or
// where the proof did not help.
func (c *Client) open(conn *conn, r *tmc2.Request, flags tmc2.Flags) (*call, error) {
	if conn.proved && !c.shown.Load() {
		without := *r
		without.PrivKey = nil
		r = &without
	}
	return conn.open(r, flags)
}

func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	dialer := net.Dialer{}
	if c.Bind.IsValid() {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.Bind, 0))
	}
	err := errors.New("tmc2: no address to connect to")
	for _, addr := range c.Addrs {
		var raw net.Conn
		if raw, err = dialer.DialContext(ctx, "tcp", addr.String()); err == nil {
			return raw, nil
		}
	}
	return nil, fmt.Errorf("tmc2: %w", err)
}

// Close ends the connection. Calls that are being made fail or connect again.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		c.conn.close()
		c.conn = nil
	}
	return nil
}
