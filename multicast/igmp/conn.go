package igmp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// packetBytesMax is what is read of a packet.
const packetBytesMax = 1500

// Conn is a raw socket on one interface.
type Conn struct {
	f     *os.File
	iface netip.Addr
}

// OpenSender opens one that is not read: it holds next to nothing.
func OpenSender(iface netip.Addr) (*Conn, error) {
	c, err := Open(iface)
	if err != nil {
		return nil, err
	}
	raw, err := c.f.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1) }) // the kernel's least
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Open opens one on the interface with an address.
func Open(iface netip.Addr) (*Conn, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_IGMP)
	if err != nil {
		return nil, os.NewSyscallError("raw socket for IGMP", err)
	}
	err = errors.Join(
		through(fd, iface),
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, 1),
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0),
		unix.SetsockoptString(fd, unix.IPPROTO_IP, unix.IP_OPTIONS, "\x94\x04\x00\x00"), // Router Alert
	)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("socket for IGMP on %v: %w", iface, err)
	}
	return &Conn{os.NewFile(uintptr(fd), "igmp"), iface}, nil
}

// Close closes the socket.
func (c *Conn) Close() error { return c.f.Close() }

// While keeps this host in a group while f runs, whatever f leaves, so that nobody
// is told of a leave.
func (c *Conn) While(group netip.Addr, f func() error) error {
	raw, err := c.f.SyscallConn()
	if err != nil {
		return err
	}
	member := unix.IPMreq{Multiaddr: group.As4(), Interface: c.iface.As4()}
	var inner error
	err = raw.Control(func(fd uintptr) {
		inner = unix.SetsockoptIPMreq(int(fd), unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, &member)
	})
	if err = errors.Join(err, inner); err != nil {
		return fmt.Errorf("joining group %v on interface %v: %w", group, c.iface, err)
	}
	err = f()
	return errors.Join(err, raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptIPMreq(int(fd), unix.IPPROTO_IP, unix.IP_DROP_MEMBERSHIP, &member)
	}))
}

// Report says that this host is in a group.
func (c *Conn) Report(group netip.Addr) error {
	return c.send(Message{Type: ReportV2, Group: group}, group)
}

// Query asks all hosts for their groups.
func (c *Conn) Query() error {
	return c.send(Message{Type: Query, Code: queryCode, Group: netip.IPv4Unspecified()}, AllHosts())
}

// send sends by the interface that has the address now: it may be another one than
// at first.
func (c *Conn) send(m Message, to netip.Addr) error {
	raw, err := c.f.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Write(func(fd uintptr) bool {
		if sent = through(int(fd), c.iface); sent == nil {
			sent = unix.Sendto(int(fd), m.Append(nil), 0, &unix.SockaddrInet4{Addr: to.As4()})
		}
		return !errors.Is(sent, unix.EAGAIN)
	})
	return errors.Join(err, os.NewSyscallError("sendto", sent))
}

func through(fd int, iface netip.Addr) error {
	return unix.SetsockoptInet4Addr(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, iface.As4())
}

// Read waits until deadline for a message, and returns who sent it. Others than
// queries are heard only of groups that this host is in.
func (c *Conn) Read(deadline time.Time) (m Message, from netip.Addr, err error) {
	if err := c.f.SetReadDeadline(deadline); err != nil {
		return m, from, err
	}
	buf := make([]byte, packetBytesMax)
	for {
		n, err := c.f.Read(buf)
		if err != nil {
			return m, from, err
		}
		head := int(buf[0]&15) * 4
		if n < 20 || head < 20 || n < head {
			continue
		}
		if m, err = Parse(buf[head:n]); err == nil {
			return m, netip.AddrFrom4([4]byte(buf[12:16])), nil
		}
	}
}

// RunQuerier asks all hosts for their groups at once and then every so often,
// until ctx is done. It defers to nobody: the lowest address would win, and
// switches take what comes.
func RunQuerier(ctx context.Context, iface netip.Addr, every time.Duration, log *slog.Logger) error {
	c, err := OpenSender(iface)
	if err != nil {
		return err
	}
	defer c.Close()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := c.Query(); err != nil {
			log.Warn("group memberships could not be asked for", "service", "igmp", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
