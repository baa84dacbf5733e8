package extfs

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"hyzer/imaging/freemap/ext"
)

// Directory entries: inode, length of the entry, length of the name, type, name.
const (
	entryHeadBytes   = 8
	entryLengthMax   = 65535
	largeBlockBytes  = 64 << 10
	inlineDirParent  = 4 // bytes of the parent's number, before the entries
	nameBytesMax     = 255
	dirBytesMax      = 1 << 32
	inodeEmpty       = 0
	entryAlignBytes  = 4
	typeHighBitsMask = 3
)

// Entry is a name in a directory.
type Entry struct {
	Name  string
	Inode uint64
}

// ReadDir calls fn for the names in a directory but "." and "..", in the order
// of the disk.
func (f *FS) ReadDir(dir *Inode, fn func(Entry) error) error {
	if !dir.IsDir() {
		return fmt.Errorf("inode %d is no directory", dir.Number)
	}
	x, err := f.Open(dir)
	if err != nil {
		return err
	}
	if dir.flags&flagInline != 0 {
		return f.inlineDir(dir, x.inline, fn)
	}
	if dir.Size > dirBytesMax || uint64(dir.Size) > f.g.Blocks*f.g.BlockBytes {
		return damaged("directory inode %d of %d bytes", dir.Number, dir.Size)
	}
	size := int64(f.g.BlockBytes)
	b := make([]byte, size)
	for at := int64(0); at < dir.Size; at += size {
		r, err := f.lookup(dir, uint64(at/size), uint64((dir.Size+size-1)/size))
		if err != nil {
			return err
		}
		if r.block == 0 {
			at += int64(r.count-1) * size // a hole, which has no names
			continue
		}
		if n, err := x.ReadAt(b[:min(size, dir.Size-at)], at); int64(n) < min(size, dir.Size-at) {
			return err
		}
		if err := f.entries(dir, b[:min(size, dir.Size-at)], fn); err != nil {
			return err
		}
	}
	return nil
}

// inlineDir is a directory in its inode: two runs of entries, in the block map
// after the number of the parent, and in the attribute.
func (f *FS) inlineDir(dir *Inode, data []byte, fn func(Entry) error) error {
	if len(data) < inlineDirParent {
		return damaged("directory inode %d of %d bytes", dir.Number, len(data))
	}
	head := data[inlineDirParent:min(len(data), blockMapBytes)]
	if err := f.entries(dir, head, fn); err != nil {
		return err
	}
	return f.entries(dir, data[min(len(data), blockMapBytes):], fn)
}

// entries reads the entries of one block. Inner nodes of indexes look like a
// block of one empty entry.
func (f *FS) entries(dir *Inode, b []byte, fn func(Entry) error) error {
	le := binary.LittleEndian
	for at := 0; at < len(b); {
		if len(b)-at < entryHeadBytes {
			return damaged("directory inode %d: entry ends beyond its block", dir.Number)
		}
		e := b[at:]
		length, nameBytes := entryLength(le.Uint16(e[4:]), len(b)), int(e[6])
		if f.g.Incompat&ext.IncompatFileType == 0 {
			nameBytes = int(le.Uint16(e[6:]))
		}
		if length < entryHeadBytes || length%entryAlignBytes != 0 || length > len(e) {
			return damaged("directory inode %d: entry of %d bytes", dir.Number, length)
		}
		at += length
		n := uint64(le.Uint32(e))
		if n == inodeEmpty {
			continue
		}
		if nameBytes == 0 || nameBytes > nameBytesMax || entryHeadBytes+nameBytes > length || n > f.g.Inodes {
			return damaged("directory inode %d: name of %d bytes for inode %d", dir.Number, nameBytes, n)
		}
		name := e[entryHeadBytes:][:nameBytes]
		if bytes.ContainsAny(name, "/\x00") {
			return damaged("directory inode %d: name %q", dir.Number, name)
		}
		if s := string(name); s != "." && s != ".." {
			if err := fn(Entry{s, n}); err != nil {
				return err
			}
		}
	}
	return nil
}

// entryLength is a length as it is stored; blocks of 64 KiB need 17 bits.
func entryLength(stored uint16, blockBytes int) int {
	if blockBytes < largeBlockBytes {
		return int(stored)
	}
	if stored == entryLengthMax || stored == 0 {
		return blockBytes
	}
	return int(stored&^typeHighBitsMask) | int(stored&typeHighBitsMask)<<16
}
