package tftp

import (
	"encoding/binary"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	outboxPackets = 64      // sends gathered for one system call
	outboxBytes   = 1 << 20 // their payload
)

// outbox gathers what a shard sends and hands it to the kernel in batches. Its
// memory is fixed. Guarded by shard.mu.
type outbox struct {
	socket  udpSocket
	raw     syscall.RawConn
	headers [outboxPackets]mmsghdr
	iovecs  [outboxPackets]unix.Iovec
	names   [outboxPackets]socketName
	owners  [outboxPackets]*session // of a DATA burst, to fall back to single packets; else nil
	used    int                     // sends gathered
	done    int                     // of them, handed over
	arena   []byte
	fill    int // bytes of arena in use
	errno   syscall.Errno
	try     func(fd uintptr) bool
}

func newOutbox(socket udpSocket, raw syscall.RawConn) *outbox {
	o := &outbox{socket: socket, raw: raw, arena: make([]byte, outboxBytes)}
	for i := range o.headers {
		h := &o.headers[i].hdr
		h.Iov, h.Name = &o.iovecs[i], (*byte)(unsafe.Pointer(&o.names[i].raw))
		h.SetIovlen(1)
	}
	o.try = o.sendmmsg
	return o
}

// packet adds one datagram. The bytes must stay untouched until it is sent.
func (o *outbox) packet(to *socketName, oob, b []byte) {
	if o.used == outboxPackets {
		o.send()
	}
	o.add(to, oob, b, nil)
}

func (o *outbox) add(to *socketName, oob, b []byte, owner *session) {
	h := &o.headers[o.used].hdr
	o.names[o.used], h.Namelen = *to, to.len
	o.iovecs[o.used].Base = unsafe.SliceData(b)
	o.iovecs[o.used].SetLen(len(b))
	h.Control = unsafe.SliceData(oob)
	h.SetControllen(len(oob))
	o.owners[o.used] = owner
	o.used++
}

// blocks adds count DATA packets of s as one send.
func (o *outbox) blocks(s *session, first uint64, count int) error {
	size := s.machine.blockBytes
	if o.used == outboxPackets || len(o.arena)-o.fill < count*(size+dataHeaderBytes) {
		o.send()
	}
	off, n := s.machine.span(first, count)
	buf := o.arena[o.fill : o.fill+n+count*dataHeaderBytes]
	// The file's bytes are read to the end of buf in one go and then spread
	// forward from the front, a header before each block: a block never moves
	// over one that has still to move.
	payload := buf[count*dataHeaderBytes:]
	if err := readFull(s.file, payload, off); err != nil {
		return err
	}
	for i := range count {
		at := i * (size + dataHeaderBytes)
		from, to := min(i*size, n), min((i+1)*size, n)
		copy(buf[at+dataHeaderBytes:], payload[from:to])
		binary.BigEndian.PutUint16(buf[at:], uint16(OpData))
		binary.BigEndian.PutUint16(buf[at+2:], uint16(first+uint64(i)))
	}
	o.fill += len(buf)
	oob := s.source
	if count > 1 {
		oob = s.segment
	}
	o.add(&s.to, oob, buf, s)
	return nil
}

// send hands everything gathered to the kernel. What the kernel refuses is
// left to the retransmit timer.
func (o *outbox) send() {
	for o.done = 0; o.done < o.used; {
		if err := o.raw.Write(o.try); err != nil {
			break // closed
		}
		if o.errno != 0 {
			o.single(o.done, o.errno)
			o.done++
		}
	}
	clear(o.owners[:o.used])
	o.used, o.fill = 0, 0
}

func (o *outbox) sendmmsg(fd uintptr) (done bool) {
	n, _, errno := syscall.Syscall6(unix.SYS_SENDMMSG, fd,
		uintptr(unsafe.Pointer(&o.headers[o.done])), uintptr(o.used-o.done), unix.MSG_DONTWAIT, 0, 0)
	o.errno = 0
	switch errno {
	case 0:
		o.done += int(n)
	case syscall.EAGAIN:
		return false
	case syscall.EINTR:
	default:
		o.errno = errno
	}
	return true
}

// single deals with a send that the kernel refused. A window may be more than
// the interface can cut (packets beyond its MTU, no checksum offload): it goes
// out packet by packet, now and from then on.
func (o *outbox) single(i int, errno syscall.Errno) {
	s := o.owners[i]
	isUncut := errno == syscall.EINVAL || errno == syscall.EIO || errno == syscall.EMSGSIZE
	if s == nil || s.segment == nil || !isUncut {
		return
	}
	s.segment = nil
	packetBytes := s.machine.blockBytes + dataHeaderBytes
	b := unsafe.Slice(o.iovecs[i].Base, int(o.iovecs[i].Len))
	for len(b) > 0 {
		n := min(len(b), packetBytes)
		// Lost packets are the timer's business.
		_, _, _ = o.socket.WriteMsgUDPAddrPort(b[:n], s.source, s.client)
		b = b[n:]
	}
}
