package pebblekv

import (
	"cmp"
	"context"
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"hyzer/storage/kv"
	"hyzer/storage/kv/pebblekv/record"
)

// anchorRevisions is how far the anchor falls behind the newest view.
const anchorRevisions = 1024

// Update implements kv.Store.
//
// fn runs in the caller's goroutine while it holds the turn, so a panic or
// runtime.Goexit of fn unwinds there and touches nobody else. The transaction
// is applied to pebble under the turn, and its fsync awaited after the turn is
// passed on: pebble's log writer syncs once for all that are waiting.
//
// ctx bounds the wait for the turn. Once the transaction is applied, Update
// stays until its outcome is known. fn must not call Update or Close of the
// same store: they would wait for fn.
func (s *Store) Update(ctx context.Context, fn func(tx kv.Tx) error) (kv.Revision, error) {
	if !s.gate.enter() {
		return 0, kv.ErrClosed
	}
	defer s.gate.leave()
	return s.update(ctx, func(t *tx) error { return fn(t) })
}

func (s *Store) update(ctx context.Context, fn func(t *tx) error) (kv.Revision, error) {
	if err := s.takeTurn(ctx); err != nil {
		return 0, err
	}
	c, seen, err := s.runTurn(fn)
	if c != nil {
		return s.awaitCommit(c)
	}
	// What fn decided, it may have decided by a state that is not durable yet.
	if werr := s.awaitDurable(seen); werr != nil {
		return 0, werr
	}
	if err != nil {
		return 0, err
	}
	return seen, nil
}

func (s *Store) takeTurn(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for {
		none, err := s.guard.room.state(s.dir)
		if err != nil {
			return err
		}
		if s.turn.take(ctx, s.fail.ch, none) {
			break
		}
		if err := cmp.Or(ctx.Err(), s.fail.err()); err != nil {
			return err
		}
	}
	if err := s.fail.err(); err != nil {
		s.turn.pass()
		return err
	}
	return nil
}

// runTurn runs fn and applies what it did. c is nil if there is nothing to
// wait for; seen is the revision fn saw.
func (s *Store) runTurn(fn func(t *tx) error) (c *change, seen kv.Revision, err error) {
	defer s.turn.pass()
	defer s.catchFatal(&err)
	seen = s.applied.rev
	t := newTx(s.db, &s.expiring, seen)
	defer func() { t.close(c != nil || s.fail.stuck.Load()) }()
	if err := fn(t); err != nil {
		return nil, seen, err
	}
	if t.err != nil {
		return nil, seen, t.err
	}
	next, err := newChange(t, seen+1, s.applied.total)
	if err != nil || len(next.events) == 0 {
		return nil, seen, err
	}
	if err := s.apply(next); err != nil {
		return nil, seen, err
	}
	s.expiring.applied(t)
	return next, seen, nil
}

// apply makes c visible to later transactions, and queues it to become durable.
func (s *Store) apply(c *change) error {
	history := record.AppendHistory(nil, c.total, c.events)
	if err := s.space.admit(uint64(c.batch.Len()+len(history)), onlyDeletes(c.events)); err != nil {
		return err
	}
	if err := c.batch.Set(record.AppendHistoryKey(nil, c.rev), history, nil); err != nil {
		return fmt.Errorf("pebblekv: record revision %d: %w", c.rev, err)
	}
	if err := s.db.ApplyNoSyncWait(c.batch, pebble.Sync); err != nil {
		s.fail.stuck.Store(true)
		s.fail.set(fmt.Errorf("apply revision %d: %w", c.rev, err))
		return s.fail.err()
	}
	c.snap = s.db.NewSnapshot()
	s.applied.rev, s.applied.total = c.rev, c.total
	s.hub.mu.Lock()
	s.hub.unsynced = append(s.hub.unsynced, c)
	s.hub.mu.Unlock()
	return nil
}

func onlyDeletes(events []kv.Event) bool {
	for i := range events {
		if !events[i].Deleted {
			return false
		}
	}
	return true
}

// awaitCommit waits for the fsync that covers c, and publishes it.
func (s *Store) awaitCommit(c *change) (kv.Revision, error) {
	if err := c.batch.SyncWait(); err != nil {
		s.fail.set(fmt.Errorf("sync revision %d: %w", c.rev, err))
	}
	if err := s.fail.err(); err != nil {
		return 0, err
	}
	s.publish(c.rev)
	c.batch.Close() // pebble has let go of it: its sync is done
	c.batch = nil
	return c.rev, nil
}

// publish shows the revisions up to rev, which is durable and so are all
// before it, to readers and then to watchers. Of the writers that an fsync
// wakes, one publishes for those that are awake by then.
func (s *Store) publish(rev kv.Revision) {
	raise(&s.synced, uint64(rev))
	if s.view.Load().rev >= rev {
		return // and whoever did it tells the watchers
	}
	s.hub.mu.Lock()
	durable := s.hub.takeDurable(kv.Revision(s.synced.Load()))
	if len(durable) == 0 {
		s.hub.mu.Unlock()
		return
	}
	last := durable[len(durable)-1]
	old := s.view.Swap(newView(last.rev, last.total, last.snap, s.fail))
	last.snap = nil
	s.moveAnchor()
	first := int64(noDeadline)
	for _, c := range durable {
		first = min(first, c.deadline)
		s.hub.dispatch(c)
	}
	s.hub.mu.Unlock()

	old.release()
	for _, c := range durable[:len(durable)-1] {
		closeSnapshot(c.snap, s.fail)
		c.snap = nil
	}
	s.upkeep.published(first, last.rev, last.total)
}

// raise sets v to n if that is more.
func raise(v *atomic.Uint64, n uint64) {
	for now := v.Load(); now < n && !v.CompareAndSwap(now, n); now = v.Load() {
	}
}

// moveAnchor keeps one view somewhat older than the newest. Closing pebble's
// oldest snapshot makes it look for compactions, each time; with the anchor it
// does so once in anchorRevisions. Under hub.mu.
func (s *Store) moveAnchor() {
	if now := s.view.Load(); now.rev >= s.anchor.rev+anchorRevisions {
		now.acquire()
		s.anchor.release()
		s.anchor = now
	}
}

// awaitDurable waits until rev is published.
func (s *Store) awaitDurable(rev kv.Revision) error {
	if s.view.Load().rev >= rev {
		return nil
	}
	s.hub.mu.Lock()
	if s.view.Load().rev >= rev {
		s.hub.mu.Unlock()
		return nil
	}
	w := durableWaiter{rev: rev, done: make(chan struct{})}
	s.hub.waiters = append(s.hub.waiters, w)
	s.hub.mu.Unlock()
	select {
	case <-w.done:
		return nil
	case <-s.fail.ch:
		return s.fail.err()
	}
}
