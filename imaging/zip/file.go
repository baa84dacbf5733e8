package zip

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/imaging/ndz"
)

// OpenSource opens a disk, partition or file to make an image of.
func OpenSource(path string) (Source, io.Closer, error) {
	f, err := os.Open(path)
	if err != nil {
		return Source{}, nil, err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		f.Close()
		return Source{}, nil, fmt.Errorf("size of %s: %w", path, err)
	}
	_ = unix.Fadvise(int(f.Fd()), 0, size, unix.FADV_SEQUENTIAL) // a hint
	return Source{f, size}, f, nil
}

// CreateFile makes an image under path, and if sigPath is not empty its
// signature under that. Both are written under temporary names beside them,
// made durable and then renamed: after an error or a crash there is no half
// image under the final name.
func CreateFile(ctx context.Context, src Source, path, sigPath string, opts Options) (stats Stats, err error) {
	tmp, err := newTemp(path)
	if err != nil {
		return stats, err
	}
	defer tmp.discard()
	if stats, err = Create(ctx, src, tmp.f, opts); err != nil {
		return stats, err
	}
	if opts.version() == ndz.V1 {
		if err := patchTotal(tmp.f, stats.Chunks); err != nil {
			return stats, err
		}
	}
	if sigPath == "" || opts.Signature == nil {
		return stats, tmp.commit(time.Time{})
	}
	sigTmp, err := newTemp(sigPath)
	if err != nil {
		return stats, err
	}
	defer sigTmp.discard()
	w := bufio.NewWriter(sigTmp.f)
	w.Write(opts.Signature.AppendTo(nil))
	if err := w.Flush(); err != nil {
		return stats, err
	}
	// Old tools take a signature only if it has the image's time.
	now := time.Now().Truncate(time.Second)
	return stats, errors.Join(tmp.commit(now), sigTmp.commit(now))
}

// patchTotal writes the number of chunks into every V1 chunk.
func patchTotal(f *os.File, chunks int) error {
	const offTotal = 12
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], uint32(chunks))
	for i := range chunks {
		if _, err := f.WriteAt(b[:], int64(i)*ndz.ChunkBytes+offTotal); err != nil {
			return err
		}
	}
	return nil
}

// temp is a file that is not under its name yet.
type temp struct {
	f    *os.File
	path string // the final one
	done bool
}

func newTemp(path string) (*temp, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".tmp*")
	if err != nil {
		return nil, err
	}
	return &temp{f: f, path: path}, f.Chmod(0o644)
}

// commit makes the file durable and gives it its name, and the time mtime if
// that is not zero.
func (t *temp) commit(mtime time.Time) error {
	if err := t.f.Sync(); err != nil {
		return err
	}
	if !mtime.IsZero() {
		if err := os.Chtimes(t.f.Name(), mtime, mtime); err != nil {
			return err
		}
	}
	if err := os.Rename(t.f.Name(), t.path); err != nil {
		return err
	}
	t.done = true
	return errors.Join(t.f.Close(), syncDir(filepath.Dir(t.path)))
}

// discard removes a file that was not committed.
func (t *temp) discard() {
	if !t.done {
		t.f.Close()
		os.Remove(t.f.Name())
	}
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
