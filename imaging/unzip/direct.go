package unzip

import (
	"errors"
	"fmt"
	"io"
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
	n, err := t.writePieces([][]byte{p}, offset)
	return int(n), err
}

// writePieces is WriteAt of data that lies in several places of memory.
func (t *FileTarget) writePieces(pieces [][]byte, offset int64) (n int64, err error) {
	size := int64(0)
	for _, p := range pieces {
		size += int64(len(p))
	}
	if size == 0 {
		return 0, nil
	}
	from, to := alignUp(offset), alignDown(offset+size)
	if t.direct == nil || to-from < directBytesMin {
		return writeVector(t.f, pieces, offset)
	}
	head, rest := cutPieces(pieces, from-offset)
	body, tail := cutPieces(rest, to-from)
	if n, err = writeVector(t.f, head, offset); err != nil {
		return n, err
	}
	m, err := t.writeDirect(body, from)
	if n += m; err != nil {
		return n, err
	}
	m, err = writeVector(t.f, tail, to)
	return n + m, err
}

// writeDirect writes whole blocks. Some disks want other places in memory or
// longer blocks than these (EINVAL), and some file systems allow it when a file is
// opened and not when it is written: then the page cache does it.
func (t *FileTarget) writeDirect(pieces [][]byte, offset int64) (int64, error) {
	n, err := writeAll(t.direct, pieces, offset, t.async.write)
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return n, err
	}
	_, rest := cutPieces(pieces, n)
	m, err := writeVector(t.f, rest, offset+n)
	return n + m, err
}

// writeVector is pwritev of everything.
func writeVector(f *os.File, pieces [][]byte, offset int64) (int64, error) {
	return writeAll(f, pieces, offset, func(f *os.File, pieces [][]byte, offset int64) (int, error) {
		return unix.Pwritev(int(f.Fd()), pieces, offset)
	})
}

// writeAll writes pieces with write, which may write less.
func writeAll(f *os.File, pieces [][]byte, offset int64, write func(*os.File, [][]byte, int64) (int, error)) (n int64, err error) {
	for len(pieces) > 0 {
		m, err := write(f, pieces, offset+n)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err == nil && m == 0:
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return n, fmt.Errorf("at byte %d: %w", offset+n, &os.PathError{Op: "write", Path: f.Name(), Err: err})
		}
		n += int64(m)
		_, pieces = cutPieces(pieces, int64(m))
	}
	return n, nil
}

func alignUp(n int64) int64   { return alignDown(n + directAlignBytes - 1) }
func alignDown(n int64) int64 { return n &^ (directAlignBytes - 1) }
