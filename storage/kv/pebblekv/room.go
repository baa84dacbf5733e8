package pebblekv

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"

	"hyzer/storage/kv"
)

// flushCategory is what pebble says of the tables it flushes memtables to.
const flushCategory vfs.DiskWriteCategory = "pebble-memtable-flush"

// compactionRetryDelay is the pause after a compaction was refused.
const compactionRetryDelay = 5 * time.Second

// flushRoom tells writers that flushes find no room: to wait for one would be
// to wait for an operator.
type flushRoom struct {
	mu   sync.Mutex
	err  error
	none chan struct{} // closed while err is set
}

func newFlushRoom() *flushRoom { return &flushRoom{none: make(chan struct{})} }

// lost is told of an error of a flush. Only a full disk is of interest.
func (r *flushRoom) lost(err error) {
	if !errors.Is(err, unix.ENOSPC) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		close(r.none)
	}
	r.err = err
}

// found is told of a flush that had room.
func (r *flushRoom) found() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		r.err, r.none = nil, make(chan struct{})
	}
}

// state returns kv.ErrDiskFull if there is no room, and otherwise a channel
// that is closed when there is none.
func (r *flushRoom) state(dir string) (none <-chan struct{}, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		err = fmt.Errorf("%w: %s has no room for what was written before: make room, writing resumes by itself: %w", kv.ErrDiskFull, dir, r.err)
	}
	return r.none, err
}

// compactionRoom refuses a table of a compaction that would take the room that
// flushes need. With less than half of the watermark free, tables stay as many
// as they are, which costs readers.
func (fs *guardFS) compactionRoom(name string) error {
	if fs.reserve == 0 || fs.frozen() {
		return nil
	}
	free, err := fs.free(fs.dir)
	if err != nil || free >= fs.reserve {
		return nil
	}
	fs.pause(compactionRetryDelay)
	return fmt.Errorf("compact to %s: %d bytes are free, flushes need %d: %w", name, free, fs.reserve, unix.ENOSPC)
}
