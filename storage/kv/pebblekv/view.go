package pebblekv

import (
	"context"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"hyzer/storage/kv"
)

// view is a published state: a snapshot taken right after its revision was
// applied, before the next was, and published when it was durable. (pebble
// itself shows a write to readers before it is synced.) The store holds one
// reference to the newest view, each running View one to its own.
type view struct {
	rev   kv.Revision
	total uint64
	snap  *pebble.Snapshot
	refs  atomic.Int64
	fail  *failure
}

func newView(rev kv.Revision, total uint64, snap *pebble.Snapshot, fail *failure) *view {
	v := &view{rev: rev, total: total, snap: snap, fail: fail}
	v.refs.Store(1)
	return v
}

// acquire reports false if the view was let go of meanwhile.
func (v *view) acquire() bool {
	for {
		n := v.refs.Load()
		if n == 0 {
			return false
		}
		if v.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (v *view) release() {
	if v.refs.Add(-1) == 0 {
		closeSnapshot(v.snap, v.fail)
	}
}

// closeSnapshot leaks the snapshot if pebble may hold its lock for ever.
func closeSnapshot(snap *pebble.Snapshot, fail *failure) {
	if !fail.stuck.Load() {
		snap.Close()
	}
}

// currentView returns the newest view with a reference for the caller.
func (s *Store) currentView() *view {
	for {
		if v := s.view.Load(); v.acquire() {
			return v
		}
	}
}

// View implements kv.Store. It costs no lock and no disk access of its own.
// Close waits for it.
func (s *Store) View(ctx context.Context, fn func(r kv.Reader) error) (err error) {
	if !s.gate.enter() {
		return kv.ErrClosed
	}
	defer s.gate.leave()
	if err := ctx.Err(); err != nil {
		return err
	}
	v := s.currentView()
	defer v.release()
	defer s.catchFatal(&err)
	return fn(&reader{src: v.snap, rev: v.rev})
}

// Revision implements kv.Store.
func (s *Store) Revision() kv.Revision { return s.view.Load().rev }
