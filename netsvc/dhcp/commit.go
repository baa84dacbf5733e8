package dhcp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// pending is a record on its way to the store, and the reply that waits for
// it, if any.
type pending struct {
	lease  Lease
	ticket ticket
	link   *link // nil if nothing waits
	buffer *replyBuffer
	out    outgoing
	done   chan<- error // of an operator's call
}

// enqueue hands a record to the committer. Callers hold mu.
func (s *Server) enqueue(p pending) {
	s.queue = append(s.queue, p)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// enqueueReply keeps a copy of the reply until its lease is durable.
func (s *Server) enqueueReply(l *link, d Decision, a Applied, out outgoing) {
	p := pending{lease: a.Lease, ticket: a.ticket}
	if d.Type != 0 {
		p.link, p.out = l, out
		p.buffer = s.replies.Get().(*replyBuffer)
		p.out.reply = append(p.buffer[:0], d.Reply...)
	}
	s.enqueue(p)
}

// commitLoop stores what is queued, everything at hand in one write, and then
// sends the replies that waited. It ends when drained is closed and the queue
// is empty. It is the only caller of Leases.Commit.
func (s *Server) commitLoop(drained <-chan struct{}) {
	var work []pending
	var leases []Lease
	writers := map[*link]*writer{}
	for finished := false; ; {
		s.mu.Lock()
		work, s.queue = s.queue, work[:0]
		s.stopped = finished && len(work) == 0
		s.mu.Unlock()
		if len(work) > 0 {
			leases = s.commit(work, leases[:0])
			s.sendCommitted(work, writers)
			clear(work)
			continue
		}
		if finished {
			return
		}
		select {
		case <-s.wake:
		case <-drained:
			finished = true
		}
	}
}

// commit stores the records of work in one write and drops the replies whose
// lease is not durable or no longer stands.
func (s *Server) commit(work []pending, leases []Lease) []Lease {
	for _, p := range work {
		leases = append(leases, p.lease)
	}
	ctx := s.watch.begin(s.now())
	err := s.cfg.Leases.Commit(ctx, leases)
	s.watch.end()
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	s.counts.commits.Add(1)
	if err != nil {
		s.warnNotStored(len(leases), err)
	} else {
		s.counts.leases.Add(uint64(len(leases)))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range work {
		s.settle(&work[i], err)
	}
	return leases
}

// warnNotStored is called by the committer only.
func (s *Server) warnNotStored(leases int, err error) {
	if now := s.now(); s.notStored == 0 || now-s.notStored >= warnEvery {
		s.notStored = now
		s.log.Error("leases not stored, no answer sent; clients will ask again", "leases", leases, "error", err)
	}
}

func (s *Server) settle(p *pending, err error) {
	if p.done != nil {
		p.done <- err
	}
	if p.link == nil {
		return
	}
	switch {
	case err != nil:
		s.counts.reasons[ReasonCommitFailed].Add(1)
	case !s.table.committed(p.ticket):
		s.counts.reasons[ReasonOvertaken].Add(1)
	default:
		return
	}
	s.replies.Put(p.buffer)
	p.link, p.buffer = nil, nil
}

// sendCommitted sends the replies left in work, link by link.
func (s *Server) sendCommitted(work []pending, writers map[*link]*writer) {
	for _, l := range s.links {
		w := writers[l]
		for i := range work {
			if work[i].link != l {
				continue
			}
			if w == nil {
				w = newWriter(l)
				writers[l] = w
			}
			w.waiting = append(w.waiting, work[i].out)
		}
		if w != nil && len(w.waiting) > 0 {
			s.send(l, w, w.waiting)
			clear(w.waiting)
			w.waiting = w.waiting[:0]
		}
	}
	for i := range work {
		if work[i].buffer != nil {
			s.replies.Put(work[i].buffer)
		}
	}
}

// ErrNotHeld is returned by Forget for an address nothing is known of.
var ErrNotHeld = errors.New("dhcp: no lease, offer or quarantine for this address")

// Forget ends the lease, offer or quarantine of an address at once. It is for
// an operator who knows that nobody uses it: the client is not told. It returns
// after the store knows. It needs Run to be running.
func (s *Server) Forget(ctx context.Context, ip netip.Addr) error {
	done := make(chan error, 1)
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		return net.ErrClosed
	}
	record, ok := s.table.Forget(ip)
	if ok {
		record.At = time.Now()
		s.enqueue(pending{lease: record, done: done})
	}
	s.mu.Unlock()
	if !ok {
		return ErrNotHeld
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// watchdog gives each write of the store a context and cancels it when the
// write takes too long. It is a look at the clock once a second instead of a
// timer for each write: a new timer wakes an idle processor.
type watchdog struct {
	mu     sync.Mutex
	ctx    context.Context
	cancel context.CancelCauseFunc
	since  Instant
	busy   bool
}

var errCommitTimeout = errors.New("dhcp: the store did not finish a write in time; is the disk full or failing?")

func (w *watchdog) begin(now Instant) context.Context {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx == nil || w.ctx.Err() != nil {
		w.ctx, w.cancel = context.WithCancelCause(context.Background())
	}
	w.since, w.busy = now, true
	return w.ctx
}

func (w *watchdog) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy = false
}

// check cancels the write under way if it began more than limit ago.
func (w *watchdog) check(now, limit Instant) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.busy && now-w.since > limit {
		w.cancel(errCommitTimeout)
	}
}

func (w *watchdog) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cancel != nil {
		w.cancel(nil)
	}
}
