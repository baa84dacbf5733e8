package initramfs

import (
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// The new ASCII format of cpio (kernel documentation,
// driver-api/early-userspace/buffer-format).
const (
	magic       = "070701"
	trailer     = "TRAILER!!!"
	alignBytes  = 4
	nameMax     = 4096
	fileMax     = 1<<32 - 1
	typeMask    = 0o170000
	typeDir     = 0o040000
	typeRegular = 0o100000
	typeSymlink = 0o120000
	typeChar    = 0o020000
)

// Writer writes an archive that the kernel unpacks. Everything belongs to root
// and has time 0, so that the same content makes the same archive.
type Writer struct {
	w       io.Writer
	written int64
	inode   uint32
	dirs    map[string]bool
}

// NewWriter returns a Writer; Close ends the archive.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w, dirs: map[string]bool{".": true}} }

// Dir adds a folder, and those above it, unless they are there.
func (w *Writer) Dir(name string) error {
	name = clean(name)
	if w.dirs[name] {
		return nil
	}
	if err := w.Dir(path.Dir(name)); err != nil {
		return err
	}
	w.dirs[name] = true
	return w.entry(name, typeDir|0o755, 0, 0, nil)
}

// File adds a regular file.
func (w *Writer) File(name string, mode fs.FileMode, data []byte) error {
	return w.inFolder(name, typeRegular|uint32(mode.Perm()), 0, 0, data)
}

// Symlink adds a symbolic link.
func (w *Writer) Symlink(name, target string) error {
	return w.inFolder(name, typeSymlink|0o777, 0, 0, []byte(target))
}

// CharDevice adds a character device.
func (w *Writer) CharDevice(name string, mode fs.FileMode, major, minor uint32) error {
	return w.inFolder(name, typeChar|uint32(mode.Perm()), major, minor, nil)
}

// Close writes the end mark. It does not close the writer below.
func (w *Writer) Close() error { return w.entry(trailer, 0, 0, 0, nil) }

func (w *Writer) inFolder(name string, mode, major, minor uint32, data []byte) error {
	name = clean(name)
	if err := w.Dir(path.Dir(name)); err != nil {
		return err
	}
	return w.entry(name, mode, major, minor, data)
}

func clean(name string) string {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	if name == "" {
		return "."
	}
	return name
}

func (w *Writer) entry(name string, mode, major, minor uint32, data []byte) error {
	if len(name) >= nameMax || int64(len(data)) > fileMax {
		return fmt.Errorf("cpio: %.80q of %d bytes: too long", name, len(data))
	}
	w.inode++
	links := 1
	if mode&typeMask == typeDir {
		links = 2
	}
	header := fmt.Sprintf("%s%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", magic,
		w.inode, mode, 0, 0, links, 0, len(data), 0, 0, major, minor, len(name)+1, 0)
	for _, part := range [][]byte{append(append([]byte(header), name...), 0), data} {
		if err := w.aligned(part); err != nil {
			return fmt.Errorf("cpio: %.80s: %w", name, err)
		}
	}
	return nil
}

// aligned writes and fills up to the next alignment.
func (w *Writer) aligned(p []byte) error {
	var fill [alignBytes]byte
	for _, b := range [][]byte{p, fill[:(alignBytes-(w.written+int64(len(p)))%alignBytes)%alignBytes]} {
		n, err := w.w.Write(b)
		w.written += int64(n)
		if err != nil {
			return err
		}
	}
	return nil
}
