package sock

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Sizes of a Batch.
const (
	// readsMax is how many packets one system call takes, each of which may be
	// a run of datagrams that the kernel put together, of joinedBytesMax.
	readsMax       = 32
	joinedBytesMax = 1 << 16
	// BatchMax is the most datagrams a Batch of a server holds.
	BatchMax = readsMax
	// controlBytes hold the control message that says how a run is cut.
	controlBytes = 32
)

// Datagram is a received datagram. Data is valid until its Batch is read into
// again.
type Datagram struct {
	Data []byte
	From netip.AddrPort
}

// Batch is room for what one read takes. One that was made for a client holds
// runs of datagrams.
type Batch struct {
	bufs      [][]byte
	datagrams []Datagram
}

// NewBatch returns a batch that is read into by the sockets of a client, or of
// a server.
func NewBatch(client bool) *Batch {
	bytes, each := DatagramBytesMax, 1
	if client {
		bytes, each = joinedBytesMax, SegmentsMax
	}
	all := make([]byte, readsMax*bytes)
	b := &Batch{bufs: make([][]byte, readsMax), datagrams: make([]Datagram, 0, readsMax*each)}
	for i := range b.bufs {
		b.bufs[i], all = all[:bytes:bytes], all[bytes:]
	}
	return b
}

// Datagrams returns what the last read took.
func (b *Batch) Datagrams() []Datagram { return b.datagrams }

// Clear empties the batch.
func (b *Batch) Clear() { b.datagrams = b.datagrams[:0] }

// Add puts a datagram into the batch, which keeps data.
func (b *Batch) Add(data []byte, from netip.AddrPort) {
	b.datagrams = append(b.datagrams, Datagram{data, from})
}

// cut adds a packet as the datagrams that it was put together of.
func (b *Batch) cut(packet []byte, each int, from netip.AddrPort) {
	for each > 0 && len(packet) > each {
		b.Add(packet[:each:each], from)
		packet = packet[each:]
	}
	b.Add(packet, from)
}

// mmsghdr is the kernel's struct mmsghdr.
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// batchReader reads datagrams with recvmmsg into the caller's buffers. All it
// needs is allocated once; x/net's ReadBatch allocates an address per packet.
type batchReader struct {
	raw      syscall.RawConn
	hdrs     [readsMax]mmsghdr
	iovs     [readsMax]unix.Iovec
	names    [readsMax]unix.RawSockaddrInet6 // or Inet4, which is shorter
	controls [readsMax][controlBytes]byte

	// Arguments and results of recv, which is made once so that a read does
	// not allocate a closure.
	wait bool
	got  int
	err  error
	recv func(fd uintptr) bool
	poll func(fd uintptr)

	errors  bool // the socket hears of them (see ofICMP)
	dropped unix.Msghdr

	// The same of the question for the backlog.
	info   [memInfoWords]uint32
	memory func(fd uintptr)
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
		h.Control = &r.controls[i][0]
	}
	r.recv, r.memory = r.recvmmsg, r.memInfo
	r.poll = func(fd uintptr) { r.recvmmsg(fd) }
	return r, nil
}

// recvmmsg is one attempt; it returns false to be called again when the socket
// is readable. It never blocks, so the runtime need not be told: that would wake
// its watchdog thread for every batch.
func (r *batchReader) recvmmsg(fd uintptr) bool {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&r.hdrs[0])), readsMax, unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			r.got, r.err = int(n), nil
			return true
		case unix.EINTR:
		case unix.EAGAIN:
			if r.wait && r.errors {
				dropErrors(fd, &r.dropped)
			}
			r.got, r.err = 0, nil
			return !r.wait
		default:
			if ofICMP(errno) { // not the reader's business
				continue
			}
			r.got, r.err = 0, os.NewSyscallError("recvmmsg", errno)
			return true
		}
	}
}

// read fills b. With wait it blocks until the socket's deadline for the first
// datagram, else it may take none, but takes what is there even if the deadline
// has passed.
func (r *batchReader) read(b *Batch, wait bool) error {
	b.Clear()
	r.wait = wait
	for i := range r.hdrs {
		r.iovs[i].Base = &b.bufs[i][0]
		r.iovs[i].SetLen(len(b.bufs[i]))
		r.hdrs[i].hdr.Namelen = unix.SizeofSockaddrInet6
		r.hdrs[i].hdr.SetControllen(controlBytes)
	}
	var err error
	if wait {
		err = r.raw.Read(r.recv)
	} else {
		err = r.raw.Control(r.poll)
	}
	runtime.KeepAlive(b)
	if err == nil {
		err = r.err
	}
	if err != nil {
		return err
	}
	for i := range r.got {
		h := &r.hdrs[i]
		b.cut(b.bufs[i][:h.n], joinedOf(r.controls[i][:h.hdr.Controllen]), addrPort(&r.names[i]))
	}
	return nil
}

// joinedOf returns the length of the datagrams that a packet was put together
// of, or 0 if it is one.
func joinedOf(control []byte) int {
	for len(control) >= unix.SizeofCmsghdr {
		h, data, rest, err := unix.ParseOneSocketControlMessage(control)
		if err != nil {
			return 0
		}
		if h.Level == unix.IPPROTO_UDP && h.Type == unix.UDP_GRO && len(data) >= 4 {
			return int(int32(binary.NativeEndian.Uint32(data)))
		}
		control = rest
	}
	return 0
}

// The words of SO_MEMINFO that are looked at.
const (
	memInfoWords   = 9
	memInfoUsed    = 0 // SK_MEMINFO_RMEM_ALLOC
	memInfoMax     = 1 // SK_MEMINFO_RCVBUF
	memInfoDropped = 8 // SK_MEMINFO_DROPS, the count of SO_RXQ_OVFL
)

// backlog asks the kernel; what it does not tell is 0.
func (r *batchReader) backlog() Backlog {
	r.info = [memInfoWords]uint32{}
	if r.raw.Control(r.memory) != nil {
		return Backlog{}
	}
	return Backlog{Bytes: int(r.info[memInfoUsed]), BytesMax: int(r.info[memInfoMax]), Dropped: r.info[memInfoDropped]}
}

func (r *batchReader) memInfo(fd uintptr) {
	size := uint32(unsafe.Sizeof(r.info))
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&r.info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		r.info = [memInfoWords]uint32{}
	}
}

// addrPort reads an address of either family; family and port are at the same
// place in both.
func addrPort(sa *unix.RawSockaddrInet6) netip.AddrPort {
	p := (*[2]byte)(unsafe.Pointer(&sa.Port)) // network order
	addr := netip.AddrFrom16(sa.Addr)
	if sa.Family == unix.AF_INET {
		addr = netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(sa)).Addr)
	}
	return netip.AddrPortFrom(addr, uint16(p[0])<<8|uint16(p[1]))
}
