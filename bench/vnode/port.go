package vnode

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// datagramBytesMax is the longest datagram a node reads; longer ones are cut
// and then refused by whoever decodes them.
const datagramBytesMax = 4096

// port is a UDP socket that a power cut closes.
type port struct {
	ctx  context.Context
	conn *net.UDPConn
	stop func() bool
	buf  [datagramBytesMax]byte
}

// openPort binds a socket. With link it hears and sends broadcasts on that
// interface alone.
func openPort(ctx context.Context, local netip.AddrPort, link string) (*port, error) {
	config := net.ListenConfig{}
	if link != "" {
		config.Control = func(_, _ string, c syscall.RawConn) error {
			var set error
			err := c.Control(func(fd uintptr) { set = broadcastOn(int(fd), link) })
			return errors.Join(err, set)
		}
	}
	conn, err := config.ListenPacket(ctx, "udp4", local.String())
	if err != nil {
		return nil, err
	}
	p := &port{ctx: ctx, conn: conn.(*net.UDPConn)}
	p.stop = context.AfterFunc(ctx, func() { p.conn.Close() })
	return p, nil
}

func broadcastOn(fd int, link string) error {
	for _, o := range []int{unix.SO_BROADCAST, unix.SO_REUSEADDR} {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, o, 1); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	return os.NewSyscallError("bind to "+link, unix.BindToDevice(fd, link))
}

func (p *port) close() {
	p.stop()
	p.conn.Close()
}

func (p *port) send(b []byte, to netip.AddrPort) error {
	if err := p.ctx.Err(); err != nil {
		return err
	}
	_, err := p.conn.WriteToUDPAddrPort(b, to)
	return err
}

// receive waits for a datagram; the zero deadline waits for ever. It fails with
// os.ErrDeadlineExceeded, or with errPowerCut. An ICMP error of an earlier send
// is no answer, and waiting goes on.
func (p *port) receive(deadline time.Time) ([]byte, netip.AddrPort, error) {
	if err := p.conn.SetReadDeadline(deadline); err != nil && p.ctx.Err() == nil {
		return nil, netip.AddrPort{}, err
	}
	for {
		n, from, err := p.conn.ReadFromUDPAddrPort(p.buf[:])
		switch {
		case p.ctx.Err() != nil:
			return nil, from, errPowerCut
		case errors.Is(err, unix.ECONNREFUSED):
		case err != nil:
			return nil, from, err
		default:
			return p.buf[:n], netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), nil
		}
	}
}

// exchange sends a request and waits for an answer that accept takes; after
// each wait without one the request is sent again. It reports whether there was
// one. Only a power cut and a broken socket are errors.
func (p *port) exchange(request func() []byte, to netip.AddrPort, waits []time.Duration, accept func(b []byte, from netip.AddrPort) bool) (bool, error) {
	for _, wait := range waits {
		_ = p.send(request(), to) // a send that fails is a loss like any other
		heard, err := p.listen(time.Now().Add(wait), accept)
		if heard || err != nil {
			return heard, err
		}
	}
	return false, nil
}

// listen waits for a datagram that accept takes.
func (p *port) listen(deadline time.Time, accept func(b []byte, from netip.AddrPort) bool) (bool, error) {
	for {
		b, from, err := p.receive(deadline)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return false, nil
		case err != nil:
			return false, err
		case accept(b, from):
			return true, nil
		}
	}
}
