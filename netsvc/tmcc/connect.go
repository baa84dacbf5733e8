package tmcc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/netsvc/tmcd"
)

// connect tries every port in turn until one answers. A host that is not there
// yet is tried again for ever: nodes boot before their server does.
func (c *call) connect(ctx context.Context) (net.Conn, error) {
	dialer := net.Dialer{KeepAlive: 0} // the system's keep-alive, as in C
	if c.Unix != "" {
		return dialer.DialContext(ctx, "unix", c.Unix)
	}
	if c.Bind.IsValid() {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.Bind, 0))
		dialer.Control = portLater
	}
	addr, err := c.resolve(ctx)
	if err != nil {
		return nil, err
	}
	for {
		for _, port := range c.ports() {
			var conn net.Conn
			conn, err = dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(addr, port).String())
			if err == nil {
				return conn, nil
			}
			if !worthRetrying(err) {
				return nil, fmt.Errorf("tmcc: %w", err)
			}
			c.debugf("%v", err)
		}
		if c.Once {
			return nil, fmt.Errorf("tmcc: %w", err)
		}
		if err := sleep(ctx, retryPause); err != nil {
			return nil, err
		}
	}
}

// portLater chooses the local port when connecting, not when binding: then a
// port that rests in TIME_WAIT towards one server serves towards others, and
// many calls from one address do not run out of them.
func portLater(_, _ string, raw syscall.RawConn) error {
	var err error
	ctlErr := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1) })
	return errors.Join(ctlErr, err)
}

func worthRetrying(err error) bool {
	for _, errno := range []error{unix.ECONNREFUSED, unix.ECONNRESET, unix.ETIMEDOUT, unix.EAGAIN, unix.EINTR} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return os.IsTimeout(err)
}

func (c *call) ports() []uint16 {
	if len(c.Ports) > 0 {
		return c.Ports
	}
	return tmcd.Ports()
}

// resolve looks the server up, a few times: name servers boot too.
func (c *call) resolve(ctx context.Context) (netip.Addr, error) {
	if addr, err := netip.ParseAddr(c.Server); err == nil {
		return addr, nil
	}
	for try := 1; ; try++ {
		addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", c.Server)
		if err == nil && len(addrs) > 0 {
			return addrs[0].Unmap(), nil
		}
		if try == lookupTries || c.Once || ctx.Err() != nil {
			return netip.Addr{}, fmt.Errorf("tmcc: server %q: %w", c.Server, err)
		}
		if err := sleep(ctx, lookupPause); err != nil {
			return netip.Addr{}, err
		}
	}
}

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
