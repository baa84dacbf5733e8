package xfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/bits"

	"hyzer/imaging/freemap"
)

// Superblock fields. All numbers but checksums are big-endian.
const (
	magic      = "XFSB"
	superBytes = 512

	offBlockBytes  = 4
	offBlocks      = 8
	offUUID        = 32
	offLogStart    = 48
	offAGBlocks    = 84
	offAGs         = 88
	offLogBlocks   = 96
	offVersion     = 100
	offSectorBytes = 102
	offAGBlockLog  = 124
	offInProgress  = 126
	offROCompat    = 212
	offIncompat    = 216
	offChecksum    = 224
	offMetaUUID    = 248
	uuidBytes      = 16
)

// Versions and feature bits.
const (
	versionMask = 0xf
	version4    = 4
	version5    = 5

	// roKnown: finobt, rmapbt, reflink, inobtcount.
	roKnown             = 0xf
	incompatMetaUUID    = 0x4
	incompatNeedsRepair = 0x10
	// incompatKnown: also ftype, spinodes, bigtime, nrext64, exchrange, parent.
	incompatKnown = incompatMetaUUID | 0x1 | 0x2 | 0x8 | 0x20 | 0x40 | 0x80
)

// Limits on what a superblock may claim.
const (
	blockBytesMin  = 512
	blockBytesMax  = 64 << 10
	sectorBytesMax = 32 << 10
	agBlocksMin    = 64
	agsMax         = 1 << 22
	agHeaders      = 4 // sectors: superblock, AGF, AGI, AGFL
	bytesMax       = 1 << 60
)

// super is the superblock, decoded.
type super struct {
	version     int
	blockBytes  uint64
	sectorBytes uint64
	blocks      uint64
	agBlocks    uint64
	ags         uint64
	agBlockLog  uint
	logStart    uint64 // first block of the log on the disk; 0 if it is elsewhere
	logBlocks   uint64
	uuid        [uuidBytes]byte // that metadata carry
	needsRepair bool
	inProgress  bool
}

// Is tells whether r begins with an XFS superblock.
func Is(r io.ReaderAt) bool {
	var b [len(magic)]byte
	return freemap.ReadFull(r, b[:], 0) == nil && string(b[:]) == magic
}

func readSuper(r io.ReaderAt, size int64) (*super, error) {
	b := make([]byte, superBytes)
	if err := freemap.ReadFull(r, b, 0); err != nil {
		return nil, fmt.Errorf("superblock: %w", err)
	}
	s, err := parseSuper(b)
	if err != nil {
		return nil, fmt.Errorf("superblock: %w", err)
	}
	if need := s.blocks * s.blockBytes; need > uint64(size) {
		return nil, fmt.Errorf("file system of %d bytes in a partition of %d", need, size)
	}
	if s.version < version5 {
		return s, nil
	}
	sector := make([]byte, s.sectorBytes)
	if err := freemap.ReadFull(r, sector, 0); err != nil {
		return nil, fmt.Errorf("superblock: %w", err)
	}
	if !intact(sector, offChecksum) {
		return nil, errors.New("superblock: checksum does not match; run xfs_repair first")
	}
	return s, nil
}

func parseSuper(b []byte) (*super, error) {
	be := binary.BigEndian
	if string(b[:len(magic)]) != magic {
		return nil, errors.New("no magic number")
	}
	s := &super{
		version:     int(be.Uint16(b[offVersion:]) & versionMask),
		blockBytes:  uint64(be.Uint32(b[offBlockBytes:])),
		sectorBytes: uint64(be.Uint16(b[offSectorBytes:])),
		blocks:      be.Uint64(b[offBlocks:]),
		agBlocks:    uint64(be.Uint32(b[offAGBlocks:])),
		ags:         uint64(be.Uint32(b[offAGs:])),
		agBlockLog:  uint(b[offAGBlockLog]),
		logStart:    be.Uint64(b[offLogStart:]),
		logBlocks:   uint64(be.Uint32(b[offLogBlocks:])),
		uuid:        [uuidBytes]byte(b[offUUID:]),
		inProgress:  b[offInProgress] != 0,
	}
	if err := s.features(b); err != nil {
		return nil, err
	}
	if err := s.geometry(); err != nil {
		return nil, err
	}
	return s, s.placeLog()
}

func (s *super) features(b []byte) error {
	be := binary.BigEndian
	switch s.version {
	case version4:
		return nil
	case version5:
	default:
		return fmt.Errorf("version %d", s.version)
	}
	ro, incompat := be.Uint32(b[offROCompat:]), be.Uint32(b[offIncompat:])
	if incompat&incompatMetaUUID != 0 {
		s.uuid = [uuidBytes]byte(b[offMetaUUID:])
	}
	s.needsRepair = incompat&incompatNeedsRepair != 0
	incompat &^= incompatNeedsRepair
	if ro&^roKnown != 0 || incompat&^incompatKnown != 0 {
		return fmt.Errorf("unknown features %#x, %#x", ro&^roKnown, incompat&^incompatKnown)
	}
	return nil
}

// geometry refuses sizes that cannot be.
func (s *super) geometry() error {
	power := func(n, low, high uint64) bool { return n >= low && n <= high && n&(n-1) == 0 }
	switch {
	case !power(s.blockBytes, blockBytesMin, blockBytesMax):
		return fmt.Errorf("blocks of %d bytes", s.blockBytes)
	case !power(s.sectorBytes, freemap.SectorBytes, min(sectorBytesMax, s.blockBytes)):
		return fmt.Errorf("sectors of %d bytes", s.sectorBytes)
	case s.blocks == 0 || s.blocks > bytesMax/s.blockBytes:
		return fmt.Errorf("%d blocks", s.blocks)
	case s.agBlocks < agBlocksMin || s.agBlockLog != uint(bits.Len64(s.agBlocks-1)):
		return fmt.Errorf("allocation groups of %d blocks, 2^%d", s.agBlocks, s.agBlockLog)
	case s.ags > agsMax || s.ags != (s.blocks+s.agBlocks-1)/s.agBlocks:
		return fmt.Errorf("%d allocation groups of %d blocks for %d blocks", s.ags, s.agBlocks, s.blocks)
	}
	return nil
}

// placeLog turns the address of the log, a group and a block in it, into a
// block of the disk.
func (s *super) placeLog() error {
	if s.logStart == 0 {
		return nil
	}
	ag, block := s.logStart>>s.agBlockLog, s.logStart&(1<<s.agBlockLog-1)
	if ag >= s.ags || s.logBlocks == 0 || block+s.logBlocks > s.agLength(ag) {
		return fmt.Errorf("log of %d blocks at block %d of allocation group %d", s.logBlocks, block, ag)
	}
	s.logStart = ag*s.agBlocks + block
	return nil
}

// agLength is how many blocks group ag has; the last one may be short.
func (s *super) agLength(ag uint64) uint64 {
	return min(s.agBlocks, s.blocks-ag*s.agBlocks)
}

// intact verifies the checksum at byte at of b, over b with zeros there.
func intact(b []byte, at int) bool {
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(0, table, b[:at])
	sum = crc32.Update(sum, table, make([]byte, crc32.Size))
	sum = crc32.Update(sum, table, b[at+crc32.Size:])
	return sum == binary.LittleEndian.Uint32(b[at:])
}
