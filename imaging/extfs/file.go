package extfs

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"hyzer/imaging/freemap"
)

// linkBytesMax is the longest target of a symbolic link.
const linkBytesMax = 4096

// ErrEncrypted is returned for what only the kernel can read, with its key.
var ErrEncrypted = errors.New("is encrypted")

// File is the content of a file. It is safe for use by several goroutines.
type File struct {
	fs     *FS
	inode  *Inode
	inline []byte // if the inode has it
}

// Open opens what a regular file, directory or symbolic link holds.
func (f *FS) Open(i *Inode) (*File, error) {
	t := i.mode & typeMask
	if t != typeRegular && t != typeDir && t != typeLink {
		return nil, fmt.Errorf("inode %d is a special file (%s), which has no content", i.Number, i.Mode())
	}
	if i.flags&flagEncrypted != 0 {
		return nil, fmt.Errorf("inode %d: %w", i.Number, ErrEncrypted)
	}
	file := &File{fs: f, inode: i}
	var err error
	switch {
	case i.flags&flagInline != 0:
		file.inline, err = i.inline()
	case t == typeLink && i.Size < blockMapBytes:
		file.inline = i.raw[offBlock:][:i.Size]
	}
	return file, err
}

// Size is the length in bytes.
func (x *File) Size() int64 { return x.inode.Size }

// ReadAt reads from the file; holes are zeros.
func (x *File) ReadAt(p []byte, offset int64) (n int, err error) {
	if offset < 0 || offset >= x.Size() {
		return 0, io.EOF
	}
	var short error
	if int64(len(p)) > x.Size()-offset {
		p, short = p[:x.Size()-offset], io.EOF
	}
	if x.inode.flags&flagInline != 0 || x.inline != nil {
		return copy(p, x.inline[offset:]), short
	}
	size := int64(x.fs.g.BlockBytes)
	limit := uint64((x.Size() + size - 1) / size)
	for n < len(p) {
		at := offset + int64(n)
		r, err := x.fs.lookup(x.inode, uint64(at/size), limit)
		if err != nil {
			return n, err
		}
		q := p[n:min(int64(len(p)), int64(n)+int64(r.count)*size-at%size)]
		if r.block == 0 {
			clear(q)
		} else if err := freemap.ReadFull(x.fs.r, q, int64(r.block)*size+at%size); err != nil {
			return n, fmt.Errorf("inode %d: %w", x.inode.Number, err)
		}
		n += len(q)
	}
	return n, short
}

// copyBytes is how much of a file is read at a time.
const copyBytes = 1 << 20

// WriteTo writes the whole file to w.
func (x *File) WriteTo(w io.Writer) (int64, error) {
	buf := make([]byte, min(copyBytes, max(x.Size(), 1)))
	return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{io.NewSectionReader(x, 0, x.Size())}, buf)
}

// ReadLink is the target of a symbolic link.
func (f *FS) ReadLink(i *Inode) (string, error) {
	if i.mode&typeMask != typeLink || i.Size == 0 || i.Size > linkBytesMax {
		return "", damaged("inode %d: symbolic link of %d bytes", i.Number, i.Size)
	}
	x, err := f.Open(i)
	if err != nil {
		return "", err
	}
	b := make([]byte, i.Size)
	if n, err := x.ReadAt(b, 0); n < len(b) {
		return "", err
	}
	if target := string(b); !strings.Contains(target, "\x00") {
		return target, nil
	}
	return "", damaged("inode %d: symbolic link to a name with a zero byte", i.Number)
}
