package unzip

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"hyzer/imaging/partition/scheme"
)

// Target is what an image is restored to. All methods but Finish may be called
// from several goroutines at once, for ranges that do not overlap.
type Target interface {
	io.WriterAt
	// Zero makes size bytes at offset read as zeros.
	Zero(offset, size int64) error
	// SizeBytes is the fixed size of the target, or -1 if it grows.
	SizeBytes() int64
	// Finish gives a target that can grow its length of at least size bytes,
	// and returns when everything is durable.
	Finish(size int64) error
}

// FileTarget is a regular file, a block device, or /dev/null, which takes all.
type FileTarget struct {
	f      *os.File
	direct *os.File // the same, around the page cache; nil: it cannot be had
	async  asyncWriter
	device bool
	fresh  bool  // regular file that was empty: what is not written is zero
	size   int64 // of a device
	had    int64 // bytes that a file had before more were expected
	grown  int64 // that it was given then; 0: none
	unit   int   // bytes of a device's own sectors
	claims []io.Closer
}

// Runs of zeros shorter than zeroRunBytesMin are written; longer ones are left
// to the kernel, on whole pages so that no page is both written and zeroed.
const zeroRunBytesMin = 64 << 10

// OpenTarget opens the file or device at path for restoring, and makes the
// file if need be. The content stays: a delta goes on top of it. Call Truncate
// for a full image.
func OpenTarget(path string) (*FileTarget, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	t, err := newFileTarget(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	return t, nil
}

func newFileTarget(f *os.File) (*FileTarget, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	t := &FileTarget{f: f, size: -1}
	switch mode := info.Mode(); {
	case mode.IsRegular():
		t.fresh = info.Size() == 0
	case mode&os.ModeDevice != 0 && mode&os.ModeCharDevice == 0:
		t.device = true
		if t.size, err = f.Seek(0, io.SeekEnd); err != nil {
			return nil, fmt.Errorf("size of %s: %w", f.Name(), err)
		}
		if t.unit, err = scheme.Unit(f); err != nil {
			return nil, err
		}
	case isNull(info):
		t.device, t.fresh = true, true
		return t, nil
	default:
		return nil, fmt.Errorf("%s is neither a regular file nor a block device; restore to standard output instead", f.Name())
	}
	t.direct = openDirect(f)
	return t, nil
}

// isNull tells /dev/null, by its number: to load there is the old way to try
// out a session.
func isNull(info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.Mode()&os.ModeCharDevice != 0 && st.Rdev == unix.Mkdev(1, 3)
}

// Truncate empties a regular file, and does nothing to a device.
func (t *FileTarget) Truncate() error {
	if t.device {
		return nil
	}
	t.fresh = true
	return t.f.Truncate(0)
}

// Shorten cuts a regular file that is longer than size, and does nothing to a
// device.
func (t *FileTarget) Shorten(size int64) error {
	if t.device {
		return nil
	}
	info, err := t.f.Stat()
	if err != nil || info.Size() <= size {
		return err
	}
	return t.f.Truncate(size)
}

// Apart fails if the target is the image that is to be restored to it, which
// it would wipe.
func (t *FileTarget) Apart(image os.FileInfo) error {
	info, err := t.f.Stat()
	if err == nil && os.SameFile(info, image) {
		err = errors.New("target is the image itself: give another file or device")
	}
	return err
}

// Unit is the size of a device's own sectors, 0 of a file.
func (t *FileTarget) Unit() int { return t.unit }

// Device tells whether the target is a block device.
func (t *FileTarget) Device() bool { return t.device }

// SizeBytes is the size of a device, -1 for a file.
func (t *FileTarget) SizeBytes() int64 { return t.size }

// ReadAt is pread, for checking what is there.
func (t *FileTarget) ReadAt(p []byte, offset int64) (int, error) { return t.f.ReadAt(p, offset) }

// Zero punches holes in a file. Of a device it discards what then reads as
// zeros, and else has the kernel zero it, or writes zeros.
func (t *FileTarget) Zero(offset, size int64) error {
	if t.fresh {
		return nil
	}
	from, to := alignUp(offset), alignDown(offset+size)
	if to-from < zeroRunBytesMin {
		return t.writeZeros(offset, size)
	}
	if err := t.kernelZero(from, to-from); err != nil {
		return t.writeZeros(offset, size)
	}
	if err := t.writeZeros(offset, from-offset); err != nil {
		return err
	}
	return t.writeZeros(to, offset+size-to)
}

func (t *FileTarget) kernelZero(offset, size int64) error {
	const punch = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE
	err := unix.Fallocate(int(t.f.Fd()), punch, offset, size)
	if err != nil && t.device {
		return zeroDevice(t.f, offset, size)
	}
	return err
}

var zeros [zeroRunBytesMin]byte

func (t *FileTarget) writeZeros(offset, size int64) error {
	for size > 0 {
		n, err := t.f.WriteAt(zeros[:min(size, int64(len(zeros)))], offset)
		if err != nil {
			return err
		}
		offset, size = offset+int64(n), size-int64(n)
	}
	return nil
}

// expect gives a file the length that the image will need: the kernel writes
// within a file beside other writes, and waits for what makes it longer.
func (t *FileTarget) expect(size int64) error {
	if t.device {
		return nil
	}
	info, err := t.f.Stat()
	if err != nil || info.Size() >= size {
		return err
	}
	t.had, t.grown = info.Size(), size
	return t.f.Truncate(size)
}

func (t *FileTarget) end(size int64) (err error) {
	if size < t.grown {
		err = t.f.Truncate(max(size, t.had))
	} else {
		err = t.expect(size)
	}
	t.grown = 0 // a delta over this may be shorter
	return err
}

// startFlush has the kernel begin to write a range, without waiting for it.
func (t *FileTarget) startFlush(offset, size int64) {
	_ = unix.SyncFileRange(int(t.f.Fd()), offset, size, unix.SYNC_FILE_RANGE_WRITE) // a hint
}

// Finish extends a file to size and fsyncs. One that was longer only because
// more was expected ends there, too.
func (t *FileTarget) Finish(size int64) error {
	t.fresh = false // for what is restored over this
	if err := t.end(size); err != nil {
		return err
	}
	if err := t.f.Sync(); err != nil && !errors.Is(err, unix.EINVAL) {
		return err
	}
	return nil
}

// Close closes the file without further ado; Finish made it durable.
func (t *FileTarget) Close() error {
	t.async.close()
	if t.direct != nil {
		t.direct.Close()
	}
	for _, c := range t.claims {
		c.Close()
	}
	return t.f.Close()
}
