package pebblekv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"hyzer/storage/kv"
)

// Store is a kv.Store in one directory. See the package comment.
type Store struct {
	dir    string
	fs     vfs.FS // as given, not guarded
	db     *pebble.DB
	lock   *pebble.Lock
	guard  *guardFS
	health io.Closer // nil unless on the default file system
	log    *slog.Logger
	clock  Clock
	fail   *failure
	gate   *gate
	view   atomic.Pointer[view]

	turn     turn
	applied  floorMark   // newest applied revision and its total; under turn
	space    *space      // under turn
	expiring expiringSet // under turn

	synced     atomic.Uint64 // newest revision that an fsync is known to cover
	hub        hub
	anchor     *view // under hub.mu; see moveAnchor
	history    atomic.Pointer[floorMark]
	forgetting sync.Mutex
	upkeep     upkeep

	quit     chan struct{} // closed by Close when no call is inside
	stop     context.CancelFunc
	running  sync.WaitGroup
	closing  sync.Once
	closeErr error
}

var _ kv.Store = (*Store)(nil)

// Close waits for running calls, refuses new ones, and closes the directory.
// Watchers end with kv.ErrClosed. Further calls return what the first did.
// Close of a failed store returns kv.ErrFailed, after closeGrace at the latest:
// then pebble, its files, its lock and the calls that are stuck in it stay until
// the process ends.
func (s *Store) Close() error {
	s.closing.Do(func() { s.closeErr = s.close() })
	return s.closeErr
}

// closeGrace is how long Close of a failed store waits for calls inside.
const closeGrace = 10 * time.Second

func (s *Store) close() (err error) {
	s.gate.shut()
	s.guard.closing.Store(true)
	s.stop()
	idle := s.drain()
	close(s.quit)
	if !idle || s.fail.stuck.Load() {
		return fmt.Errorf("%w: pebble is stuck, end the process before opening the store again", s.Err())
	}
	defer s.catchFatal(&err)
	s.view.Load().release()
	s.anchor.release()
	for _, c := range s.hub.unsynced { // only of a failed store
		c.snap.Close()
	}
	err = s.db.Close()
	if s.fail.happened() {
		err = s.Err() // what pebble says is of its shadow
	}
	return errors.Join(err, s.closeHealth(), s.lock.Close())
}

// drain waits until nobody is inside. It reports false if it gave up.
func (s *Store) drain() bool {
	idle := make(chan struct{})
	go func() { // outlives Close only if something is stuck
		<-s.gate.drained
		s.running.Wait()
		close(idle)
	}()
	select {
	case <-idle:
		return true
	case <-s.fail.ch:
	}
	timer := time.NewTimer(closeGrace)
	defer timer.Stop()
	select {
	case <-idle:
		return true
	case <-timer.C:
		return false
	}
}
