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

// happened is err() != nil, without its cost.
func (f *failure) happened() bool { return f.cause.Load() != nil }

// err is nil while the store is good, and wraps kv.ErrFailed after.
func (f *failure) err() error {
	if cause := f.reason(); cause != nil {
		return fmt.Errorf("%w: %w", kv.ErrFailed, cause)
	}
	return nil
}

// reason is err as it was set.
func (f *failure) reason() error {
	if cause := f.cause.Load(); cause != nil {
		return *cause
	}
	return nil
}

// Failed is closed when the store fails: every Update after is kv.ErrFailed,
// reads go on from the last durable state. The process should then stop, with
// Err as its message, and be started again.
func (s *Store) Failed() <-chan struct{} { return s.fail.ch }

// Err is nil unless the store has failed, and then wraps kv.ErrFailed and the
// error of the file system that was the cause.
func (s *Store) Err() error {
	if err := s.fail.err(); err != nil {
		return fmt.Errorf("pebblekv: %s: %w", s.dir, err)
	}
	return nil
}
