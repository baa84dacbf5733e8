package tftp

import (
	"encoding/binary"
	"errors"
	"net"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

const (
	outboxPackets = 64      // sends gathered for one system call
	outboxBytes   = 1 << 20 // their payload
)

// outbox gathers what a shard sends and hands it to the kernel in batches. Its
// memory is fixed. Guarded by shard.mu.
type outbox struct {
	socket   udpSocket
	messages []ipv4.Message
	owners   []*session // of a DATA burst, to fall back to single packets; else nil
	used     int        // messages
	arena    []byte
	fill     int // bytes of arena in use
}

func newOutbox(socket udpSocket) outbox {
	o := outbox{
		socket:   socket,
		messages: make([]ipv4.Message, outboxPackets),
		owners:   make([]*session, outboxPackets),
		arena:    make([]byte, outboxBytes),
	}
	for i := range o.messages {
		o.messages[i].Buffers = make([][]byte, 1)
	}
	return o
}

// packet adds one datagram. The bytes must stay untouched until the flush.
func (o *outbox) packet(to *net.UDPAddr, oob, b []byte) {
	if o.used == len(o.messages) {
		o.send()
	}
	o.add(to, oob, b, nil)
}

func (o *outbox) add(to *net.UDPAddr, oob, b []byte, owner *session) {
	m := &o.messages[o.used]
	m.Addr, m.OOB, m.Buffers[0] = to, oob, b
	o.owners[o.used] = owner
	o.used++
}

// blocks adds count DATA packets of s as one send.
func (o *outbox) blocks(s *session, first uint64, count int) error {
	size := s.machine.blockBytes
	room := count * (size + dataHeaderBytes)
	if o.used == len(o.messages) || len(o.arena)-o.fill < room {
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
	o.add(s.addr, oob, buf, s)
	return nil
}

// send hands everything gathered to the kernel.
func (o *outbox) send() {
	for done := 0; done < o.used; {
		n, err := o.socket.WriteBatch(o.messages[done:o.used], 0)
		if n > 0 {
			done += n
			continue
		}
		if err == nil || errors.Is(err, net.ErrClosed) {
			break
		}
		o.single(&o.messages[done], o.owners[done], err)
		done++
	}
	clear(o.owners[:o.used])
	o.used, o.fill = 0, 0
}

// single deals with a send that the kernel refused. A window may be more than
// the interface can cut (packets beyond its MTU, no checksum offload): it goes
// out packet by packet, now and from then on. Anything else is left to the
// retransmit timer.
func (o *outbox) single(m *ipv4.Message, owner *session, err error) {
	if owner == nil || owner.segment == nil {
		return
	}
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EIO) && !errors.Is(err, unix.EMSGSIZE) {
		return
	}
	owner.segment = nil
	packetBytes := owner.machine.blockBytes + dataHeaderBytes
	for b := m.Buffers[0]; len(b) > 0; {
		n := min(len(b), packetBytes)
		// Lost packets are the timer's business.
		_, _, _ = o.socket.WriteMsgUDP(b[:n], owner.source, owner.addr)
		b = b[n:]
	}
}
