package dhcp

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// writer is what one sending goroutine reuses for a link.
type writer struct {
	outbox  *outbox
	waiting []outgoing // committed replies, used by the committer only
}

func newWriter(l *link) *writer { return &writer{outbox: newOutbox(l.raw)} }

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
			if s.raw != nil && s.raw.send(o, l.port) == nil {
				continue
			}
			o.dest = broadcastTo(o.dest.Addr.Port())
		}
		w.put(n, l, o)
		n++
	}
	failed := s.writeAll(l, w.outbox, n)
	for i := range out {
		s.counts.sent[min(out[i].event.Type, typesMax)].Add(1)
		if s.cfg.Served != nil {
			s.cfg.Served(out[i].event)
		}
	}
	s.counts.reasons[ReasonSendFailed].Add(uint64(failed))
}

// put makes message i. Where the socket has no address of its own, the reply
// leaves from the address the request came in on, a broadcast out of the same
// interface.
func (w *writer) put(i int, l *link, o *outgoing) {
	from, iface := o.from, 0
	if l.bound() {
		from = netip.Addr{}
	}
	if o.dest.Kind == DestBroadcast {
		iface = o.iface
	}
	w.outbox.put(i, o.reply, o.dest.Addr, from, iface)
}

// sendTimeout bounds the wait for a full interface queue: it must not hold up
// the receivers for long.
const sendTimeout = time.Second

// writeAll writes n messages, going on after one that fails, and returns how
// many failed. A deadline is set only when there is something to wait for.
func (s *Server) writeAll(l *link, o *outbox, n int) (failed int) {
	wait := false
	for at := 0; at < n; {
		var err error
		at, err = o.write(at, n, wait)
		switch {
		case err == nil:
			return failed
		case errors.Is(err, unix.EAGAIN):
			wait = true
			_ = l.udp.SetWriteDeadline(time.Now().Add(sendTimeout))
			continue
		case errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded):
			return failed + n - at
		}
		s.log.Debug("send", "to", o.to(at).String(), "error", err)
		at++
		failed++
	}
	return failed
}
