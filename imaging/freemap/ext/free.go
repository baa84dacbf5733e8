package ext

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"hyzer/imaging/freemap"
)

// Group descriptor fields.
const (
	descBlockBitmap   = 0
	descInodeBitmap   = 4
	descInodeTable    = 8
	descFree          = 12
	descFlags         = 18
	descBitmapCsum    = 24
	descChecksum      = 30
	descBlockBitmapHi = 32
	descInodeBitmapHi = 36
	descInodeTableHi  = 40
	descFreeHi        = 44
	descBitmapCsumHi  = 56
	flagBlockUninit   = 2
	warningsMax       = 20
	sectorBytes       = freemap.SectorBytes
)

// reader walks the groups of one file system.
type reader struct {
	r        io.ReaderAt
	s        *super
	meta     []freemap.Range // blocks of bitmaps and inode tables, of all groups
	free     []freemap.Range
	warnings []string
	descs    []desc
}

// desc is what of a group descriptor matters.
type desc struct {
	blockBitmap, inodeBitmap, inodeTable uint64
	uninit, intact                       bool
	bitmapCsum                           uint32
	free                                 uint64 // clusters
}

// Free returns the free space of the file system that begins at the start of
// r and has size bytes to live in.
func Free(r io.ReaderAt, size int64) (*freemap.Map, error) {
	s, err := readSuper(r, size)
	if errors.Is(err, errKept) {
		return freemap.Whole("ext", size, err), nil
	}
	if err != nil {
		return nil, err
	}
	if err := s.clean(); err != nil {
		return freemap.Whole(s.kind(), size, err), nil
	}
	x := &reader{r: r, s: s}
	if err := x.readDescs(); err != nil {
		return nil, err
	}
	x.meta = freemap.Normalize(x.meta)
	for g := range s.groups {
		if err := x.group(g); err != nil {
			return nil, err
		}
	}
	return &freemap.Map{
		Type:     s.kind(),
		Free:     x.free,
		Sectors:  s.blocks * (s.blockBytes / sectorBytes),
		Warnings: x.warnings,
	}, nil
}

// kind tells the generations apart as people do.
func (s *super) kind() string {
	const extents, hasJournal = 0x40, 0x4
	switch {
	case s.incompat&(extents|incompat64Bit|incompatFlexBG) != 0 || s.roCompat&(roMetadataCsum|roGDTChecksum|roBigalloc) != 0:
		return "ext4"
	case s.compat&hasJournal != 0:
		return "ext3"
	}
	return "ext2"
}

func (x *reader) warnf(format string, args ...any) {
	if len(x.warnings) < warningsMax {
		x.warnings = append(x.warnings, fmt.Sprintf("ext: "+format, args...))
	}
}

func (x *reader) readDescs() error {
	s := x.s
	x.descs = make([]desc, 0, s.groups)
	block := make([]byte, s.blockBytes)
	dpb := s.descsPerBlock()
	for g := range s.groups {
		if g%dpb == 0 {
			if err := x.readBlock(block, s.descBlock(g/dpb)); err != nil {
				return fmt.Errorf("ext group descriptors: %w", err)
			}
		}
		d := x.parseDesc(g, block[g%dpb*s.descBytes:][:s.descBytes])
		x.descs = append(x.descs, d)
		x.addMeta(d.blockBitmap, 1)
		x.addMeta(d.inodeBitmap, 1)
		x.addMeta(d.inodeTable, (s.inodesPerGroup*s.inodeBytes+s.blockBytes-1)/s.blockBytes)
	}
	return nil
}

func (x *reader) addMeta(block, n uint64) {
	x.meta = append(x.meta, freemap.Range{Start: block, End: block + n})
}

func (x *reader) parseDesc(g uint64, b []byte) desc {
	le := binary.LittleEndian
	wide := x.s.incompat&incompat64Bit != 0
	number := func(lo, hi int) uint64 {
		n := uint64(le.Uint32(b[lo:]))
		if wide {
			n |= uint64(le.Uint32(b[hi:])) << 32
		}
		return n
	}
	d := desc{
		blockBitmap: number(descBlockBitmap, descBlockBitmapHi),
		inodeBitmap: number(descInodeBitmap, descInodeBitmapHi),
		inodeTable:  number(descInodeTable, descInodeTableHi),
		bitmapCsum:  uint32(le.Uint16(b[descBitmapCsum:])),
		free:        uint64(le.Uint16(b[descFree:])),
		intact:      x.s.descIntact(g, b),
	}
	if wide {
		d.bitmapCsum |= uint32(le.Uint16(b[descBitmapCsumHi:])) << 16
		d.free |= uint64(le.Uint16(b[descFreeHi:])) << 16
	}
	if x.s.roCompat&(roGDTChecksum|roMetadataCsum) != 0 {
		d.uninit = le.Uint16(b[descFlags:])&flagBlockUninit != 0
	}
	if d.blockBitmap >= x.s.blocks || d.inodeBitmap >= x.s.blocks || d.inodeTable >= x.s.blocks {
		d.intact = false
	}
	if !d.intact {
		x.warnf("descriptor of group %d is damaged, all of the group is kept", g)
	}
	return d
}

// descIntact verifies the checksum of a descriptor, if it has one.
func (s *super) descIntact(g uint64, b []byte) bool {
	le := binary.LittleEndian
	want := le.Uint16(b[descChecksum:])
	var number [4]byte
	le.PutUint32(number[:], uint32(g))
	switch {
	case s.roCompat&roMetadataCsum != 0:
		c := crc32c(crc32c(s.seed, number[:]), b[:descChecksum])
		c = crc32c(crc32c(c, []byte{0, 0}), b[descChecksum+2:])
		return uint16(c) == want
	case s.roCompat&roGDTChecksum != 0:
		c := crc16(crc16(crc16(^uint16(0), s.uuid), number[:]), b[:descChecksum])
		if s.incompat&incompat64Bit != 0 {
			c = crc16(c, b[descChecksum+2:])
		}
		return c == want
	}
	return true
}

// crc16 is the ANSI CRC, reflected polynomial 0xa001.
func crc16(crc uint16, p []byte) uint16 {
	for _, b := range p {
		crc ^= uint16(b)
		for range 8 {
			crc = crc>>1 ^ 0xa001&-(crc&1)
		}
	}
	return crc
}

// group adds the free blocks of one group.
func (x *reader) group(g uint64) error {
	d := x.descs[g]
	switch {
	case !d.intact:
		return nil
	case d.uninit:
		x.uninitGroup(g)
		return nil
	}
	bitmap := make([]byte, x.s.blockBytes)
	if err := x.readBlock(bitmap, d.blockBitmap); err != nil {
		return fmt.Errorf("ext block bitmap of group %d: %w", g, err)
	}
	start, blocks, per := x.s.groupStart(g), x.s.groupBlocks(g), x.s.clusterBlocks
	clusters := int((blocks + per - 1) / per)
	if !x.s.bitmapIntact(d, bitmap, clusters) {
		x.warnf("block bitmap of group %d is damaged, all of the group is kept", g)
		return nil
	}
	freemap.ClearRuns(bitmap, clusters, func(from, to int) {
		x.addFree(start+uint64(from)*per, start+min(uint64(to)*per, blocks))
	})
	return nil
}

// bitmapIntact verifies the checksum of the bitmap of so many clusters, if it has
// one, and that it has as many free ones as the descriptor counts: without a
// checksum a bitmap that was lost may be all zeros.
func (s *super) bitmapIntact(d desc, bitmap []byte, clusters int) bool {
	free := uint64(0)
	freemap.ClearRuns(bitmap, clusters, func(from, to int) { free += uint64(to - from) })
	if free != d.free {
		return false
	}
	if s.roCompat&roMetadataCsum == 0 {
		return true
	}
	c := crc32c(s.seed, bitmap[:s.clustersPerGroup/8])
	if s.incompat&incompat64Bit == 0 {
		c &= 0xffff
	}
	return c == d.bitmapCsum
}

// uninitGroup adds the blocks of a group whose bitmap was never written: all
// but the copies of superblock and descriptors at its start, and whatever
// bitmaps and inode tables of any group lie in it.
func (x *reader) uninitGroup(g uint64) {
	start := x.s.groupStart(g)
	end := start + x.s.groupBlocks(g)
	free := freemap.Range{Start: min(end, start+x.s.baseMeta(g)), End: end}
	per := x.s.clusterBlocks
	for _, r := range freemap.Subtract([]freemap.Range{free}, x.metaIn(free)) {
		// A cluster that is used in part is used.
		from := start + (r.Start-start+per-1)/per*per
		to := end
		if r.End < end {
			to = start + (r.End-start)/per*per
		}
		x.addFree(from, to)
	}
}

// metaIn is the part of x.meta that may touch r.
func (x *reader) metaIn(r freemap.Range) []freemap.Range {
	lo, hi := 0, len(x.meta)
	for lo < hi {
		if mid := (lo + hi) / 2; x.meta[mid].End <= r.Start {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	end := lo
	for end < len(x.meta) && x.meta[end].Start < r.End {
		end++
	}
	return x.meta[lo:end]
}

func (x *reader) addFree(from, to uint64) {
	per := x.s.blockBytes / sectorBytes
	x.free = freemap.Append(x.free, from*per, to*per)
}

func (x *reader) readBlock(p []byte, block uint64) error {
	if n, err := x.r.ReadAt(p, int64(block*x.s.blockBytes)); n < len(p) {
		return fmt.Errorf("block %d: %w", block, err)
	}
	return nil
}
