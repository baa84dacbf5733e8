package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/netsvc/dhcp"
)

// Ports (RFC 2131 §4.1), and the longest message that is read.
const (
	serverPort      = 67
	clientPort      = 68
	replyBytesMax   = 4096
	naksMax         = 4 // in one Acquire
	renewTries      = 3
	renewRetryPause = 10 * time.Second
)

// ErrNoAnswer says that no server answered as often as was asked.
var ErrNoAnswer = errors.New("DHCP: no server answers")

var errNak = errors.New("DHCP: the server refuses the address")

// Options of a client.
type Options struct {
	Link string // interface, which is up
	MAC  [6]byte
	// Tries are the waits after each message; nil: 4, 8, 16 and 32 s (RFC
	// 2131 §4.1).
	Tries []time.Duration
}

// Acquire gets a lease: DISCOVER, OFFER, REQUEST, ACK.
func Acquire(ctx context.Context, o Options) (Lease, error) {
	c, err := open(ctx, o)
	if err != nil {
		return Lease{}, err
	}
	defer c.close()
	for range naksMax {
		lease, err := c.acquire()
		if !errors.Is(err, errNak) {
			return lease, err
		}
	}
	return Lease{}, errNak
}

// Renew asks the server for more time, and anybody if rebind is set.
func Renew(ctx context.Context, o Options, l Lease, rebind bool) (Lease, error) {
	if o.Tries == nil {
		o.Tries = []time.Duration{renewRetryPause, renewRetryPause, renewRetryPause}[:renewTries]
	}
	c, err := open(ctx, o)
	if err != nil {
		return l, err
	}
	defer c.close()
	to := l.Server
	if rebind {
		to = broadcast
	}
	renewed, err := c.ask(Message{Type: dhcp.Request, CIAddr: l.IP}, to, func(p *dhcp.Packet) bool {
		return p.Type() == dhcp.Ack || p.Type() == dhcp.Nak
	})
	if err == nil && renewed.IP != l.IP {
		err = fmt.Errorf("DHCP: %v renews %v as %v", renewed.Server, l.IP, renewed.IP)
	}
	return renewed, err
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// client is one conversation.
type client struct {
	ctx   context.Context
	opts  Options
	conn  *net.UDPConn
	stop  func() bool
	xid   uint32
	since time.Time
}

func open(ctx context.Context, o Options) (*client, error) {
	if o.Tries == nil {
		o.Tries = []time.Duration{4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second}
	}
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var set error
		err := raw.Control(func(fd uintptr) { set = onLink(int(fd), o.Link) })
		return errors.Join(err, set)
	}}
	conn, err := config.ListenPacket(ctx, "udp4", netip.AddrPortFrom(netip.IPv4Unspecified(), clientPort).String())
	if err != nil {
		return nil, fmt.Errorf("DHCP on %s: %w", o.Link, err)
	}
	c := &client{ctx: ctx, opts: o, conn: conn.(*net.UDPConn), xid: rand.Uint32(), since: time.Now()}
	c.stop = context.AfterFunc(ctx, func() { c.conn.Close() })
	return c, nil
}

// onLink makes a socket hear and send broadcasts on one interface, which need
// not have an address.
func onLink(fd int, link string) error {
	for _, option := range []int{unix.SO_BROADCAST, unix.SO_REUSEADDR} {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, 1); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	return os.NewSyscallError("bind to "+link, unix.BindToDevice(fd, link))
}

func (c *client) close() {
	c.stop()
	c.conn.Close()
}

func (c *client) acquire() (Lease, error) {
	offer, err := c.ask(Message{Type: dhcp.Discover, Broadcast: true}, broadcast, func(p *dhcp.Packet) bool {
		return p.Type() == dhcp.Offer && !p.YIAddr().IsUnspecified() // a proxy's has none
	})
	if err != nil {
		return Lease{}, err
	}
	request := Message{Type: dhcp.Request, Broadcast: true, Requested: offer.IP, Server: offer.Server}
	lease, err := c.ask(request, broadcast, func(p *dhcp.Packet) bool {
		server, _ := p.AddrOption(dhcp.OptServerID)
		return server == offer.Server && (p.Type() == dhcp.Ack || p.Type() == dhcp.Nak)
	})
	if err == nil && lease.IP != offer.IP {
		err = fmt.Errorf("DHCP: %v offered %v and grants %v", offer.Server, offer.IP, lease.IP)
	}
	return lease, err
}

// ask sends a message, again after each wait, until accept takes a reply.
func (c *client) ask(m Message, to netip.Addr, accept func(*dhcp.Packet) bool) (Lease, error) {
	m.XID, m.MAC = c.xid, c.opts.MAC
	for _, wait := range c.opts.Tries {
		m.Secs = uint16(min(time.Since(c.since)/time.Second, 0xffff))
		// A send that fails, such as on a link without carrier, is a loss.
		_, _ = c.conn.WriteToUDPAddrPort(m.Append(nil), netip.AddrPortFrom(to, serverPort))
		lease, err := c.receive(time.Now().Add(wait), accept)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return lease, err
		}
	}
	return Lease{}, fmt.Errorf("%w on %s", ErrNoAnswer, c.opts.Link)
}

// receive waits for a reply of this conversation.
func (c *client) receive(deadline time.Time, accept func(*dhcp.Packet) bool) (Lease, error) {
	if err := c.conn.SetReadDeadline(deadline); err != nil {
		return Lease{}, c.cause(err)
	}
	buf := make([]byte, replyBytesMax)
	for {
		n, _, err := c.conn.ReadFromUDPAddrPort(buf)
		if err != nil && !errors.Is(err, unix.ECONNREFUSED) {
			return Lease{}, c.cause(err)
		}
		var p dhcp.Packet
		if p.Parse(buf[:n]) != nil || !c.ours(&p) || !accept(&p) {
			continue
		}
		if p.Type() == dhcp.Nak {
			return Lease{}, errNak
		}
		lease, err := ReadLease(&p)
		if err != nil {
			continue // another server may know more
		}
		return lease, nil
	}
}

func (c *client) ours(p *dhcp.Packet) bool {
	return p.Op() == opReply && p.XID() == c.xid && bytes.Equal(p.CHAddr(), c.opts.MAC[:])
}

// cause is the context's error rather than that of a socket it closed.
func (c *client) cause(err error) error {
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	return err
}
