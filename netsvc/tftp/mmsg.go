package tftp

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// One system call for many datagrams. x/net's batches do the same, but pack
// all message headers again at each call and make an address for each packet,
// which was a fifth of the server's time at window 1.

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32 // bytes of the datagram
}

// socketName is an address as the kernel wants it: a sockaddr_in in the front
// of the buffer, or a sockaddr_in6.
type socketName struct {
	raw unix.RawSockaddrInet6
	len uint32
}

// name makes the kernel's form of a client's address for this socket. scope is
// the interface of a link-local one.
func (s udpSocket) name(a netip.AddrPort, scope int) socketName {
	if !s.isIPv6 {
		n := socketName{len: unix.SizeofSockaddrInet4}
		raw := (*unix.RawSockaddrInet4)(unsafe.Pointer(&n.raw))
		raw.Family, raw.Addr = unix.AF_INET, a.Addr().As4()
		putPort(&raw.Port, a.Port())
		return n
	}
	n := socketName{len: unix.SizeofSockaddrInet6}
	n.raw.Family, n.raw.Addr = unix.AF_INET6, a.Addr().As16()
	putPort(&n.raw.Port, a.Port())
	if a.Addr().IsLinkLocalUnicast() {
		n.raw.Scope_id = uint32(scope)
	}
	return n
}

// addrPort is the address without zone and IPv4 mapping.
func (n *socketName) addrPort() netip.AddrPort {
	if n.raw.Family == unix.AF_INET {
		raw := (*unix.RawSockaddrInet4)(unsafe.Pointer(&n.raw))
		return netip.AddrPortFrom(netip.AddrFrom4(raw.Addr), port(&raw.Port))
	}
	return netip.AddrPortFrom(netip.AddrFrom16(n.raw.Addr).Unmap(), port(&n.raw.Port))
}

func putPort(field *uint16, port uint16) {
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(field))[:], port)
}

func port(field *uint16) uint16 {
	return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(field))[:])
}

// inbox reads up to batchPackets datagrams at a time. Its memory is fixed.
type inbox struct {
	raw     syscall.RawConn
	headers [batchPackets]mmsghdr
	iovecs  [batchPackets]unix.Iovec
	names   [batchPackets]socketName
	buffers [batchPackets][replyBytesMax]byte
	n       int
	errno   syscall.Errno
	try     func(fd uintptr) bool
}

func newInbox(raw syscall.RawConn) *inbox {
	in := &inbox{raw: raw}
	for i := range in.headers {
		in.iovecs[i].Base = &in.buffers[i][0]
		in.iovecs[i].SetLen(replyBytesMax)
		h := &in.headers[i].hdr
		h.Iov, h.Name = &in.iovecs[i], (*byte)(unsafe.Pointer(&in.names[i].raw))
		h.SetIovlen(1)
		h.Namelen = unix.SizeofSockaddrInet6
	}
	in.try = in.recvmmsg
	return in
}

// read waits for datagrams until the socket's read deadline and returns how
// many came.
func (in *inbox) read() (int, error) {
	for i := range in.n { // the kernel shortened what it used
		in.headers[i].hdr.Namelen = unix.SizeofSockaddrInet6
	}
	in.n, in.errno = 0, 0
	if err := in.raw.Read(in.try); err != nil {
		return 0, err
	}
	if in.errno != 0 {
		return 0, in.errno
	}
	return in.n, nil
}

func (in *inbox) recvmmsg(fd uintptr) (done bool) {
	n, _, errno := syscall.Syscall6(unix.SYS_RECVMMSG, fd,
		uintptr(unsafe.Pointer(&in.headers[0])), batchPackets, unix.MSG_DONTWAIT, 0, 0)
	switch errno {
	case 0:
		in.n = int(n)
		return true
	case syscall.EAGAIN:
		return false
	case syscall.EINTR:
		return true // nothing read; the caller comes again
	}
	in.errno = errno
	return true
}

// packet is the i-th datagram of the last read.
func (in *inbox) packet(i int) ([]byte, *socketName) {
	in.names[i].len = in.headers[i].hdr.Namelen
	return in.buffers[i][:in.headers[i].n], &in.names[i]
}
