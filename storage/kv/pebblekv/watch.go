package pebblekv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"

	"hyzer/storage/kv"
	"hyzer/storage/kv/pebblekv/record"
)

// Bounds of one step of Next. A revision is never split, so the last one of a
// step may go over.
const (
	stepRevisionsMax = 1024
	stepBytesMax     = 1 << 20
)

// watcher is a position in the history, and while it is close behind, a queue
// of the revisions that concern it. It holds no changes: those are read from
// the hub's recent ones, or from disk.
type watcher struct {
	s      *Store
	prefix []byte
	wake   chan struct{} // capacity 1: the queue is no longer empty
	closed chan struct{}
	once   sync.Once
	err    error // sticky, of Next's goroutine

	// Under hub.mu. Not live, the watcher must examine every revision from
	// next on. Live, those in queue are all that match from next on.
	next  kv.Revision
	live  bool
	queue []kv.Revision
}

var _ kv.Watcher = (*watcher)(nil)

// Watch implements kv.Store. ctx bounds the call, not the Watcher.
func (s *Store) Watch(ctx context.Context, prefix []byte, after kv.Revision) (kv.Watcher, error) {
	if !s.gate.enter() {
		return nil, kv.ErrClosed
	}
	defer s.gate.leave()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(prefix) > kv.KeyBytesMax {
		return nil, fmt.Errorf("%w: prefix of %d bytes", kv.ErrTooLarge, len(prefix))
	}
	w := &watcher{s: s, prefix: bytes.Clone(prefix), wake: make(chan struct{}, 1), closed: make(chan struct{}), next: after + 1}
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	if now := s.Revision(); after > now {
		return nil, fmt.Errorf("%w: watch after %d, the store is at %d", kv.ErrFutureRevision, after, now)
	}
	if floor := s.floor(); after < floor {
		return nil, compactedError(after+1, floor)
	}
	s.hub.index.add(w)
	return w, nil
}

func compactedError(rev, floor kv.Revision) error {
	return fmt.Errorf("%w: revision %d is wanted, history begins after %d: read the present state and watch from there", kv.ErrCompacted, rev, floor)
}

// notify is called under hub.mu for a published revision that matches.
func (w *watcher) notify(rev kv.Revision) {
	if !w.live || len(w.queue) > 0 && w.queue[len(w.queue)-1] == rev {
		return
	}
	if len(w.queue) == watchQueueMax {
		w.live, w.next, w.queue = false, w.queue[0], nil
		return
	}
	w.queue = append(w.queue, rev)
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Next implements kv.Watcher. One goroutine at a time may call it.
func (w *watcher) Next(ctx context.Context) ([]kv.Event, error) {
	for {
		if err := w.ended(ctx); err != nil {
			return nil, err
		}
		events, more, err := w.step()
		if errors.Is(err, kv.ErrCompacted) {
			w.err = err
		}
		if err != nil || len(events) > 0 {
			return events, err
		}
		if more {
			continue
		}
		if err := w.sleep(ctx); err != nil {
			return nil, err
		}
	}
}

func (w *watcher) ended(ctx context.Context) error {
	select {
	case <-w.closed:
		return kv.ErrClosed
	default:
	}
	if w.err != nil {
		return w.err
	}
	return ctx.Err()
}

func (w *watcher) sleep(ctx context.Context) error {
	select {
	case <-w.wake:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-w.closed:
		return kv.ErrClosed
	case <-w.s.quit:
		return kv.ErrClosed
	case <-w.s.fail.ch:
		return w.s.fail.err()
	}
}

// step reads on from the watcher's position. more is false when the watcher
// has seen everything published and will be woken.
func (w *watcher) step() (events []kv.Event, more bool, err error) {
	if !w.s.gate.enter() {
		return nil, false, kv.ErrClosed
	}
	defer w.s.gate.leave()
	defer w.s.catchFatal(&err)

	plan := w.plan()
	if plan.idle {
		return nil, false, nil
	}
	var seen kv.Revision
	switch {
	case len(plan.queue) > 0:
		events, seen, err = w.readQueued(plan)
	case len(plan.recent) > 0:
		events, seen = w.collect(plan.recent)
	default:
		events, seen, err = w.readHistory(plan.next, plan.published)
	}
	if err != nil {
		return nil, false, err
	}
	w.advance(seen)
	return events, true, nil
}

// stepPlan is what a step works on, taken under the lock.
type stepPlan struct {
	idle      bool
	queue     []kv.Revision
	next      kv.Revision
	published kv.Revision
	recent    []*change // from next, or from queue's first
}

func (w *watcher) plan() stepPlan {
	h := &w.s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	p := stepPlan{next: w.next, published: w.s.Revision()}
	if !w.live && w.next > p.published {
		w.live = true
	}
	switch {
	case w.live && len(w.queue) == 0:
		p.idle = true
	case w.live:
		p.queue = slices.Clone(w.queue)
		for _, rev := range p.queue {
			p.recent = append(p.recent, h.recent.from(rev, 1)...)
		}
	default:
		p.recent = h.recent.from(w.next, stepRevisionsMax)
	}
	return p
}

// advance records that everything up to seen was delivered or did not match.
func (w *watcher) advance(seen kv.Revision) {
	w.s.hub.mu.Lock()
	defer w.s.hub.mu.Unlock()
	w.next = max(w.next, seen+1)
	w.queue = slices.DeleteFunc(w.queue, func(rev kv.Revision) bool { return rev <= seen })
}

// collect takes the matching events of changes until the step is full.
func (w *watcher) collect(changes []*change) (events []kv.Event, seen kv.Revision) {
	size := 0
	for _, c := range changes {
		events, size = w.match(events, size, c.events)
		if seen = c.rev; size >= stepBytesMax {
			break
		}
	}
	return events, seen
}

// readQueued reads the queued revisions, all from memory or the first from
// disk.
func (w *watcher) readQueued(p stepPlan) (events []kv.Event, seen kv.Revision, err error) {
	if len(p.recent) == len(p.queue) {
		events, seen = w.collect(p.recent)
		return events, seen, nil
	}
	return w.readHistory(p.queue[0], p.queue[0])
}

// readHistory examines the records first..last on disk until the step is full.
func (w *watcher) readHistory(first, last kv.Revision) (events []kv.Event, seen kv.Revision, err error) {
	size, want := 0, first
	lower, upper := record.AppendHistoryKey(nil, first), record.AppendHistoryKey(nil, last+1)
	err = iterate(w.s.db, lower, upper, false, func(k, v []byte) error {
		rev, err := record.DecodeHistoryKey(k)
		if err != nil {
			return err
		}
		if rev != want {
			return kv.ErrStop
		}
		_, all, err := record.DecodeHistory(rev, v)
		if err != nil {
			return err
		}
		events, size = w.match(events, size, all)
		if want++; size >= stepBytesMax || want-first >= stepRevisionsMax {
			return kv.ErrStop
		}
		return nil
	})
	if err == nil && want == first {
		err = w.missing(first)
	}
	return events, want - 1, err
}

func (w *watcher) missing(rev kv.Revision) error {
	if floor := w.s.floor(); rev <= floor {
		return compactedError(rev, floor)
	}
	return fmt.Errorf("%w: history of revision %d is missing", record.ErrCorrupt, rev)
}

// match appends copies of the events that begin with the prefix; events are in
// key order.
func (w *watcher) match(dst []kv.Event, size int, events []kv.Event) ([]kv.Event, int) {
	at := sort.Search(len(events), func(i int) bool { return bytes.Compare(events[i].Key, w.prefix) >= 0 })
	for _, e := range events[at:] {
		if !bytes.HasPrefix(e.Key, w.prefix) {
			break
		}
		e.Key = append([]byte{}, e.Key...)
		if !e.Deleted {
			e.Value = append([]byte{}, e.Value...)
		}
		size += len(e.Key) + len(e.Value)
		dst = append(dst, e)
	}
	return dst, size
}

// Close implements kv.Watcher.
func (w *watcher) Close() {
	w.once.Do(func() {
		close(w.closed)
		w.s.hub.mu.Lock()
		defer w.s.hub.mu.Unlock()
		w.s.hub.index.remove(w)
		w.queue = nil
	})
}
