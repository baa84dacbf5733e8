package pebblekv

import (
	"fmt"
	"sync"
	"sync/atomic"

	"hyzer/storage/kv"
)

// failure is the one-way switch to the failed state: after it, no revision is
// published and no Update is acknowledged.
type failure struct {
	cause atomic.Pointer[error]
	once  sync.Once
	ch    chan struct{} // closed by the first set
	stuck atomic.Bool   // a lock inside pebble may be held for ever
}

func newFailure() *failure { return &failure{ch: make(chan struct{})} }

// set keeps the first cause, and reports whether this was it.
func (f *failure) set(cause error) (first bool) {
	f.once.Do(func() {
		f.cause.Store(&cause)
		close(f.ch)
		first = true
	})
	return first
}

// err is nil while the store is good, and wraps kv.ErrFailed after.
func (f *failure) err() error {
	cause := f.cause.Load()
	if cause == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", kv.ErrFailed, *cause)
}
