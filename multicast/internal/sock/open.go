package sock

import (
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"hyzer/multicast/igmp"
)

// Open opens the sockets that c describes. The returned address is the session
// address with the port that was bound and a broadcast address narrowed.
func Open(c Config) (Conn, netip.AddrPort, error) {
	iface, err := c.ifaceAddr()
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	if err := c.checkIPv6(iface); err != nil {
		return nil, netip.AddrPort{}, err
	}
	session := c.Session
	if c.Broadcast {
		session = netip.AddrPortFrom(NarrowBroadcast(session.Addr(), iface), session.Port())
	}
	o := opener{Config: c, session: session, iface: iface}
	if iface.Is6() {
		o.index, err = interfaceIndex(iface)
	}
	var conn *conn
	if err == nil {
		conn, err = o.open()
	}
	if err != nil {
		return nil, netip.AddrPort{}, fmt.Errorf("opening session %v on interface %v: %w", c.Session, iface, err)
	}
	return conn, netip.AddrPortFrom(session.Addr(), conn.Local().Port()), nil
}

type opener struct {
	Config
	session netip.AddrPort
	iface   netip.Addr
	index   int // of the interface, for IPv6
}

func (o opener) open() (*conn, error) {
	rx, err := o.socket(netip.AddrPortFrom(o.receiveAddr(), o.session.Port()))
	if err != nil {
		return nil, err
	}
	port := rx.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	tx := rx
	if o.Multicast() && o.Client {
		if tx, err = o.socket(netip.AddrPortFrom(o.iface, port)); err != nil {
			rx.Close()
			return nil, err
		}
	}
	c, err := newConn(rx, tx, netip.AddrPortFrom(o.iface, port))
	if err == nil {
		c.rxBatch.errors = !o.Client
	}
	if err == nil && o.Multicast() {
		c.group, c.iface, c.index = o.session.Addr(), o.iface, o.index
		if err = c.join(); c.group.Is4() {
			c.reports, _ = igmp.OpenSender(c.iface) // only root may
		}
	}
	if !o.Multicast() {
		// Bound to no address, so the route would choose the source.
		if c.source = unix.PktInfo6(&unix.Inet6Pktinfo{Addr: o.iface.As16()}); o.iface.Is4() {
			c.source = unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: o.iface.As4()})
		}
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// receiveAddr is what the receiving socket binds (A1.6). On a shared host a
// unicast peer has its own address, so that both can have the port.
func (o opener) receiveAddr() netip.Addr {
	switch {
	case o.Multicast() && o.Client:
		return o.session.Addr()
	case o.ShareHost && !o.Multicast() && !o.Broadcast:
		return o.iface
	}
	if o.iface.Is6() {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}

// socket opens by hand: package net binds the wildcard address when it is
// asked for a group.
func (o opener) socket(bind netip.AddrPort) (*net.UDPConn, error) {
	family := unix.AF_INET
	var to unix.Sockaddr = &unix.SockaddrInet6{Port: int(bind.Port()), Addr: bind.Addr().As16()}
	if o.iface.Is6() {
		family = unix.AF_INET6
	} else {
		to = &unix.SockaddrInet4{Port: int(bind.Port()), Addr: bind.Addr().As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := o.configure(fd); err != nil {
		unix.Close(fd)
		return nil, err
	}
	if err := unix.Bind(fd, to); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("%v: %w", bind, os.NewSyscallError("bind", err))
	}
	f := os.NewFile(uintptr(fd), "frisbee")
	defer f.Close()
	pc, err := net.FilePacketConn(f)
	if err != nil {
		return nil, err
	}
	return pc.(*net.UDPConn), nil
}

func (o opener) configure(fd int) error {
	o.setBuffers(fd)
	if o.Client {
		// A kernel that cannot gives datagrams one by one.
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_GRO, 1)
	}
	loop := 0
	if o.ShareHost {
		loop = 1
	}
	list := []option{
		{"SO_REUSEADDR", o.Client || o.ShareHost, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1},
		{"SO_BROADCAST", o.Broadcast, unix.SOL_SOCKET, unix.SO_BROADCAST, 1},
	}
	if o.iface.Is6() {
		list = append(list, o.options6(loop)...)
	} else {
		list = append(list, o.options4(loop)...)
	}
	for _, s := range list {
		if !s.wanted {
			continue
		}
		if err := unix.SetsockoptInt(fd, s.level, s.opt, s.value); err != nil {
			return fmt.Errorf("socket option %s: %w", s.name, err)
		}
	}
	if o.Multicast() && o.iface.Is4() {
		if err := unix.SetsockoptInet4Addr(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, o.iface.As4()); err != nil {
			return fmt.Errorf("sending to groups through %v: %w", o.iface, err)
		}
	}
	return nil
}

// option is one that takes a number.
type option struct {
	name       string
	wanted     bool
	level, opt int
	value      int
}

// options4 are the socket options of an IPv4 socket.
func (o opener) options4(loop int) []option {
	return []option{
		{"IP_MULTICAST_TTL", o.Multicast(), unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, ttlHops},
		{"IP_MULTICAST_LOOP", o.Multicast(), unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, loop},
		{"IP_MULTICAST_ALL", o.Multicast(), unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0},
		// Without it a full interface queue drops what was sent and says nothing.
		{"IP_RECVERR", !o.Client, unix.IPPROTO_IP, unix.IP_RECVERR, 1},
	}
}

// setBuffers steps down until the kernel agrees, as the C peers do (A1.7).
func (o opener) setBuffers(fd int) {
	receive, send := o.BufferBytes, o.BufferBytes
	if o.BufferBytes <= 0 {
		receive, send = BufferBytesDefault, BufferBytesDefault
		if o.Client {
			receive = ReceiveBytesDefault
		}
	}
	setBuffer(fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, receive)
	setBuffer(fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, send)
}

// setBuffer first tries what only root may: to pass the system's limit.
func setBuffer(fd, force, option, bytes int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, bytes) == nil {
		return
	}
	for ; bytes > 0; bytes -= bufferBytesStep {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, bytes) == nil {
			return
		}
	}
}
