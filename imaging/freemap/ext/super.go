package ext

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// Where the superblock is, and what of it matters.
const (
	superOffset = 1024
	superBytes  = 1024
	magic       = 0xef53

	offBlocksLow      = 4
	offFreeLow        = 12
	offFirstDataBlock = 20
	offLogBlockSize   = 24
	offLogClusterSize = 28
	offBlocksPerGroup = 32
	offClustersPerGrp = 36
	offInodesPerGroup = 40
	offMagic          = 56
	offState          = 58
	offRevision       = 76
	offInodeSize      = 88
	offCompat         = 92
	offIncompat       = 96
	offROCompat       = 100
	offUUID           = 104
	offReservedGDT    = 206
	offDescSize       = 254
	offFirstMetaBG    = 260
	offBlocksHigh     = 336
	offBackupGroups   = 588
	offChecksumSeed   = 624
	offChecksum       = 1020
)

// Feature bits.
const (
	compatSparseSuper2 = 0x200

	incompatRecover    = 0x4
	incompatJournalDev = 0x8
	incompatMetaBG     = 0x10
	incompat64Bit      = 0x80
	incompatFlexBG     = 0x200
	incompatCsumSeed   = 0x2000
	// incompatKnown: also filetype, extents, mmp, ea_inode, dirdata,
	// largedir, inline_data, encrypt and casefold, which leave the bitmaps
	// alone.
	incompatKnown = incompatRecover | incompatMetaBG | incompat64Bit | incompatFlexBG | incompatCsumSeed |
		0x2 | 0x40 | 0x100 | 0x400 | 0x1000 | 0x4000 | 0x8000 | 0x10000 | 0x20000

	roSparseSuper  = 0x1
	roGDTChecksum  = 0x10
	roBigalloc     = 0x200
	roMetadataCsum = 0x400

	stateClean  = 1
	stateErrors = 2
)

// Limits on what a superblock may claim.
const (
	logBlockSizeMax = 6 // 64 KiB
	logClusterMax   = 24
	groupsMax       = 1 << 22
	descBytesMin    = 32
	descBytes64     = 64
	descBytesMax    = 1024
)

// super is the superblock, decoded.
type super struct {
	blocks           uint64
	firstDataBlock   uint64
	blockBytes       uint64
	clusterBlocks    uint64 // blocks per bit of the bitmaps
	clustersPerGroup uint64
	blocksPerGroup   uint64
	inodesPerGroup   uint64
	inodeBytes       uint64
	state            uint16

	compat, incompat, roCompat uint32

	descBytes    uint64
	reservedGDT  uint64
	firstMetaBG  uint64
	backupGroups [2]uint64
	uuid         []byte
	seed         uint32 // of metadata checksums

	groups uint64
}

// Is tells whether there is an ext superblock in r.
func Is(r io.ReaderAt) bool {
	var b [2]byte
	n, _ := r.ReadAt(b[:], superOffset+offMagic)
	return n == len(b) && binary.LittleEndian.Uint16(b[:]) == magic
}

func readSuper(r io.ReaderAt, size int64) (*super, error) {
	b := make([]byte, superBytes)
	if n, err := r.ReadAt(b, superOffset); n < len(b) {
		return nil, fmt.Errorf("ext superblock: %w", err)
	}
	s, err := parseSuper(b)
	if err != nil {
		return nil, fmt.Errorf("ext superblock: %w", err)
	}
	if need := s.blocks * s.blockBytes; need > uint64(size) {
		return nil, fmt.Errorf("ext file system of %d bytes in a partition of %d", need, size)
	}
	return s, nil
}

func parseSuper(b []byte) (*super, error) {
	le := binary.LittleEndian
	u32 := func(at int) uint64 { return uint64(le.Uint32(b[at:])) }
	if le.Uint16(b[offMagic:]) != magic {
		return nil, fmt.Errorf("no magic number")
	}
	s := &super{
		blocks:           u32(offBlocksLow),
		firstDataBlock:   u32(offFirstDataBlock),
		blocksPerGroup:   u32(offBlocksPerGroup),
		clustersPerGroup: u32(offClustersPerGrp),
		inodesPerGroup:   u32(offInodesPerGroup),
		inodeBytes:       128,
		state:            le.Uint16(b[offState:]),
		reservedGDT:      uint64(le.Uint16(b[offReservedGDT:])),
		firstMetaBG:      u32(offFirstMetaBG),
		backupGroups:     [2]uint64{u32(offBackupGroups), u32(offBackupGroups + 4)},
		uuid:             b[offUUID : offUUID+16],
		descBytes:        descBytesMin,
		clusterBlocks:    1,
	}
	if u32(offRevision) > 0 {
		s.compat, s.incompat, s.roCompat = le.Uint32(b[offCompat:]), le.Uint32(b[offIncompat:]), le.Uint32(b[offROCompat:])
		s.inodeBytes = uint64(le.Uint16(b[offInodeSize:]))
	}
	if s.incompat&incompat64Bit != 0 {
		s.blocks |= u32(offBlocksHigh) << 32
		s.descBytes = uint64(le.Uint16(b[offDescSize:]))
	}
	if err := s.sizes(u32(offLogBlockSize), u32(offLogClusterSize)); err != nil {
		return nil, err
	}
	return s, s.checksums(b)
}

// errKept is a superblock that is sound, but of something that is not known.
var errKept = errors.New("not understood")

// sizes works out the geometry and refuses what cannot be.
func (s *super) sizes(logBlock, logCluster uint64) error {
	switch {
	case s.incompat&incompatJournalDev != 0:
		return fmt.Errorf("%w: the journal of another file system", errKept)
	case s.incompat&^incompatKnown != 0:
		return fmt.Errorf("%w: unknown incompatible features %#x", errKept, s.incompat&^incompatKnown)
	case logBlock > logBlockSizeMax || logCluster > logClusterMax:
		return fmt.Errorf("block size 2^%d, cluster size 2^%d", logBlock+10, logCluster+10)
	}
	s.blockBytes = 1024 << logBlock
	if s.roCompat&roBigalloc != 0 {
		if logCluster < logBlock {
			return fmt.Errorf("clusters smaller than blocks")
		}
		s.clusterBlocks = 1 << (logCluster - logBlock)
	} else {
		s.clustersPerGroup = s.blocksPerGroup
	}
	switch {
	case s.clustersPerGroup < 8 || s.clustersPerGroup%8 != 0 || s.clustersPerGroup > 8*s.blockBytes:
		return fmt.Errorf("%d clusters in a group", s.clustersPerGroup)
	case s.blocksPerGroup != s.clustersPerGroup*s.clusterBlocks:
		return fmt.Errorf("groups of %d blocks, but %d clusters of %d", s.blocksPerGroup, s.clustersPerGroup, s.clusterBlocks)
	case s.descBytes < descBytesMin || s.descBytes > descBytesMax || s.descBytes&(s.descBytes-1) != 0:
		return fmt.Errorf("group descriptors of %d bytes", s.descBytes)
	case s.incompat&incompat64Bit != 0 && s.descBytes < descBytes64:
		return fmt.Errorf("group descriptors of %d bytes with 64-bit block numbers", s.descBytes)
	case s.firstDataBlock >= s.blocks || s.firstDataBlock > 1:
		return fmt.Errorf("first data block %d of %d", s.firstDataBlock, s.blocks)
	case s.blocks>>48 != 0:
		return fmt.Errorf("%d blocks", s.blocks)
	}
	s.groups = (s.blocks - s.firstDataBlock + s.blocksPerGroup - 1) / s.blocksPerGroup
	if s.groups > groupsMax {
		return fmt.Errorf("%d block groups, at most %d are understood", s.groups, groupsMax)
	}
	return nil
}

// checksums prepares for verifying, and verifies the superblock itself.
func (s *super) checksums(b []byte) error {
	if s.roCompat&roMetadataCsum == 0 {
		return nil
	}
	if want := binary.LittleEndian.Uint32(b[offChecksum:]); crc32c(^uint32(0), b[:offChecksum]) != want {
		return fmt.Errorf("checksum does not match; run e2fsck first")
	}
	s.seed = crc32c(^uint32(0), s.uuid)
	if s.incompat&incompatCsumSeed != 0 {
		s.seed = binary.LittleEndian.Uint32(b[offChecksumSeed:])
	}
	return nil
}

// clean fails if the bitmaps may not say what is in use: what was allocated last
// is only in the journal, or was only in the memory of who had it mounted.
func (s *super) clean() error {
	switch {
	case s.incompat&incompatRecover != 0:
		return errors.New("journal needs recovery: mount and unmount it, or run e2fsck")
	case s.state&stateErrors != 0:
		return errors.New("file system has errors: run e2fsck")
	case s.state&stateClean == 0:
		return errors.New("file system is not clean: run e2fsck")
	}
	return nil
}

// crc32c is the Castagnoli CRC without the final inversion, as ext4 has it.
func crc32c(seed uint32, p []byte) uint32 {
	return ^crc32.Update(^seed, crc32.MakeTable(crc32.Castagnoli), p)
}

// groupStart is the first block of a group.
func (s *super) groupStart(g uint64) uint64 { return s.firstDataBlock + g*s.blocksPerGroup }

// groupBlocks is how many blocks a group has; the last one may be short.
func (s *super) groupBlocks(g uint64) uint64 {
	return min(s.blocksPerGroup, s.blocks-s.groupStart(g))
}

// hasSuper tells whether a group begins with a copy of the superblock.
func (s *super) hasSuper(g uint64) bool {
	switch {
	case g == 0:
		return true
	case s.compat&compatSparseSuper2 != 0:
		return g == s.backupGroups[0] || g == s.backupGroups[1]
	case g == 1 || s.roCompat&roSparseSuper == 0:
		return true
	}
	return powerOf(g, 3) || powerOf(g, 5) || powerOf(g, 7)
}

func powerOf(n, base uint64) bool {
	for n%base == 0 {
		n /= base
	}
	return n == 1
}

func (s *super) descsPerBlock() uint64 { return s.blockBytes / s.descBytes }

// metaBG tells whether descriptor block i lies in its own meta group rather
// than after the superblock.
func (s *super) metaBG(i uint64) bool {
	return s.incompat&incompatMetaBG != 0 && i >= s.firstMetaBG
}

// descBlock is where block i of the group descriptors is.
func (s *super) descBlock(i uint64) uint64 {
	if !s.metaBG(i) {
		return s.superBlock() + 1 + i
	}
	g := i * s.descsPerBlock()
	at := s.groupStart(g)
	if s.hasSuper(g) {
		at++
	}
	if g == 0 {
		at = s.superBlock() + 1
	}
	return at
}

// superBlock is the block of the superblock. With bigalloc and 1 KiB blocks it
// is block 1 although the groups begin at 0.
func (s *super) superBlock() uint64 { return superOffset / s.blockBytes }

// baseMeta is how many blocks at the start of a group are superblock,
// descriptors and room for more descriptors.
func (s *super) baseMeta(g uint64) uint64 {
	n := uint64(0)
	if s.hasSuper(g) {
		n = 1
	}
	dpb := s.descsPerBlock()
	i := g / dpb
	if s.metaBG(i) {
		if at := g % dpb; at == 0 || at == 1 || at == dpb-1 {
			n++
		}
		return n
	}
	if n == 0 {
		return 0
	}
	table := (s.groups + dpb - 1) / dpb
	if s.incompat&incompatMetaBG != 0 {
		table = min(table, s.firstMetaBG)
	}
	return n + table + s.reservedGDT
}
