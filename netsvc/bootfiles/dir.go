package bootfiles

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// idleFilesMax bounds the files that stay open with nobody reading them. When
// a rack powers on, its nodes ask for the same handful of names.
const idleFilesMax = 64

// Dir serves the regular files below one folder. Transfers of one file share
// one descriptor. A file replaced by rename is seen by the next Open; transfers
// under way finish with the old content.
type Dir struct {
	root *os.Root

	mu     sync.Mutex
	open   map[string]*sharedFile
	idle   *list.List // of *sharedFile, longest idle first
	closed bool
}

// OpenDir opens the folder at path. Close it when no service uses it any more.
func OpenDir(path string) (*Dir, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("boot files: %w (create the folder or correct the configured path)", err)
	}
	return &Dir{root: root, open: map[string]*sharedFile{}, idle: list.New()}, nil
}

// Close releases the folder and the idle files. Files still being read stay
// readable until their own Close.
func (d *Dir) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for name, s := range d.open {
		d.forget(name, s)
	}
	return d.root.Close()
}

// Open implements Files. Every client may read every file.
func (d *Dir) Open(_ context.Context, _ netip.Addr, name string) (File, error) {
	clean, err := CleanName(name)
	if err != nil {
		return nil, err
	}
	info, err := d.root.Stat(clean)
	if err != nil {
		return nil, openError(err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: not a regular file", ErrRefused)
	}
	if f := d.shared(clean, info); f != nil {
		return f, nil
	}
	return d.openNew(clean)
}

// shared returns one more handle on a file that is open already and unchanged.
func (d *Dir) shared(name string, info fs.FileInfo) File {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.open[name]
	if s == nil {
		return nil
	}
	if !s.is(info) {
		d.forget(name, s)
		return nil
	}
	return d.handle(s)
}

func (d *Dir) openNew(name string) (File, error) {
	// O_NONBLOCK: a FIFO put there between Stat and here must not hang us.
	f, err := d.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, openError(err)
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, errors.Join(fmt.Errorf("%w: not a regular file", ErrRefused), err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		f.Close()
		return nil, fmt.Errorf("boot files: %w", fs.ErrClosed)
	}
	if s := d.open[name]; s != nil {
		if s.is(info) { // opened by another request meanwhile
			f.Close()
			return d.handle(s), nil
		}
		d.forget(name, s)
	}
	s := &sharedFile{name: name, file: f, info: info}
	d.open[name] = s
	return d.handle(s), nil
}

// handle counts one more reader of s. The caller holds mu.
func (d *Dir) handle(s *sharedFile) File {
	if s.idle != nil {
		d.idle.Remove(s.idle)
		s.idle = nil
	}
	s.readers++
	return &dirFile{dir: d, shared: s}
}

// forget drops s from the table; its descriptor closes with its last reader.
// The caller holds mu.
func (d *Dir) forget(name string, s *sharedFile) {
	delete(d.open, name)
	s.stale = true
	if s.idle != nil {
		d.idle.Remove(s.idle)
		s.idle = nil
	}
	if s.readers == 0 {
		s.file.Close()
	}
}

// release ends one reader of s and keeps the descriptor for the next, within
// idleFilesMax.
func (d *Dir) release(s *sharedFile) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	s.readers--
	if s.readers > 0 {
		return nil
	}
	if s.stale {
		return s.file.Close()
	}
	s.idle = d.idle.PushBack(s)
	if d.idle.Len() > idleFilesMax {
		oldest := d.idle.Front().Value.(*sharedFile)
		d.forget(oldest.name, oldest)
	}
	return nil
}

// sharedFile is one open descriptor and who reads it. Its fields below info
// are guarded by Dir.mu.
type sharedFile struct {
	name string
	file *os.File
	info fs.FileInfo

	readers int
	stale   bool
	idle    *list.Element
}

func (s *sharedFile) is(info fs.FileInfo) bool {
	return os.SameFile(s.info, info) && s.info.Size() == info.Size() && s.info.ModTime().Equal(info.ModTime())
}

// dirFile is one reader's handle.
type dirFile struct {
	dir    *Dir
	shared *sharedFile
	once   sync.Once
}

func (f *dirFile) ReadAt(p []byte, off int64) (int, error) { return f.shared.file.ReadAt(p, off) }
func (f *dirFile) Size() int64                             { return f.shared.info.Size() }
func (f *dirFile) ModTime() time.Time                      { return f.shared.info.ModTime() }

func (f *dirFile) Close() (err error) {
	f.once.Do(func() { err = f.dir.release(f.shared) })
	return err
}

// openError sorts what os.Root says: a path through a file is a name that is
// not there, and an error that is not the kernel's is os.Root's refusal of a
// link out of the root.
func openError(err error) error {
	var errno syscall.Errno
	switch {
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w: %v", fs.ErrNotExist, err)
	case errors.Is(err, fs.ErrNotExist), errors.As(err, &errno):
		return err
	}
	return fmt.Errorf("%w: %v", ErrRefused, err)
}
