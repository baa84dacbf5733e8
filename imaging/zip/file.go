package zip

import (
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
	"hyzer/imaging/sig"
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
	err = writeFile(path, sigPath, time.Time{}, func(f *os.File) (*sig.File, error) {
		if stats, err = Create(ctx, src, f, opts); err != nil {
			return nil, err
		}
		if opts.version() == ndz.V1 {
			err = patchTotal(f, stats.Chunks)
		}
		return opts.Signature, err
	})
	return stats, err
}

// WriteFile makes an image under path and its signature under path.sig, as
// CreateFile does. fill writes the image and returns the signature; mtime is
// the time of both, or zero for now.
func WriteFile(path string, mtime time.Time, fill func(io.Writer) (*sig.File, error)) error {
	return writeFile(path, path+".sig", mtime, func(f *os.File) (*sig.File, error) { return fill(f) })
}

func writeFile(path, sigPath string, mtime time.Time, fill func(*os.File) (*sig.File, error)) error {
	tmp, err := newTemp(path)
	if err != nil {
		return err
	}
	defer tmp.discard()
	sign, err := fill(tmp.f)
	if err == nil && sign != nil {
		err = markFile(tmp.f, ndz.Mark{State: sign.ID()})
	}
	if err != nil {
		return err
	}
	if mtime.IsZero() {
		// Old tools take a signature only if it has the image's time.
		mtime = time.Now().Truncate(time.Second)
	}
	if sigPath == "" || sign == nil {
		return tmp.commit(mtime)
	}
	sigTmp, err := newTemp(sigPath)
	if err != nil {
		return err
	}
	defer sigTmp.discard()
	if _, err := sigTmp.f.Write(sign.AppendTo(nil)); err != nil {
		return err
	}
	return errors.Join(tmp.commit(mtime), sigTmp.commit(mtime))
}

// markFile gives the chunks of an image their mark, now that its signature is
// known. Deltas have theirs.
func markFile(f *os.File, m ndz.Mark) error {
	head := make([]byte, ndz.HeaderAreaBytes)
	for at := int64(0); ; at += ndz.ChunkBytes {
		if _, err := f.ReadAt(head, at); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		marked, err := ndz.AddMark(head, m)
		if err != nil || !marked {
			return err // the next chunk is no other
		}
		if _, err := f.WriteAt(head[ndz.HeaderAreaBytes-ndz.MarkBytes:], at+ndz.HeaderAreaBytes-ndz.MarkBytes); err != nil {
			return err
		}
	}
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

// commit makes the file durable and gives it its time and name.
func (t *temp) commit(mtime time.Time) error {
	if err := t.f.Sync(); err != nil {
		return err
	}
	if err := os.Chtimes(t.f.Name(), mtime, mtime); err != nil {
		return err
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
