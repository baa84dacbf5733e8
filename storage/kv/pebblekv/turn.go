package pebblekv

import (
	"context"
	"sync/atomic"
)

// turn is the lock a transaction runs under. Unlike sync.Mutex it can be given
// up waiting for; unlike a channel of one slot it is not handed over to a
// goroutine that sleeps, so a burst of writers pays for few wake-ups. A waiter
// can be overtaken, but whoever overtakes it sleeps until an fsync next.
type turn struct {
	taken   atomic.Bool
	waiters atomic.Int64
	freed   chan struct{} // capacity 1: a hint to try again
}

func newTurn() turn { return turn{freed: make(chan struct{}, 1)} }

// take returns false if ctx, stop or full ended first.
func (t *turn) take(ctx context.Context, stop, full <-chan struct{}) bool {
	if t.taken.CompareAndSwap(false, true) {
		return true
	}
	t.waiters.Add(1)
	defer t.waiters.Add(-1)
	// The first try after counting as a waiter is what makes sure that the
	// hint of a release meanwhile is not missed.
	for !t.taken.CompareAndSwap(false, true) {
		select {
		case <-t.freed:
		case <-ctx.Done():
			return false
		case <-stop:
			return false
		case <-full:
			return false
		}
	}
	return true
}

func (t *turn) pass() {
	t.taken.Store(false)
	if t.waiters.Load() == 0 {
		return
	}
	select {
	case t.freed <- struct{}{}:
	default:
	}
}
