package dhcp

import (
	"context"
	"log/slog"
	"net/netip"
	"time"
)

// outgoing is one reply ready to be sent.
type outgoing struct {
	reply []byte
	dest  Dest
	from  netip.Addr // source address, the ingress address of the request
	iface int        // interface index
	event Event
}

// advance makes the table follow the directory and the clock, and queues the
// records of what has ended. Callers hold mu.
func (s *Server) advance(dir Directory, now Instant) {
	s.table.Configure(dir.Subnets())
	s.ended = s.table.Advance(now, s.ended[:0])
	for _, l := range s.ended {
		if len(s.queue) >= queuedRepliesMax {
			return // the store then only promises too much
		}
		l.At = time.Now()
		s.enqueue(pending{lease: l})
	}
}

// serveBatch decides on every request of a batch and sends what may leave at
// once. Deciding and applying are one step under the lock.
func (s *Server) serveBatch(b *batch, n int) {
	s.mu.Lock()
	dir, now, wall := s.cfg.Snapshot(), s.now(), time.Now()
	s.advance(dir, now)
	for i := range n {
		s.serveOne(b, i, dir, now, wall)
	}
	s.mu.Unlock()
	s.send(b.link, b.writer, b.out)
	b.out = b.out[:0]
}

func (s *Server) serveOne(b *batch, i int, dir Directory, now Instant, wall time.Time) {
	data, in, arrived, ok := b.request(i)
	if !ok || b.packet.Parse(data) != nil {
		s.counts.reasons[ReasonMalformed].Add(1)
		return
	}
	if b.packet.Type() == Discover && isStale(arrived, wall) {
		s.counts.reasons[ReasonStale].Add(1)
		return
	}
	in.ClientPort, in.RelayPort, in.ReplyToSource = s.cfg.ClientPort, s.cfg.RelayPort, s.cfg.ReplyToSource
	d := Decide(b.replies[i][:0], &b.packet, in, dir, s.table, now)
	if d.Change.writes() && len(s.queue) >= queuedRepliesMax {
		d = Decision{Reason: ReasonBusy, Node: d.Node, Client: d.Client}
	}
	s.counts.reasons[d.Reason].Add(1)
	s.note(&b.packet, d, now)
	applied := s.table.Apply(d.Change, now)
	out := outgoing{reply: d.Reply, dest: d.Dest, from: in.Local, iface: b.ifaces[i], event: d.event(in)}
	switch {
	case applied.Write:
		applied.Lease.At = wall
		s.enqueueReply(b.link, d, applied, out)
	case d.Type != 0:
		b.out = append(b.out, out)
	}
}

// isStale reports whether a DISCOVER waited so long for us that its client has
// sent another. Under overload these go first. A wait that is too long to be
// one is a step of the clock.
func isStale(arrived, now time.Time) bool {
	age := now.Sub(arrived)
	return !arrived.IsZero() && age > staleDiscoverAfter && age < queueAgeMax
}

// queueAgeMax is more than any datagram waits in a socket.
const queueAgeMax = 5 * time.Minute

// writes reports whether applying the change gives the store a record.
func (c Change) writes() bool {
	switch c.Kind {
	case ChangeBind:
		return c.Commit
	case ChangeRelease, ChangeDecline:
		return true
	}
	return false
}

func (d Decision) event(in Ingress) Event {
	return Event{
		Node: d.Node, Client: d.Client, Type: d.Type, Reason: d.Reason,
		Class: d.Class, IP: d.Change.IP, BootServer: in.BootServer,
	}
}

// warnEvery bounds warnings of one kind: strangers can provoke them.
const warnEvery = time.Second

type warnings [reasonCount]Instant

// note logs what operators should know, and everything at debug level.
func (s *Server) note(p *Packet, d Decision, now Instant) {
	switch d.Reason {
	case ReasonHeldByOther, ReasonDeclinedReserved, ReasonDeclined, ReasonPoolEmpty, ReasonBusy:
		if last := &s.warned[d.Reason]; *last == 0 || now-*last >= warnEvery {
			*last = now
			s.log.Warn(d.Reason.String(), "node", d.Node, "mac", d.Client.String())
		}
	}
	if s.log.Enabled(context.Background(), slog.LevelDebug) {
		s.log.Debug("request", "node", d.Node, "packet", p, "answer", d.Type.String(), "reason", d.Reason.String())
	}
}
