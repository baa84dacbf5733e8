package pebblekv

import (
	"fmt"
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
// An error while it rotates its write-ahead log makes pebble panic over an
// unlocked mutex, which no recover can catch: the process would exit. And an
// error while it appends to the log may be reported to one writer and panic in
// the next. So the guard hides errors of the log from pebble: the first one
// puts the store into the failed state (before pebble can wake any writer), and
// from then on the log swallows everything and the rest of the directory is
// frozen. No transaction is acknowledged or published in that state, so the
// lies told to pebble are never passed on, and what is on disk stays a prefix
// of the transactions.
//
// A flush that fails is retried by pebble at once, for ever: thousands of
// attempts a second on a full disk. The guard delays the error.
type guardFS struct {
	vfs.FS
	dir   string // the store's; files elsewhere (backups) are not guarded
	fail  *failure
	armed atomic.Bool   // after Open, whose errors go to its caller instead
	quit  chan struct{} // ends delays
}

// tableRetryDelay is the pause after a failed write of a table.
const tableRetryDelay = 250 * time.Millisecond

var _ vfs.FS = (*guardFS)(nil)

func newGuardFS(fs vfs.FS, dir string, fail *failure, quit chan struct{}) *guardFS {
	return &guardFS{FS: fs, dir: clean(fs, dir), fail: fail, quit: quit}
}

// clean is the form of dir in the names pebble makes of it.
func clean(fs vfs.FS, dir string) string { return fs.PathDir(fs.PathJoin(dir, "x")) }

// failLog records a failure of the log. It reports whether to hide it.
func (fs *guardFS) failLog(op, name string, err error) bool {
	if !fs.armed.Load() {
		return false
	}
	fs.fail.set(fmt.Errorf("%s %s: %w", op, name, err))
	return true
}

// frozen refuses changes of the directory in the failed state.
func (fs *guardFS) frozen() error { return fs.fail.err() }

func (fs *guardFS) delay() {
	if !fs.armed.Load() {
		return
	}
	timer := time.NewTimer(tableRetryDelay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-fs.quit:
	}
}

func (fs *guardFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if fs.owns(name, ".log") {
		return fs.logFile(name, func() (vfs.File, error) { return fs.FS.Create(name, category) })
	}
	if err := fs.frozen(); err != nil {
		fs.delay()
		return nil, err
	}
	if strings.HasPrefix(fs.PathBase(name), "marker.") {
		if err := syncDir(fs.FS, fs.PathDir(name)); err != nil {
			return nil, err
		}
	}
	f, err := fs.FS.Create(name, category)
	if err == nil && strings.HasPrefix(fs.PathBase(name), "MANIFEST") {
		return &manifestFile{File: f, fs: fs}, nil
	}
	if !fs.owns(name, ".sst") {
		return f, err
	}
	if err != nil {
		fs.delay()
		return nil, err
	}
	return &tableFile{File: f, fs: fs}, nil
}

func (fs *guardFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.logFile(newname, func() (vfs.File, error) { return fs.FS.ReuseForWrite(oldname, newname, category) })
}

func (fs *guardFS) logFile(name string, open func() (vfs.File, error)) (vfs.File, error) {
	if fs.frozen() != nil {
		return &logFile{File: vfs.NewMemFile(nil), fs: fs, name: name}, nil
	}
	f, err := open()
	if err != nil {
		if !fs.failLog("create", name, err) {
			return nil, err
		}
		f = vfs.NewMemFile(nil)
	}
	return &logFile{File: f, fs: fs, name: name}, nil
}

func (fs *guardFS) OpenDir(name string) (vfs.File, error) {
	f, err := fs.FS.OpenDir(name)
	if err != nil || clean(fs, name) != fs.dir {
		return f, err
	}
	return &dirFile{File: f, fs: fs, name: name}, nil
}

func (fs *guardFS) Remove(name string) error {
	if err := fs.frozen(); err != nil {
		return err
	}
	return fs.FS.Remove(name)
}

func (fs *guardFS) Rename(oldname, newname string) error {
	if err := fs.frozen(); err != nil {
		return err
	}
	return fs.FS.Rename(oldname, newname)
}

func (fs *guardFS) Unwrap() vfs.FS { return fs.FS }

func (fs *guardFS) owns(name, suffix string) bool {
	return strings.HasSuffix(name, suffix) && fs.PathDir(name) == fs.dir
}

// logFile is a write-ahead log whose errors are kept from pebble.
type logFile struct {
	vfs.File
	fs   *guardFS
	name string
}

// run does op unless the store has failed, and hides its error.
func (f *logFile) run(what string, op func() error) error {
	if f.fs.frozen() != nil {
		return nil
	}
	if err := op(); err != nil && !f.fs.failLog(what, f.name, err) {
		return err
	}
	return nil
}

func (f *logFile) Write(p []byte) (int, error) {
	err := f.run("write", func() error { _, err := f.File.Write(p); return err })
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

func (f *logFile) Sync() error     { return f.run("sync", f.File.Sync) }
func (f *logFile) SyncData() error { return f.run("sync", f.File.SyncData) }

func (f *logFile) SyncTo(length int64) (full bool, err error) {
	err = f.run("sync", func() (err error) { full, err = f.File.SyncTo(length); return err })
	return full, err
}

func (f *logFile) Preallocate(offset, length int64) error {
	return f.run("preallocate", func() error { return f.File.Preallocate(offset, length) })
}

func (f *logFile) Close() error {
	if err := f.File.Close(); err != nil && !f.fs.failLog("close", f.name, err) {
		return err
	}
	return nil
}

// dirFile is a directory handle; syncing it is part of rotating the log.
type dirFile struct {
	vfs.File
	fs   *guardFS
	name string
}

func (f *dirFile) Sync() error {
	if f.fs.frozen() != nil {
		return nil
	}
	if err := f.File.Sync(); err != nil && !f.fs.failLog("sync", f.name, err) {
		return err
	}
	return nil
}

// tableFile delays write errors of a table.
type tableFile struct {
	vfs.File
	fs *guardFS
}

func (f *tableFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	if err != nil {
		f.fs.delay()
	}
	return n, err
}

func (f *tableFile) Sync() error {
	err := f.File.Sync()
	if err != nil {
		f.fs.delay()
	}
	return err
}

// manifestFile is frozen with the directory: what it would name may not be
// durable.
type manifestFile struct {
	vfs.File
	fs *guardFS
}

func (f *manifestFile) Write(p []byte) (int, error) {
	if err := f.fs.frozen(); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

func (f *manifestFile) Sync() error {
	if err := f.fs.frozen(); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *manifestFile) SyncData() error {
	if err := f.fs.frozen(); err != nil {
		return err
	}
	return f.File.SyncData()
}
