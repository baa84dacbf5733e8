package server

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ErrImageChanged is wrapped by the error of a session whose file was written
// to or truncated while it was being sent. Blocks of two versions never go
// out: the file is checked after each read and before the send.
var ErrImageChanged = errors.New("image changed while it was being sent")

// ErrNotRegular is wrapped by OpenFile's error for a directory or device.
var ErrNotRegular = errors.New("not a regular file")

// Image is the file a session sends. *File is the one for real; the tests have
// others.
type Image interface {
	io.ReaderAt
	io.Closer
	// Name is for errors and logs.
	Name() string
	Size() int64
	// Check returns an error that wraps ErrImageChanged if what ReadAt
	// returned up to now may not be of the version that was opened.
	Check() error
	// Prefetch hints that these bytes will be read soon.
	Prefetch(offset, bytes int64)
}

// cachedReader is an Image that can say what needs no disk.
type cachedReader interface {
	ReadCached(p []byte, off int64) (int, error)
}

// Identity tells one version of a file from another.
type Identity struct {
	Device, Inode uint64
	Bytes         int64
	MTimeNS       int64
}

// File is an opened image. If another file takes its name, this one is still
// what it was; if it is itself written to, Check says so.
type File struct {
	f        *os.File
	id       Identity
	inMemory bool // the file system has no disk
}

// OpenFile opens a regular file.
func OpenFile(path string) (*File, error) {
	// Without waiting: the path may be of a FIFO.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	id, err := identify(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	var fs unix.Statfs_t
	inMemory := unix.Fstatfs(int(f.Fd()), &fs) == nil && fs.Type == unix.TMPFS_MAGIC
	return &File{f, id, inMemory}, nil
}

func identify(f *os.File) (Identity, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return Identity{}, &os.PathError{Op: "fstat", Path: f.Name(), Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return Identity{}, fmt.Errorf("%s: %w", f.Name(), ErrNotRegular)
	}
	return Identity{uint64(st.Dev), st.Ino, st.Size, st.Mtim.Nano()}, nil
}

// Name returns the path that was opened.
func (i *File) Name() string { return i.f.Name() }

// Size returns the size when it was opened, in bytes.
func (i *File) Size() int64 { return i.id.Bytes }

// Identity returns which version was opened.
func (i *File) Identity() Identity { return i.id }

// MTime returns the modification time when it was opened.
func (i *File) MTime() time.Time { return time.Unix(0, i.id.MTimeNS) }

// ReadAt reads from the file.
func (i *File) ReadAt(p []byte, off int64) (int, error) { return i.f.ReadAt(p, off) }

// ReadCached reads what is in memory: all of p, or less if the disk would have
// to be waited for.
func (i *File) ReadCached(p []byte, off int64) (int, error) {
	if i.inMemory {
		return i.f.ReadAt(p, off)
	}
	return unix.Preadv2(int(i.f.Fd()), [][]byte{p}, off, unix.RWF_NOWAIT)
}

// Close closes the file.
func (i *File) Close() error { return i.f.Close() }

// Check compares size and modification time with those at opening.
func (i *File) Check() error {
	now, err := identify(i.f)
	if err != nil {
		return err
	}
	if now != i.id {
		return fmt.Errorf("%w: %s was %d bytes of %v, is %d bytes of %v; install images by renaming and load again",
			ErrImageChanged, i.Name(), i.id.Bytes, i.MTime().UTC(), now.Bytes, time.Unix(0, now.MTimeNS).UTC())
	}
	return nil
}

// Prefetch lets the kernel start reading.
func (i *File) Prefetch(offset, bytes int64) {
	// A hint: if it fails, the read takes longer.
	_ = unix.Fadvise(int(i.f.Fd()), offset, bytes, unix.FADV_WILLNEED)
}
