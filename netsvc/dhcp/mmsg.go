package dhcp

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// One system call for many datagrams. x/net's batches do the same, but pack
// all 64 headers anew at each call and make an address for each datagram.

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr   unix.Msghdr
	bytes uint32
	_     [4]byte
}

// datagrams are the fixed memory of one batch in one direction.
type datagrams struct {
	raw      syscall.RawConn
	headers  [batchDatagrams]mmsghdr
	vectors  [batchDatagrams]unix.Iovec
	names    [batchDatagrams]unix.RawSockaddrInet4
	controls [batchDatagrams][controlBytesMax]byte
	from, n  int // headers[from:n] are to be sent; n were received
	errno    syscall.Errno
	try      func(fd uintptr) bool // a method value, made once
}

// controlBytesMax holds a packet info and a time stamp.
const controlBytesMax = 128

func (d *datagrams) init(raw syscall.RawConn, try func(uintptr) bool) {
	d.raw, d.try = raw, try
	for i := range d.headers {
		h := &d.headers[i].hdr
		h.Name = (*byte)(unsafe.Pointer(&d.names[i]))
		h.Namelen = unix.SizeofSockaddrInet4
		h.Iov = &d.vectors[i]
		h.SetIovlen(1)
	}
}

// inbox reads up to batchDatagrams at a time.
type inbox struct {
	datagrams
	// One octet more than a message may have shows one that is too long.
	buffers [batchDatagrams][packetBytesMax + 1]byte
}

func newInbox(raw syscall.RawConn) *inbox {
	in := &inbox{}
	in.init(raw, in.receive)
	for i := range in.headers {
		in.vectors[i].Base = &in.buffers[i][0]
		in.vectors[i].SetLen(len(in.buffers[i]))
		in.headers[i].hdr.Control = &in.controls[i][0]
	}
	in.n = batchDatagrams
	return in
}

// read waits for datagrams until the socket's read deadline and returns how
// many came.
func (in *inbox) read() (int, error) {
	for i := range in.n { // the kernel shortened what it used
		in.headers[i].hdr.Namelen = unix.SizeofSockaddrInet4
		in.headers[i].hdr.SetControllen(controlBytesMax)
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

func (in *inbox) receive(fd uintptr) (done bool) {
	n, _, errno := syscall.Syscall6(unix.SYS_RECVMMSG, fd,
		uintptr(unsafe.Pointer(&in.headers[0])), batchDatagrams, unix.MSG_DONTWAIT, 0, 0)
	if errno == 0 {
		in.n = int(n)
		return true
	}
	in.errno = errno
	if errno == syscall.EAGAIN {
		in.errno = 0
		return false
	}
	return true
}

// datagram returns message i of the last read, its source and its control
// messages. It is false for one that was cut or has no IPv4 source.
func (in *inbox) datagram(i int) (data []byte, source netip.AddrPort, control []byte, ok bool) {
	h := &in.headers[i]
	name := &in.names[i]
	if h.bytes > packetBytesMax || name.Family != unix.AF_INET || h.hdr.Flags&unix.MSG_TRUNC != 0 {
		return nil, netip.AddrPort{}, nil, false
	}
	source = netip.AddrPortFrom(netip.AddrFrom4(name.Addr), port(name))
	return in.buffers[i][:h.bytes], source, in.controls[i][:h.hdr.Controllen], true
}

// outbox writes up to batchDatagrams at a time.
type outbox struct {
	datagrams
	wait bool // for room in the socket, until its write deadline
}

func newOutbox(raw syscall.RawConn) *outbox {
	o := &outbox{}
	o.init(raw, o.transmit)
	return o
}

// put makes message i. Without a source address the socket's own is used.
func (o *outbox) put(i int, payload []byte, to netip.AddrPort, source netip.Addr, iface int) {
	o.vectors[i].Base = unsafe.SliceData(payload)
	o.vectors[i].SetLen(len(payload))
	o.names[i] = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: to.Addr().As4()}
	setPort(&o.names[i], to.Port())
	h := &o.headers[i].hdr
	h.Control = nil
	h.SetControllen(0)
	if source.Is4() {
		control := appendPacketInfo(o.controls[i][:0], iface, source.As4())
		h.Control = &control[0]
		h.SetControllen(len(control))
	}
}

// write sends messages from to n-1. It returns the first that was not sent, and
// why: EAGAIN if it would have to wait and must not.
func (o *outbox) write(from, n int, wait bool) (int, error) {
	o.from, o.n, o.errno, o.wait = from, n, 0, wait
	err := o.raw.Write(o.try)
	if err == nil && o.errno != 0 {
		err = o.errno
	}
	return o.from, err
}

// to is where message i goes.
func (o *outbox) to(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4(o.names[i].Addr), port(&o.names[i]))
}

func (o *outbox) transmit(fd uintptr) (done bool) {
	for o.from < o.n {
		n, _, errno := syscall.Syscall6(unix.SYS_SENDMMSG, fd,
			uintptr(unsafe.Pointer(&o.headers[o.from])), uintptr(o.n-o.from), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			o.from += int(n)
		case syscall.EINTR:
		default:
			if errno == syscall.EAGAIN && o.wait {
				return false
			}
			o.errno = errno
			return true
		}
	}
	return true
}

func port(name *unix.RawSockaddrInet4) uint16 {
	return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&name.Port))[:])
}

func setPort(name *unix.RawSockaddrInet4, port uint16) {
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&name.Port))[:], port)
}
