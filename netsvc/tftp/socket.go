package tftp

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// burstBytesMax and burstPacketsMax bound one UDP_SEGMENT send: an IP
	// datagram's length and the kernel's UDP_MAX_SEGMENTS before Linux 6.9.
	burstBytesMax   = 65000
	burstPacketsMax = 64

	controlBytesMax   = 128     // control messages of one request
	receiveBytesWish  = 4 << 20 // many clients' ACKs arrive at once; the kernel may grant less
	sendBytesWish     = 4 << 20
	mtuUnknownBytes   = 1500
	headerBytesIPv4   = 20 + 8 + dataHeaderBytes // IP, UDP, TFTP
	headerBytesIPv6   = 40 + 8 + dataHeaderBytes
	interfacesKnown   = 256
	segmentValueBytes = 2
)

// udpSocket is a UDP socket and its address family, which LocalAddr does not
// tell: a socket on 0.0.0.0 may be a dual-stack one.
type udpSocket struct {
	*net.UDPConn
	isIPv6  bool
	isBound bool // to one address: the kernel answers from it unasked
}

func newSocket(conn *net.UDPConn) (udpSocket, error) {
	var domain int
	err := control(conn, func(fd int) (err error) {
		domain, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
		return err
	})
	if err != nil {
		return udpSocket{}, fmt.Errorf("tftp: address family of the socket: %w", err)
	}
	return udpSocket{
		UDPConn: conn, isIPv6: domain == unix.AF_INET6,
		isBound: !conn.LocalAddr().(*net.UDPAddr).IP.IsUnspecified(),
	}, nil
}

// sibling opens a socket on the same address and a port of the kernel's choice:
// the server's TID of many transfers.
func (s udpSocket) sibling() (udpSocket, error) {
	network := "udp4"
	addr := *s.LocalAddr().(*net.UDPAddr)
	addr.Port = 0
	if s.isIPv6 {
		network = "udp"
		if addr.IP.IsUnspecified() {
			addr.IP = nil // dual stack
		}
	}
	conn, err := net.ListenUDP(network, &addr)
	if err != nil {
		return udpSocket{}, fmt.Errorf("tftp: socket for transfers: %w", err)
	}
	// Best effort: the kernel caps both at net.core.[rw]mem_max.
	_ = conn.SetReadBuffer(receiveBytesWish)
	_ = conn.SetWriteBuffer(sendBytesWish)
	sib, err := newSocket(conn)
	if err != nil {
		conn.Close()
	}
	return sib, err
}

func localAddr(s udpSocket) netip.AddrPort { return s.LocalAddr().(*net.UDPAddr).AddrPort() }

// askArrival makes the kernel tell with each datagram which of our addresses
// it was sent to: the answer must come from there (multi-homed hosts, 127.x).
func (s udpSocket) askArrival() error {
	err := control(s.UDPConn, func(fd int) error {
		if s.isIPv6 {
			return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
		}
		return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
	})
	if err != nil {
		return fmt.Errorf("tftp: destination address of requests: %w", err)
	}
	return nil
}

func control(conn *net.UDPConn, f func(fd int) error) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// arrival is where a request came in.
type arrival struct {
	local     netip.Addr // our address to answer from; invalid: let the kernel choose
	ifindex   int
	toMany    bool // sent to a broadcast or multicast address
	knowsAddr bool
}

func parseArrival(oob []byte) arrival {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return arrival{}
	}
	for _, m := range messages {
		switch {
		case m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_PKTINFO && len(m.Data) >= unix.SizeofInet4Pktinfo:
			info := (*unix.Inet4Pktinfo)(unsafe.Pointer(&m.Data[0]))
			return arrival{
				local: netip.AddrFrom4(info.Spec_dst), ifindex: int(info.Ifindex),
				toMany: info.Addr != info.Spec_dst, knowsAddr: true,
			}
		case m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_PKTINFO && len(m.Data) >= unix.SizeofInet6Pktinfo:
			info := (*unix.Inet6Pktinfo)(unsafe.Pointer(&m.Data[0]))
			local := netip.AddrFrom16(info.Addr).Unmap()
			return arrival{
				local: local, ifindex: int(info.Ifindex), knowsAddr: true,
				toMany: local.IsMulticast() || local == netip.AddrFrom4([4]byte{255, 255, 255, 255}),
			}
		}
	}
	return arrival{}
}

// sourceControl is the control message that makes a datagram leave from local.
func (s udpSocket) sourceControl(a arrival) []byte {
	switch {
	case !a.knowsAddr || s.isBound:
		return nil
	case s.isIPv6:
		info := unix.Inet6Pktinfo{Addr: a.local.As16()}
		if a.local.IsLinkLocalUnicast() && !a.local.Is4() {
			info.Ifindex = uint32(a.ifindex)
		}
		return unix.PktInfo6(&info)
	}
	return unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: a.local.As4()})
}

// segmentControl appends the control message that makes the kernel cut one
// send into datagrams of packetBytes, the last one shorter.
func segmentControl(oob []byte, packetBytes int) []byte {
	b := make([]byte, unix.CmsgSpace(segmentValueBytes))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level, h.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(segmentValueBytes))
	binary.NativeEndian.PutUint16(b[unix.CmsgLen(0):], uint16(packetBytes))
	return append(append([]byte(nil), oob...), b...)
}

// mtuTable remembers the MTU of interfaces, so that block sizes are lowered to
// what travels unfragmented. One goroutine uses it.
type mtuTable map[int]int

func (t mtuTable) blockBytesMax(a arrival) int {
	header := headerBytesIPv4
	if !a.local.Is4() {
		header = headerBytesIPv6
	}
	mtu, ok := t[a.ifindex]
	if !ok {
		mtu = mtuUnknownBytes
		if ifc, err := net.InterfaceByIndex(a.ifindex); err == nil && ifc.MTU > 0 {
			mtu = ifc.MTU
		}
		if len(t) < interfacesKnown {
			t[a.ifindex] = mtu
		}
	}
	return max(mtu-header, blockBytesDefault)
}
