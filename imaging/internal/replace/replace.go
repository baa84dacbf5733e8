package replace

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Set is files that get their names together. The zero value is empty. It is for
// one goroutine.
type Set struct{ files []*file }

// file is one that may not have its name yet.
type file struct {
	*os.File
	path  string // the final one
	named bool
}

// Create begins what is to be at path: with the owner and mode of what is there
// or, if nothing is, mode less the umask. Links are followed, and a device or a
// pipe is not replaced. The file is the Set's to close.
func (s *Set) Create(path string, mode os.FileMode) (*os.File, error) {
	old, err := os.Stat(path)
	switch {
	case err == nil && !old.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no regular file", path)
	case err == nil:
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return nil, err
		}
	case !errors.Is(err, os.ErrNotExist):
		return nil, err
	}
	f, err := temporary(path, mode)
	if err != nil {
		return nil, err
	}
	s.files = append(s.files, &file{File: f, path: path})
	return f, inherit(f, old)
}

// Commit makes all files durable, gives them a time, and then their names in the
// order in which they were created. After an error some may have theirs.
func (s *Set) Commit(mtime time.Time) error {
	for _, f := range s.files {
		if err := os.Chtimes(f.Name(), mtime, mtime); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
	}
	for _, f := range s.files {
		if err := os.Rename(f.Name(), f.path); err != nil {
			return err
		}
		f.named = true
		if err := syncDir(filepath.Dir(f.path)); err != nil {
			return err
		}
	}
	return nil
}

// Discard closes all files and removes those without a name. It does no harm
// after Commit, which it must follow too.
func (s *Set) Discard() {
	for _, f := range s.files {
		if !f.named {
			_ = os.Remove(f.Name()) // or it goes the next time
		}
		_ = f.Close() // what counts was synced
	}
	s.files = nil
}

// File makes a single file that fill writes.
func File(path string, mode os.FileMode, mtime time.Time, fill func(*os.File) error) error {
	var s Set
	defer s.Discard()
	f, err := s.Create(path, mode)
	if err == nil {
		err = fill(f)
	}
	if err != nil {
		return err
	}
	return s.Commit(mtime)
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
