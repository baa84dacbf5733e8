package zip

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/imaging/internal/replace"
	"hyzer/imaging/manifest"
	"hyzer/imaging/ndz"
	"hyzer/imaging/partition/scheme"
	"hyzer/imaging/sig"
)

// OpenSource opens a disk, partition or file to make an image of.
func OpenSource(path string) (Source, io.Closer, error) {
	f, err := os.Open(path)
	if err != nil {
		return Source{}, nil, err
	}
	src, err := sourceOf(f)
	if err != nil {
		f.Close()
		return Source{}, nil, err
	}
	_ = unix.Fadvise(int(f.Fd()), 0, src.Bytes, unix.FADV_SEQUENTIAL) // a hint
	return src, f, nil
}

func sourceOf(f *os.File) (src Source, err error) {
	src.ReaderAt, src.Stat = f, f.Stat
	if src.Info, err = f.Stat(); err != nil {
		return src, err
	}
	if src.Info.IsDir() {
		return src, fmt.Errorf("%s is a folder: give the device that is mounted there, or a file", f.Name())
	}
	if src.Bytes, err = f.Seek(0, io.SeekEnd); err != nil {
		return src, fmt.Errorf("size of %s: %w", f.Name(), err)
	}
	if src.Unit, err = scheme.Unit(f); err != nil {
		return src, err
	}
	src.Busy, err = inUse(f)
	return src, err
}

// inUse tells whether a device is mounted, or a partition of it.
func inUse(f *os.File) (bool, error) {
	claim, err := scheme.Claim(f, nil)
	if claim != nil {
		return false, claim.Close()
	}
	if errors.Is(err, scheme.ErrBusy) {
		return true, nil
	}
	return false, err
}

// CreateFile makes an image under path, and if sigPath is not empty its
// signature under that. Both are written under temporary names beside them,
// made durable and then renamed: after an error or a crash there is no half
// image under the final name.
func CreateFile(ctx context.Context, src Source, path, sigPath string, opts Options) (stats Stats, err error) {
	if err := src.spare(path, sigPath, path+manifest.Suffix); err != nil {
		return stats, err
	}
	w := fileWriter{path: path, sigPath: sigPath}
	if opts.Manifest != nil {
		w.manifest, w.key = opts.Manifest, opts.ManifestKey
	}
	err = w.write(func(f *os.File) (*sig.File, error) {
		if stats, err = Create(ctx, src, &writeBehind{f: f}, opts); err != nil {
			return nil, err
		}
		if opts.version() == ndz.V1 {
			w.patched = true
			err = patchTotal(f, stats.Chunks)
		}
		return opts.Signature, err
	})
	return stats, err
}

// spare fails if one of the files that are to be made is the source itself,
// which they would take the place of.
func (src Source) spare(paths ...string) error {
	for _, path := range paths {
		info, err := os.Stat(path)
		if err == nil && src.Info != nil && os.SameFile(info, src.Info) {
			return fmt.Errorf("%s is what an image is made of: give the image another name", path)
		}
	}
	return nil
}

// WriteFile makes an image under path and its signature under path.sig, as
// CreateFile does, with the manifest that opts ask for. fill writes the image
// and returns the signature; mtime is the time of all, or zero for now.
func WriteFile(path string, mtime time.Time, opts Options, fill func(io.Writer) (*sig.File, error)) error {
	w := fileWriter{path: path, sigPath: path + ".sig", manifest: opts.Manifest, key: opts.ManifestKey, mtime: mtime}
	return w.write(func(f *os.File) (*sig.File, error) { return fill(&writeBehind{f: f}) })
}

// writeBehind has the kernel begin to write what a file is given, so that there
// is little left to wait for when it is made durable.
type writeBehind struct {
	f        *os.File
	at, from int64 // written to, and where the disk was told to go on
}

// writeBehindBytes is how much the disk is given at a time.
const writeBehindBytes = 8 << 20

func (w *writeBehind) Write(p []byte) (int, error) {
	n, err := w.f.Write(p)
	if w.at += int64(n); w.at-w.from >= writeBehindBytes {
		_ = unix.SyncFileRange(int(w.f.Fd()), w.from, w.at-w.from, unix.SYNC_FILE_RANGE_WRITE) // a hint
		w.from = w.at
	}
	return n, err
}

// fileMode is that of images and of what lies beside them, less the umask.
const fileMode = 0o666

// fileWriter makes an image file, and what lies beside it.
type fileWriter struct {
	path, sigPath string             // no sigPath: no signature is written
	manifest      *manifest.Manifest // nil: none
	key           ed25519.PrivateKey // to sign it with, or nil
	mtime         time.Time
	patched       bool // the chunks are not as the manifest has them any more

	files replace.Set
}

func (w *fileWriter) write(fill func(*os.File) (*sig.File, error)) error {
	defer w.files.Discard()
	image, err := w.files.Create(w.path, fileMode)
	if err != nil {
		return err
	}
	sign, err := fill(image)
	if err == nil && sign != nil {
		err = w.mark(image, ndz.Mark{State: sign.ID()})
	}
	if err != nil {
		return err
	}
	if sign != nil && w.sigPath != "" {
		if err := w.addSignature(sign); err != nil {
			return err
		}
	}
	if w.manifest != nil {
		if err := w.addManifest(image); err != nil {
			return err
		}
	}
	return w.commit()
}

// add writes a file beside the image.
func (w *fileWriter) add(path string, text []byte) error {
	f, err := w.files.Create(path, fileMode)
	if err == nil {
		_, err = f.Write(text)
	}
	return err
}

func (w *fileWriter) addSignature(s *sig.File) error {
	f, err := w.files.Create(w.sigPath, fileMode)
	if err == nil {
		_, err = s.WriteTo(f)
	}
	return err
}

// addManifest writes the manifest, made anew if the chunks have changed since.
func (w *fileWriter) addManifest(image *os.File) error {
	m := w.manifest
	if len(m.Chunks) == 0 {
		return nil // a delta of nothing
	}
	if w.patched {
		fresh, err := manifest.Build(io.NewSectionReader(image, 0, m.FileBytes), m.Identity)
		if err != nil {
			return err
		}
		*m = *fresh
	}
	if w.key != nil {
		if err := m.Sign(w.key); err != nil {
			return err
		}
	}
	text, err := m.Encode()
	if err != nil {
		return err
	}
	return w.add(w.path+manifest.Suffix, text)
}

// commit gives all files their names, the image first: what is beside it is
// refused for an image of another age, or with other sums.
func (w *fileWriter) commit() error {
	if w.mtime.IsZero() {
		// Old tools take a signature only if it has the image's time.
		w.mtime = time.Now().Truncate(time.Second)
	}
	return w.files.Commit(w.mtime)
}

// mark gives the chunks of an image their mark, now that its signature is
// known. Deltas have theirs, and V5 images have it in the manifest.
func (w *fileWriter) mark(f *os.File, m ndz.Mark) error {
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
		w.patched = true
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
