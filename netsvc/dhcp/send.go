package dhcp

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/ipv4"
)

// writer is what one sending goroutine reuses for a link.
type writer struct {
	messages []ipv4.Message
	addrs    []net.UDPAddr
	waiting  []outgoing // committed replies, used by the committer only
}

func newWriter(*link) *writer {
	w := &writer{messages: make([]ipv4.Message, batchDatagrams), addrs: make([]net.UDPAddr, batchDatagrams)}
	for i := range w.messages {
		w.messages[i].Buffers = make([][]byte, 1)
		w.messages[i].OOB = make([]byte, 0, controlBytesMax)
		w.addrs[i].IP = make(net.IP, net.IPv4len)
		w.messages[i].Addr = &w.addrs[i]
	}
	return w
}

// send sends replies out of the link they belong to, and reports each.
func (s *Server) send(l *link, w *writer, out []outgoing) {
	for len(out) > 0 {
		n := min(len(out), batchDatagrams)
		s.sendSome(l, w, out[:n])
		out = out[n:]
	}
}

// sendSome sends at most one batch. A frame made by hand goes first; where
// that cannot be, the reply is broadcast.
func (s *Server) sendSome(l *link, w *writer, out []outgoing) {
	n := 0
	for i := range out {
		o := &out[i]
		if o.dest.Kind == DestHardware {
			if s.raw != nil && s.raw.send(o) == nil {
				continue
			}
			o.dest = broadcastTo(o.dest.Addr.Port())
		}
		w.fill(n, o)
		n++
	}
	failed := s.writeAll(l, w.messages[:n])
	for i := range out {
		s.counts.sent[min(out[i].event.Type, typesMax)].Add(1)
		if s.cfg.Served != nil {
			s.cfg.Served(out[i].event)
		}
	}
	s.counts.reasons[ReasonSendFailed].Add(uint64(failed))
}

func (w *writer) fill(i int, o *outgoing) {
	m, a := &w.messages[i], &w.addrs[i]
	m.Buffers[0] = o.reply
	to, from := o.dest.Addr.Addr().As4(), netip.IPv4Unspecified().As4()
	if o.from.Is4() {
		from = o.from.As4()
	}
	copy(a.IP, to[:])
	a.Port = int(o.dest.Addr.Port())
	iface := 0
	if o.dest.Kind == DestBroadcast {
		iface = o.iface
	}
	m.OOB = appendPacketInfo(m.OOB[:0], iface, from)
}

// sendTimeout bounds one write: a full interface queue must not hold up the
// receivers.
const sendTimeout = time.Second

// writeAll writes every message, going on after one that fails, and returns
// how many failed.
func (s *Server) writeAll(l *link, messages []ipv4.Message) (failed int) {
	for len(messages) > 0 {
		_ = l.udp.SetWriteDeadline(time.Now().Add(sendTimeout))
		n, err := l.conn.WriteBatch(messages, 0)
		if err != nil && n <= 0 {
			if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
				return failed + len(messages)
			}
			n, failed = 1, failed+1
			s.log.Debug("send", "to", messages[0].Addr.String(), "error", err)
		}
		messages = messages[n:]
	}
	return failed
}
