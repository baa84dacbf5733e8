package sock

import (
	"net"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is the kernel's struct mmsghdr.
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// batchReader reads datagrams with recvmmsg into the caller's buffers. All it
// needs is allocated once; x/net's ReadBatch allocates an address per packet.
type batchReader struct {
	raw   syscall.RawConn
	hdrs  [BatchMax]mmsghdr
	iovs  [BatchMax]unix.Iovec
	names [BatchMax]unix.RawSockaddrInet4

	// Arguments and results of recv, which is made once so that a read does
	// not allocate a closure.
	want int
	wait bool
	got  int
	err  error
	recv func(fd uintptr) bool
}

func newBatchReader(u *net.UDPConn) (*batchReader, error) {
	raw, err := u.SyscallConn()
	if err != nil {
		return nil, err
	}
	r := &batchReader{raw: raw}
	for i := range r.hdrs {
		h := &r.hdrs[i].hdr
		h.Name = (*byte)(unsafe.Pointer(&r.names[i]))
		h.Iov = &r.iovs[i]
		h.SetIovlen(1)
	}
	r.recv = r.recvmmsg
	return r, nil
}

// recvmmsg is one attempt; it returns false to be called again when the socket
// is readable.
func (r *batchReader) recvmmsg(fd uintptr) bool {
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&r.hdrs[0])),
			uintptr(r.want), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			r.got, r.err = int(n), nil
			return true
		case unix.EINTR, unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH:
			// The ICMP errors of an earlier send are not the reader's business.
			continue
		case unix.EAGAIN:
			r.got, r.err = 0, nil
			return !r.wait
		default:
			r.got, r.err = 0, os.NewSyscallError("recvmmsg", errno)
			return true
		}
	}
}

// read fills ms. With wait it blocks until the socket's deadline for the first
// datagram, else it may return 0.
func (r *batchReader) read(ms []Datagram, wait bool) (int, error) {
	r.want, r.wait = min(len(ms), BatchMax), wait
	for i := range r.want {
		r.iovs[i].Base = &ms[i].Buf[0]
		r.iovs[i].SetLen(len(ms[i].Buf))
		r.hdrs[i].hdr.Namelen = unix.SizeofSockaddrInet4
	}
	err := r.raw.Read(r.recv)
	runtime.KeepAlive(ms)
	if err == nil {
		err = r.err
	}
	if err != nil {
		return 0, err
	}
	for i := range r.got {
		ms[i].N = int(r.hdrs[i].n)
		ms[i].From = addrPort(&r.names[i])
	}
	return r.got, nil
}

func addrPort(sa *unix.RawSockaddrInet4) netip.AddrPort {
	p := (*[2]byte)(unsafe.Pointer(&sa.Port)) // network order
	return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(p[0])<<8|uint16(p[1]))
}
