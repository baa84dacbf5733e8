package pebblekv

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// guardFS stands between pebble and the file system, for gaps in what pebble
// does about crashes and errors.
//
// pebble points a marker file at a new manifest before the directory entry of
// the manifest is durable. If a crash keeps the first and loses the second, as
// POSIX allows, the store does not open again. The guard syncs the directory
// before it creates a marker.
//
// Errors of the files pebble cannot do without (write-ahead log, manifest,
// markers, options, the directory itself) make it panic over unlocked mutexes,
// leave writers waiting for a flush that never ends, or hang in its Open. So
// the guard hides them: the first one puts the store into the failed state
// (before pebble can wake any writer), and from then on the directory is frozen
// and pebble goes on in a shadow in memory, where its stalls end and it can be
// closed. No transaction is acknowledged or published in that state, so the
// lies told to pebble are never passed on, and what is on disk stays a prefix
// of the transactions.
//
// A flush that fails is retried by pebble at once, for ever: thousands of
// attempts a second on a full disk. The guard delays the error. Where nobody
// may wait that long, in Open and for a writer that Close waits for, it is a
// failure of the store like those above; the log holds what was to be flushed.
type guardFS struct {
	vfs.FS
	dir     string // the store's; files elsewhere (backups) are not guarded
	fail    *failure
	log     *slog.Logger
	opened  atomic.Bool   // Open is over
	stalled atomic.Bool   // pebble makes a writer wait
	closing atomic.Bool   // Close has begun
	quit    chan struct{} // ends delays

	room    *flushRoom
	reserve uint64 // bytes that compactions must leave free
	free    func(dir string) (uint64, error)

	begun begunTables

	shadow      *vfs.MemFS   // what pebble writes in the failed state
	shadowBytes atomic.Int64 // written there
}

const (
	// tableRetryDelay is the pause after a failed write of a table.
	tableRetryDelay = 250 * time.Millisecond
	// shadowBytesMax bounds the shadow. Nothing but the memtables and the
	// compactions that were due when the store failed is written to it.
	shadowBytesMax = 256 << 20
)

var _ vfs.FS = (*guardFS)(nil)

func newGuardFS(fs vfs.FS, s *Store) (*guardFS, error) {
	g := &guardFS{
		FS: fs, dir: clean(fs, s.dir), fail: s.fail, log: s.log, quit: s.quit, shadow: vfs.NewMem(),
		room: newFlushRoom(), reserve: s.space.watermark / 2, free: s.space.free,
	}
	return g, g.shadow.MkdirAll(g.dir, 0o700)
}

// clean is the form of dir in the names pebble makes of it.
func clean(fs vfs.FS, dir string) string { return fs.PathDir(fs.PathJoin(dir, "x")) }

func (fs *guardFS) owns(name string) bool { return fs.PathDir(name) == fs.dir }

func isTable(name string) bool { return strings.HasSuffix(name, ".sst") }

// failed records the failure of an operation that pebble must not hear of.
func (fs *guardFS) failed(op, name string, err error) {
	first := fs.fail.set(fmt.Errorf("%s %s: %w", op, name, err))
	if first && fs.opened.Load() {
		fs.log.Error("the store failed: reads go on, nothing is written until the process is started again", "dir", fs.dir, "op", op, "path", name, "err", err)
	}
}

// frozen tells whether the directory must not change any more.
func (fs *guardFS) frozen() bool { return fs.fail.happened() }

// flushFailed is called with the error of a flush, before pebble hears of it
// and tries again.
func (fs *guardFS) flushFailed(op, name string, err error) {
	fs.room.lost(err)
	if !fs.opened.Load() {
		fs.failed(op, name, err)
		return
	}
	fs.pause(tableRetryDelay)
	if fs.closing.Load() && fs.stalled.Load() {
		fs.failed(op, name, err)
	}
}

// pause delays an error. Open does not wait.
func (fs *guardFS) pause(d time.Duration) {
	if !fs.opened.Load() {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-fs.quit:
	}
}

func (fs *guardFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if !fs.owns(name) {
		return fs.FS.Create(name, category)
	}
	open := func() (vfs.File, error) { return fs.FS.Create(name, category) }
	if isTable(name) {
		return fs.createTable(name, category == flushCategory, open)
	}
	return fs.createVital(name, func() (vfs.File, error) {
		if strings.HasPrefix(fs.PathBase(name), "marker.") {
			if err := syncDir(fs.FS, fs.dir); err != nil {
				return nil, err
			}
		}
		return open()
	})
}

func (fs *guardFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.createVital(newname, func() (vfs.File, error) { return fs.FS.ReuseForWrite(oldname, newname, category) })
}

func (fs *guardFS) createTable(name string, flush bool, open func() (vfs.File, error)) (vfs.File, error) {
	if !flush {
		if err := fs.compactionRoom(name); err != nil {
			return nil, err
		}
	}
	if fs.frozen() {
		return fs.createShadow(name)
	}
	f, err := open()
	t := &tableFile{File: f, fs: fs, name: name, flush: flush}
	if err != nil {
		return nil, t.failed("create", err)
	}
	if !fs.opened.Load() {
		fs.begun.add(name)
	}
	return t, nil
}

func (fs *guardFS) createVital(name string, open func() (vfs.File, error)) (vfs.File, error) {
	if fs.frozen() {
		return fs.createShadow(name)
	}
	f, err := open()
	if err != nil {
		fs.failed("create", name, err)
		return fs.createShadow(name)
	}
	return &vitalFile{File: f, fs: fs, name: name}, nil
}

func (fs *guardFS) createShadow(name string) (vfs.File, error) {
	f, err := fs.shadow.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	return &shadowFile{File: f, fs: fs}, nil
}

// Open reads what pebble wrote, wherever that went.
func (fs *guardFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	if fs.frozen() && fs.owns(name) {
		if f, err := fs.shadow.Open(name, opts...); err == nil {
			return f, nil
		}
	}
	return fs.FS.Open(name, opts...)
}

func (fs *guardFS) Stat(name string) (vfs.FileInfo, error) {
	if fs.frozen() && fs.owns(name) {
		if info, err := fs.shadow.Stat(name); err == nil {
			return info, nil
		}
	}
	return fs.FS.Stat(name)
}

func (fs *guardFS) OpenDir(name string) (vfs.File, error) {
	f, err := fs.FS.OpenDir(name)
	if err != nil || clean(fs, name) != fs.dir {
		return f, err
	}
	return &vitalFile{File: f, fs: fs, name: name}, nil
}

// Remove leaves the file alone in the failed state, and pebble in the belief
// that it is gone.
func (fs *guardFS) Remove(name string) error {
	if fs.frozen() && fs.owns(name) {
		_ = fs.shadow.Remove(name) // most are not there
		return nil
	}
	return fs.FS.Remove(name)
}

func (fs *guardFS) Rename(oldname, newname string) error {
	if !fs.owns(newname) {
		return fs.FS.Rename(oldname, newname)
	}
	if !fs.frozen() {
		err := fs.FS.Rename(oldname, newname)
		if err == nil {
			return nil
		}
		fs.failed("rename", oldname, err)
	}
	_ = fs.shadow.Rename(oldname, newname) // only of what is there
	return nil
}

// MkdirAll makes directories, the store's and its backups', that only their
// owner can enter: records hold passwords and keys.
func (fs *guardFS) MkdirAll(dir string, perm os.FileMode) error {
	return ownerOnly{fs.FS}.MkdirAll(dir, perm)
}

// ownerOnly makes directories that only their owner can enter.
type ownerOnly struct{ vfs.FS }

func (fs ownerOnly) MkdirAll(dir string, perm os.FileMode) error {
	return fs.FS.MkdirAll(dir, perm&0o700)
}

func (fs ownerOnly) Unwrap() vfs.FS { return fs.FS }

func (fs *guardFS) Unwrap() vfs.FS { return fs.FS }
