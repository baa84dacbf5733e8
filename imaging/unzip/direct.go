package unzip

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

const (
	// directAlignBytes is what direct writes begin and end at: the block of
	// nearly all file systems, and a multiple of the sectors of nearly all disks.
	directAlignBytes = 4096
	// directBytesMin is the least that is written directly. Less is no faster
	// than through the page cache, which puts neighbours together.
	directBytesMin = 64 << 10
)

// openDirect opens a target once more for writes that go around the page cache,
// or returns nil where there are none. They save the copy and the memory that
// the cache takes, and begin at the disk at once, not in the fsync at the end.
func openDirect(f *os.File) *os.File {
	d, err := os.OpenFile(f.Name(), os.O_WRONLY|unix.O_DIRECT, 0)
	if err != nil {
		return nil
	}
	a, errA := f.Stat()
	b, errB := d.Stat()
	if errA != nil || errB != nil || !os.SameFile(a, b) {
		d.Close()
		return nil
	}
	return d
}

// WriteAt is pwrite, around the page cache for what is whole blocks of a large
// run. Both ways may be mixed: the kernel keeps them in agreement.
func (t *FileTarget) WriteAt(p []byte, offset int64) (int, error) {
	from := int(alignUp(offset) - offset)
	to := int(alignDown(offset+int64(len(p))) - offset)
	if t.direct == nil || to-from < directBytesMin {
		return t.f.WriteAt(p, offset)
	}
	if n, err := t.f.WriteAt(p[:from], offset); err != nil {
		return n, err
	}
	n, err := t.writeDirect(p[from:to], offset+int64(from))
	if err != nil {
		return from + n, err
	}
	n, err = t.f.WriteAt(p[to:], offset+int64(to))
	return to + n, err
}

// writeDirect writes whole blocks. Some disks want other places in memory or
// longer blocks than these (EINVAL), and some file systems allow it when a file is
// opened and not when it is written: then the page cache does it.
func (t *FileTarget) writeDirect(p []byte, offset int64) (int, error) {
	n, err := t.direct.WriteAt(p, offset)
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return n, err
	}
	m, err := t.f.WriteAt(p[n:], offset+int64(n))
	return n + m, err
}

func alignUp(n int64) int64   { return alignDown(n + directAlignBytes - 1) }
func alignDown(n int64) int64 { return n &^ (directAlignBytes - 1) }
