package pebblekv_test

import (
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// faultFS is an errorfs that also sees what is done to reused log files, which
// errorfs lets through.
type faultFS struct {
	*errorfs.FS
	before func(op errorfs.Op) error
}

// withFaults calls before with each operation on fs, which fails with its error.
func withFaults(fs vfs.FS, before func(op errorfs.Op) error) vfs.FS {
	return faultFS{errorfs.Wrap(fs, errorfs.InjectorFunc(before)), before}
}

func (fs faultFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.ReuseForWrite(oldname, newname, category)
	if err != nil {
		return nil, err
	}
	return errorfs.WrapFile(f, errorfs.InjectorFunc(func(op errorfs.Op) error {
		op.Path = newname
		return fs.before(op)
	})), nil
}
