package dhcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// link is one UDP socket: one port on one interface or address.
type link struct {
	udp        *net.UDPConn
	raw        syscall.RawConn
	iface      string
	index      int // of the interface, 0 if bound to an address
	mtuBytes   int
	addr       netip.Addr // bound address, unspecified on an interface
	port       uint16
	bootServer bool
}

// listen opens the socket of a link.
func listen(iface string, at netip.AddrPort) (*link, error) {
	l := &link{iface: iface, addr: at.Addr()}
	if iface != "" {
		i, err := net.InterfaceByName(iface)
		if err != nil {
			return nil, fmt.Errorf("dhcp: interface %s: %w", iface, err)
		}
		l.index, l.mtuBytes = i.Index, i.MTU
	}
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var inner error
		err := raw.Control(func(fd uintptr) { inner = prepare(int(fd), iface) })
		return errors.Join(err, inner)
	}}
	pc, err := lc.ListenPacket(context.Background(), "udp4", at.String())
	if err != nil {
		return nil, fmt.Errorf("dhcp: listen on %s%s: %w", at, onInterface(iface), err)
	}
	l.udp = pc.(*net.UDPConn)
	if l.raw, err = l.udp.SyscallConn(); err != nil {
		l.close()
		return nil, fmt.Errorf("dhcp: listen on %s: %w", at, err)
	}
	l.port = l.local().Port()
	return l, nil
}

func onInterface(iface string) string {
	if iface == "" {
		return ""
	}
	return " of " + iface
}

// prepare sets what a DHCP socket needs: the ingress interface and address of
// each datagram, its time of arrival, and the right to broadcast. The address
// may be shared, so that we run beside another server as a proxy.
func prepare(fd int, iface string) error {
	for _, option := range [...]struct{ level, name, value int }{
		{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1},
		{unix.SOL_SOCKET, unix.SO_BROADCAST, 1},
		{unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1},
		{unix.IPPROTO_IP, unix.IP_PKTINFO, 1},
	} {
		if err := unix.SetsockoptInt(fd, option.level, option.name, option.value); err != nil {
			return fmt.Errorf("socket option %d: %w", option.name, err)
		}
	}
	// The limit of the host may be lower: take what there is.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBufferBytes)
	if iface == "" {
		return nil
	}
	if err := unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, iface); err != nil {
		return fmt.Errorf("bind to device %s: %w", iface, err)
	}
	return nil
}

// bound reports whether the socket has an address of its own, and so a source
// address for what it sends.
func (l *link) bound() bool { return !l.addr.IsUnspecified() }

func (l *link) local() netip.AddrPort { return l.udp.LocalAddr().(*net.UDPAddr).AddrPort() }

// interrupt makes a read that blocks, and every later one, return.
func (l *link) interrupt() { _ = l.udp.SetReadDeadline(time.Unix(1, 0)) }

func (l *link) close() { _ = l.udp.Close() }

func (l *link) String() string {
	if l.iface != "" {
		return l.iface
	}
	return l.local().String()
}

// isTransient reports errors of one datagram, not of the socket: an ICMP
// answer to an earlier reply, or want of memory.
func isTransient(err error) bool {
	for _, e := range [...]error{unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.ENETDOWN, unix.ENOBUFS, unix.ENOMEM, unix.EAGAIN, unix.EINTR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// batch is what one receiving goroutine reuses: datagrams, the packet view,
// and a reply buffer for each.
type batch struct {
	link    *link
	packet  Packet
	inbox   *inbox
	replies [][replyBytesMax]byte
	out     []outgoing
	writer  *writer
	ifaces  [batchDatagrams]int
}

func newBatch(l *link) *batch {
	return &batch{link: l, inbox: newInbox(l.raw), replies: make([][replyBytesMax]byte, batchDatagrams), writer: newWriter(l)}
}

// request returns datagram i of the last read and what is known of its way
// here. It is false for one that was cut or has no IPv4 source.
func (b *batch) request(i int) (data []byte, in Ingress, arrived time.Time, ok bool) {
	data, source, control, ok := b.inbox.datagram(i)
	if !ok {
		return nil, Ingress{}, time.Time{}, false
	}
	info := parseControl(control)
	b.ifaces[i] = b.link.index
	if info.iface != 0 {
		b.ifaces[i] = info.iface
	}
	in = Ingress{
		Local:      info.local,
		Source:     source,
		Unicast:    info.local.IsValid() && info.local == info.dest,
		BootServer: b.link.bootServer,
		MTUBytes:   b.link.mtuBytes,
	}
	if b.link.bound() {
		in.Local, in.Unicast = b.link.addr, true
	}
	return data, in, info.arrived, true
}

// arrival is what the kernel says of one datagram.
type arrival struct {
	iface       int
	local, dest netip.Addr // our address on the interface; IP destination
	arrived     time.Time
}

// parseControl reads control messages without allocating.
func parseControl(b []byte) arrival {
	var a arrival
	for len(b) >= unix.SizeofCmsghdr {
		h := cmsgHeader(b)
		length := int(h.Len)
		if length < unix.SizeofCmsghdr || length > len(b) {
			break
		}
		a.add(h, b[unix.CmsgLen(0):length])
		b = b[min(unix.CmsgSpace(length-unix.CmsgLen(0)), len(b)):]
	}
	return a
}

func (a *arrival) add(h unix.Cmsghdr, data []byte) {
	switch {
	case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
		a.iface = int(native32(data))
		a.local = netip.AddrFrom4([4]byte(data[4:8]))
		a.dest = netip.AddrFrom4([4]byte(data[8:12]))
	case h.Level == unix.SOL_SOCKET && h.Type == unix.SCM_TIMESTAMPNS && len(data) >= 16:
		a.arrived = time.Unix(int64(native64(data)), int64(native64(data[8:])))
	}
}
