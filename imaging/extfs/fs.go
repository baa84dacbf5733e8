package extfs

import (
	"errors"
	"fmt"
	"io"

	"hyzer/imaging/freemap"
	"hyzer/imaging/freemap/ext"
)

// ErrDamaged is returned for what cannot be in a sound file system.
var ErrDamaged = errors.New("file system is damaged")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}

// rootInode is the number of the root directory.
const rootInode = 2

// FS is a file system. It is safe for use by several goroutines.
type FS struct {
	r io.ReaderAt
	g *ext.Geometry
}

// Is tells whether there is an ext file system in r.
func Is(r io.ReaderAt) bool { return ext.Is(r) }

// Open reads the superblock of the file system at the start of r, of at most
// size bytes.
func Open(r io.ReaderAt, size int64) (*FS, error) {
	g, err := ext.Open(r, size)
	if err != nil {
		return nil, err
	}
	return &FS{r, g}, nil
}

// Kind is ext2, ext3 or ext4.
func (f *FS) Kind() string { return f.g.Kind() }

// Warning says why files may be otherwise than they seem, if so.
func (f *FS) Warning() string {
	switch {
	case f.g.Incompat&ext.IncompatRecover != 0:
		return "journal needs recovery: what was written last is not seen"
	case !f.g.Clean:
		return "file system was not unmounted cleanly"
	}
	return ""
}

// readBlock reads one block.
func (f *FS) readBlock(n uint64) ([]byte, error) {
	if n == 0 || n >= f.g.Blocks {
		return nil, damaged("block %d of %d", n, f.g.Blocks)
	}
	b := make([]byte, f.g.BlockBytes)
	return b, freemap.ReadFull(f.r, b, int64(n*f.g.BlockBytes))
}
