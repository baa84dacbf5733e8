package tmcc

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Client reaches one server.
type Client struct {
	Server string   // name or address
	Ports  []uint16 // tried in this order; empty is 7777 and 14447
	UDP    bool     // one datagram, one answer, no second try
	Unix   string   // path of a proxy's socket, in place of Server
	// Timeout ends a call that makes no progress; 0 waits for ever.
	Timeout time.Duration
	// Once makes a connection that cannot be made an error at once. The
	// command tries for ever.
	Once bool
	// TLS is spoken, unless it is nil. Not over UDP or a proxy's socket.
	TLS *tls.Config
	// Bind is the local address, for tests with many nodes on one host.
	Bind netip.Addr
	// Debug gets a line per step; nil is silent.
	Debug io.Writer
}

const (
	retryPause      = 10 * time.Second // after all ports were tried
	lookupTries     = 5
	lookupPause     = 5 * time.Second
	redirectsMax    = 4
	redirectTag     = "REDIRECT="
	redirectMax     = 256 // bytes of a redirecting reply
	datagramMax     = 64 << 10
	datagramDataMax = 2047 // what a C server reads of a datagram
)

// Errors that callers tell apart.
var (
	ErrTimeout      = errors.New("Timed out because there was no progress!") // the C client's words
	errRedirectLoop = errors.New("tmcc: redirected too often")
)

// Do makes one exchange and copies the reply to out as it arrives.
func (c *Client) Do(ctx context.Context, req Request, out io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	call := &call{Client: *c, req: req, progress: func() {}}
	if c.Timeout > 0 {
		alarm := time.AfterFunc(c.Timeout, func() { cancel(ErrTimeout) })
		defer alarm.Stop()
		call.progress = func() { alarm.Reset(c.Timeout) }
	}
	err := call.run(ctx, out)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// call is one Do, which may move to another server.
type call struct {
	Client
	req      Request
	progress func()
}

func (c *call) run(ctx context.Context, out io.Writer) error {
	for range redirectsMax + 1 {
		target, err := c.exchange(ctx, out)
		if err != nil || target == "" {
			return err
		}
		c.debugf("redirected to %s", target)
		host, vnode, _ := strings.Cut(target, ":")
		c.Server, c.Unix = host, ""
		if vnode != "" {
			c.req.VNode = vnode
		}
	}
	return errRedirectLoop
}

// exchange asks one server. A C server resets the connection on a long request:
// then a shorter one is sent in its place.
func (c *call) exchange(ctx context.Context, out io.Writer) (redirect string, err error) {
	if c.UDP && c.Unix == "" {
		return c.exchangeUDP(ctx, out)
	}
	request := c.req.Bytes()
	redirect, err = c.exchangeStream(ctx, request, out)
	short, ok := c.req.Shortened()
	if ok && ctx.Err() == nil && (errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE)) {
		c.debugf("server does not take %d bytes, sending %d", len(request), len(short))
		return c.exchangeStream(ctx, short, out)
	}
	return redirect, err
}

func (c *call) exchangeStream(ctx context.Context, request []byte, out io.Writer) (redirect string, err error) {
	conn, err := c.connect(ctx)
	if err != nil {
		return "", err
	}
	if c.TLS != nil && c.Unix == "" {
		if conn, err = secure(ctx, conn, c.TLS); err != nil {
			return "", err
		}
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	c.progress()
	if err := c.send(conn, request); err != nil {
		return "", err
	}
	return c.receive(conn, out)
}

// send writes the request, and half-closes for versions whose servers look for
// it. C does not do so on a proxy's socket; its proxy does not mind.
func (c *call) send(conn net.Conn, request []byte) error {
	for len(request) > 0 {
		n, err := conn.Write(request[:min(len(request), 64<<10)])
		if err != nil {
			return fmt.Errorf("tmcc: sending: %w", err)
		}
		request = request[n:]
		c.progress()
	}
	half, ok := conn.(interface{ CloseWrite() error })
	if _, secured := conn.(*tls.Conn); secured {
		return nil // nobody half-closes there
	}
	if version := c.req.Version; !ok || version != 0 && version < 22 {
		return nil
	}
	if err := half.CloseWrite(); err != nil {
		return fmt.Errorf("tmcc: sending: %w", err)
	}
	return nil
}

// receive copies the reply, unless it redirects.
func (c *call) receive(conn net.Conn, out io.Writer) (redirect string, err error) {
	in := bufio.NewReaderSize(&progressReader{conn, c.progress}, 16<<10)
	if tag, _ := in.Peek(len(redirectTag)); string(tag) == redirectTag {
		line, err := io.ReadAll(io.LimitReader(in, redirectMax))
		if err != nil {
			return "", fmt.Errorf("tmcc: receiving: %w", err)
		}
		target, _, _ := bytes.Cut(line[len(redirectTag):], []byte("\n"))
		return string(target), nil
	}
	if _, err := io.Copy(out, in); err != nil {
		return "", fmt.Errorf("tmcc: receiving: %w", err)
	}
	return "", nil
}

type progressReader struct {
	in       io.Reader
	progress func()
}

func (r *progressReader) Read(b []byte) (int, error) {
	n, err := r.in.Read(b)
	if n > 0 {
		r.progress()
	}
	return n, err
}

func (c *call) debugf(format string, args ...any) {
	if c.Debug != nil {
		fmt.Fprintf(c.Debug, "tmcc: "+format+"\n", args...)
	}
}
