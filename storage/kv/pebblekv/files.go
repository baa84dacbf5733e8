package pebblekv

import (
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// vitalFile is a file, or the directory, whose errors are kept from pebble.
type vitalFile struct {
	vfs.File
	fs   *guardFS
	name string
}

// run does op unless the store has failed, and hides its error.
func (f *vitalFile) run(what string, op func() error) error {
	if f.fs.frozen() {
		return nil
	}
	if err := op(); err != nil {
		f.fs.failed(what, f.name, err)
	}
	return nil
}

func (f *vitalFile) Write(p []byte) (int, error) {
	return len(p), f.run("write", func() error {
		if strings.HasPrefix(f.fs.PathBase(f.name), "MANIFEST-") {
			f.fs.begun.referred()
		}
		_, err := f.File.Write(p)
		return err
	})
}

func (f *vitalFile) Sync() error     { return f.run("sync", f.File.Sync) }
func (f *vitalFile) SyncData() error { return f.run("sync", f.File.SyncData) }

func (f *vitalFile) SyncTo(length int64) (full bool, err error) {
	err = f.run("sync", func() (err error) { full, err = f.File.SyncTo(length); return err })
	return full, err
}

func (f *vitalFile) Preallocate(offset, length int64) error {
	return f.run("preallocate", func() error { return f.File.Preallocate(offset, length) })
}

// Close closes the file in the failed state, too.
func (f *vitalFile) Close() error {
	if err := f.File.Close(); err != nil {
		f.fs.failed("close", f.name, err)
	}
	return nil
}

// tableFile tells the guard of write errors of a table.
type tableFile struct {
	vfs.File
	fs    *guardFS
	name  string
	flush bool // of a memtable
}

// failed returns err, when pebble may hear of it.
func (f *tableFile) failed(what string, err error) error {
	if f.flush {
		f.fs.flushFailed(what, f.name, err)
	} else {
		f.fs.pause(tableRetryDelay)
	}
	return err
}

func (f *tableFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	if err != nil {
		return n, f.failed("write", err)
	}
	return n, nil
}

func (f *tableFile) Sync() error     { return f.synced(f.File.Sync()) }
func (f *tableFile) SyncData() error { return f.synced(f.File.SyncData()) }

func (f *tableFile) synced(err error) error {
	if err != nil {
		return f.failed("sync", err)
	}
	if f.flush {
		f.fs.room.found()
	}
	return nil
}

// shadowFile is a file of the failed state.
type shadowFile struct {
	vfs.File
	fs *guardFS
}

func (f *shadowFile) Write(p []byte) (int, error) {
	if f.fs.shadowBytes.Add(int64(len(p))) > shadowBytesMax {
		f.fs.pause(tableRetryDelay)
		return 0, fmt.Errorf("over %d bytes since the store failed", shadowBytesMax)
	}
	return f.File.Write(p)
}
