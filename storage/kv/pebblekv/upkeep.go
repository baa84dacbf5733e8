package pebblekv

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sort"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"hyzer/storage/kv"
	"hyzer/storage/kv/pebblekv/record"
)

const (
	noDeadline = math.MaxInt64
	// expireKeysMax bounds one transaction of expiry.
	expireKeysMax = 512
	// clockCheck bounds a sleep until a deadline, so that a step of the
	// wall clock is noticed.
	clockCheck = time.Minute
	// expireRetry is the pause after a refused expiry (disk full).
	expireRetry = time.Second
)

// upkeep is what the store does by itself, in one goroutine: expiry of keys
// and retention of history.
type upkeep struct {
	s    *Store
	kick chan struct{} // capacity 1
	// sleepsUntil is the deadline the goroutine sleeps for. While it is
	// computed it is noDeadline, so that any new deadline kicks.
	sleepsUntil atomic.Int64
	limits      retention
}

// retention is when to forget and how much.
type retention struct {
	revisions uint64
	bytes     uint64
}

// exceeded allows an eighth over each limit, so that history is cut in lumps.
func (r retention) exceeded(revisions, bytes uint64) bool {
	return revisions > r.revisions+r.revisions/8 || bytes > r.bytes+r.bytes/8
}

// published is told of each publication.
func (u *upkeep) published(deadline int64, rev kv.Revision, total uint64) {
	floor := u.s.history.Load()
	if deadline < u.sleepsUntil.Load() || u.limits.exceeded(uint64(rev-floor.rev), total-floor.total) {
		select {
		case u.kick <- struct{}{}:
		default:
		}
	}
}

func (u *upkeep) run(ctx context.Context) {
	for ctx.Err() == nil && u.s.fail.err() == nil {
		u.sleepsUntil.Store(noDeadline)
		sleep := u.expire(ctx)
		if err := u.retain(); err != nil && u.s.fail.err() == nil {
			u.s.log.Error("history retention failed", "err", err)
		}
		timer := u.s.clock.NewTimer(sleep)
		select {
		case <-ctx.Done():
		case <-u.s.fail.ch:
		case <-u.kick:
		case <-timer.C():
		}
		timer.Stop()
	}
}

// expire deletes what is due, and returns how long to sleep.
func (u *upkeep) expire(ctx context.Context) time.Duration {
	for {
		next, err := u.firstDeadline()
		if err != nil {
			u.s.log.Error("reading the expiry index failed", "err", err)
			return expireRetry
		}
		now := u.s.clock.Now()
		if next > now.UnixMilli() {
			u.sleepsUntil.Store(next)
			return sleepUntil(next, now)
		}
		_, err = u.s.update(ctx, func(t *tx) error { return expireDue(t, now.UnixMilli()) })
		if err != nil {
			if ctx.Err() == nil {
				u.s.log.Warn("expiry is delayed", "err", err)
			}
			return expireRetry
		}
	}
}

func sleepUntil(deadline int64, now time.Time) time.Duration {
	ms := uint64(deadline) - uint64(now.UnixMilli())
	if ms >= uint64(clockCheck/time.Millisecond) {
		return clockCheck
	}
	return max(time.UnixMilli(deadline).Sub(now), 0)
}

// firstDeadline is the earliest deadline of a durable key, or noDeadline.
func (u *upkeep) firstDeadline() (first int64, err error) {
	defer u.s.catchFatal(&err)
	first = noDeadline
	v := u.s.currentView()
	defer v.release()
	err = iterate(v.snap, []byte{record.SpaceExpiry}, []byte{record.SpaceExpiry + 1}, false, func(k, _ []byte) error {
		var err error
		if first, _, err = record.DecodeExpiryKey(k); err != nil {
			return err
		}
		return kv.ErrStop
	})
	return first, err
}

// expireDue deletes the keys whose deadline is not after now, as many as one
// transaction takes.
func expireDue(t *tx, now int64) error {
	var due [][]byte
	upper := []byte{record.SpaceExpiry + 1}
	if now < math.MaxInt64 {
		upper = record.AppendExpiryKey(nil, now+1, nil)
	}
	err := iterate(t.batch, []byte{record.SpaceExpiry}, upper, false, func(k, _ []byte) error {
		_, key, err := record.DecodeExpiryKey(k)
		if err != nil {
			return err
		}
		due = append(due, append([]byte{}, key...))
		if len(due) == expireKeysMax {
			return kv.ErrStop
		}
		return nil
	})
	for _, key := range due {
		if err == nil {
			err = t.delete(key, true)
		}
	}
	return err
}

// retain forgets history over the limits.
func (u *upkeep) retain() (err error) {
	defer u.s.catchFatal(&err)
	v := u.s.view.Load()
	floor := u.s.history.Load()
	if !u.limits.exceeded(uint64(v.rev-floor.rev), v.total-floor.total) {
		return nil
	}
	cut, err := u.cut(*floor, v.rev, v.total)
	if err != nil {
		return err
	}
	return u.s.forget(cut)
}

// cut finds the oldest revision that may stay the floor, by bisection over the
// totals in the history records.
func (u *upkeep) cut(floor floorMark, rev kv.Revision, total uint64) (kv.Revision, error) {
	low := floor.rev
	if n := uint64(rev - floor.rev); n > u.limits.revisions {
		low = rev - kv.Revision(u.limits.revisions)
	}
	var failed error
	n := sort.Search(int(rev-low), func(i int) bool {
		at, err := u.s.totalAt(low + kv.Revision(i))
		if err != nil {
			failed = err
			return true
		}
		return total-at <= u.limits.bytes
	})
	return low + kv.Revision(n), failed
}

// floorMark is the newest revision without history, and the total up to it.
type floorMark struct {
	rev   kv.Revision
	total uint64
}

func (s *Store) floor() kv.Revision { return s.history.Load().rev }

// totalAt reads the total of a revision whose history is kept, or of the floor.
func (s *Store) totalAt(rev kv.Revision) (uint64, error) {
	if floor := s.history.Load(); rev == floor.rev {
		return floor.total, nil
	}
	b, closer, err := s.db.Get(record.AppendHistoryKey(nil, rev))
	if err != nil {
		return 0, fmt.Errorf("pebblekv: history of revision %d: %w", rev, err)
	}
	defer closer.Close()
	total, _, err := record.DecodeHistory(rev, b)
	return total, err
}

// Compact implements kv.Store. A revision that is forgotten already is no
// error.
func (s *Store) Compact(ctx context.Context, rev kv.Revision) (err error) {
	if !s.gate.enter() {
		return kv.ErrClosed
	}
	defer s.gate.leave()
	defer s.catchFatal(&err)
	if err := ctx.Err(); err != nil {
		return err
	}
	if now := s.Revision(); rev > now {
		return fmt.Errorf("%w: compact to %d, the store is at %d", kv.ErrFutureRevision, rev, now)
	}
	return s.forget(rev)
}

// forget moves the floor up to rev. It is not synced: a floor that a crash
// takes back only means that more history is there.
func (s *Store) forget(rev kv.Revision) error {
	s.forgetting.Lock()
	defer s.forgetting.Unlock()
	if err := s.fail.err(); err != nil {
		return err
	}
	old := s.history.Load()
	if rev <= old.rev {
		return nil
	}
	total, err := s.totalAt(rev)
	if err != nil {
		return err
	}
	batch := s.db.NewBatch()
	defer batch.Close()
	floor := floorMark{rev: rev, total: total}
	if err := forget(batch, *old, floor); err != nil {
		return err
	}
	// Watchers must find the floor moved before they find records gone.
	s.history.Store(&floor)
	return s.db.Apply(batch, pebble.NoSync)
}

// forget writes what moves the floor.
func forget(batch *pebble.Batch, old, floor floorMark) error {
	return errors.Join(
		batch.Set(record.FloorKey(), record.Floor(floor.rev, floor.total), nil),
		batch.DeleteRange(record.AppendHistoryKey(nil, old.rev), record.AppendHistoryKey(nil, floor.rev+1), nil))
}
