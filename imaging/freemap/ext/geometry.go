package ext

import (
	"fmt"
	"io"

	"hyzer/imaging/freemap"
)

// Features that readers of files have to know.
const (
	IncompatFileType = 0x2
	IncompatRecover  = incompatRecover
	IncompatLargeDir = 0x4000

	inodeBytesMin = 128
)

// Geometry is where a file system has its inodes, for readers of its files.
type Geometry struct {
	BlockBytes uint64
	Blocks     uint64
	InodeBytes uint64
	Inodes     uint64
	Incompat   uint32
	Clean      bool

	r io.ReaderAt
	s *super
}

// Open reads the superblock of the file system at the start of r, of at most
// size bytes.
func Open(r io.ReaderAt, size int64) (*Geometry, error) {
	s, err := readSuper(r, size)
	if err != nil {
		return nil, err
	}
	if s.inodeBytes < inodeBytesMin || s.inodeBytes > s.blockBytes || s.inodesPerGroup == 0 || s.inodesPerGroup > 8*s.blockBytes {
		return nil, fmt.Errorf("ext superblock: %d inodes of %d bytes in a group", s.inodesPerGroup, s.inodeBytes)
	}
	return &Geometry{
		BlockBytes: s.blockBytes, Blocks: s.blocks, InodeBytes: s.inodeBytes, Inodes: s.groups * s.inodesPerGroup,
		Incompat: s.incompat, Clean: s.state&stateClean != 0 && s.incompat&incompatRecover == 0,
		r: r, s: s,
	}, nil
}

// Kind is ext2, ext3 or ext4.
func (g *Geometry) Kind() string { return g.s.kind() }

// InodeOffset is the byte where inode n, from 1, is.
func (g *Geometry) InodeOffset(n uint64) (int64, error) {
	if n == 0 || n > g.Inodes {
		return 0, fmt.Errorf("ext: inode %d of %d", n, g.Inodes)
	}
	group, index := (n-1)/g.s.inodesPerGroup, (n-1)%g.s.inodesPerGroup
	b := make([]byte, g.s.descBytes)
	per := g.s.descsPerBlock()
	if err := freemap.ReadFull(g.r, b, int64(g.s.descBlock(group/per)*g.BlockBytes+group%per*g.s.descBytes)); err != nil {
		return 0, fmt.Errorf("ext: descriptor of group %d: %w", group, err)
	}
	d := (&reader{s: g.s}).parseDesc(group, b)
	at := d.inodeTable*g.BlockBytes + index*g.InodeBytes
	if !d.intact || at+g.InodeBytes > g.Blocks*g.BlockBytes {
		return 0, fmt.Errorf("ext: descriptor of group %d, with inode %d, is damaged", group, n)
	}
	return int64(at), nil
}

// Checksum continues the metadata checksum of the file system over parts of a
// structure. It is false if there are no such checksums.
func (g *Geometry) Checksum(parts ...[]byte) (sum uint32, ok bool) {
	sum = g.s.seed
	for _, p := range parts {
		sum = crc32c(sum, p)
	}
	return sum, g.s.roCompat&roMetadataCsum != 0
}
