package btrfs

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/cespare/xxhash/v2"

	"hyzer/imaging/freemap"
)

// Superblock fields. All numbers are little-endian.
const (
	superOffset = 64 << 10
	superBytes  = 4096
	magic       = "_BHRfS_M"
	uuidBytes   = 16
	csumBytes   = 32
	xxhashBytes = 8

	offFSID       = 32
	offPlace      = 48
	offFlags      = 56
	offMagic      = 64
	offGeneration = 72
	offRoot       = 80
	offChunkRoot  = 88
	offLogRoot    = 96
	offBytesUsed  = 120
	offDevices    = 136
	offSector     = 144
	offNode       = 148
	offSysBytes   = 160
	offChunkGen   = 164
	offROCompat   = 180
	offIncompat   = 188
	offCsumType   = 196
	offRootLevel  = 198
	offChunkLevel = 199
	offDevID      = 201
	offDevBytes   = 209
	offMetaUUID   = 571
	offSysChunks  = 811
	sysBytesMax   = 2048
)

// Flags and features.
const (
	// flagsKnown: written, reloc.
	flagsKnown = 0x3
	// roKnown: free space tree, its validity, verity, block group tree.
	roKnown = 0xf
	// incompatKnown: mixed backref, default subvolume, mixed groups, LZO, zstd,
	// big metadata, extended iref, skinny metadata, no holes, metadata UUID,
	// simple quota. None of the others leaves chunks and extents alone.
	incompatKnown    = 0x1077f
	incompatMetaUUID = 0x400

	csumCRC32C = 0
	csumXXHash = 1
	csumSHA256 = 2
	csumBLAKE2 = 3

	nodeBytesMin = 4 << 10
	nodeBytesMax = 64 << 10
	levelMax     = 7
	bytesMax     = 1 << 60
)

// super is the superblock, decoded.
type super struct {
	fsid, nodeFSID              [uuidBytes]byte
	root, chunkRoot             pointer
	bytesUsed                   uint64
	devID, devBytes             uint64
	nodeBytes, sectorBytes      uint64
	csumType                    uint16
	sysChunks                   []byte
	incompat, roCompat, flags   uint64
	logRoot, devices, sysLength uint64
}

// pointer is what is known of a tree block before it is read.
type pointer struct {
	logical    uint64
	generation uint64
	level      int
}

// Is tells whether there is a btrfs superblock in r.
func Is(r io.ReaderAt) bool {
	var b [len(magic)]byte
	return freemap.ReadFull(r, b[:], superOffset+offMagic) == nil && string(b[:]) == magic
}

// readSuper reads the first copy of the superblock.
func readSuper(r io.ReaderAt, size int64) (*super, error) {
	b := make([]byte, superBytes)
	if err := freemap.ReadFull(r, b, superOffset); err != nil {
		return nil, fmt.Errorf("superblock: %w", err)
	}
	if string(b[offMagic:][:len(magic)]) != magic || binary.LittleEndian.Uint64(b[offPlace:]) != superOffset {
		return nil, errors.New("no superblock")
	}
	s := parseSuper(b)
	if err := s.intact(b); err != nil {
		return nil, fmt.Errorf("superblock: %w", err)
	}
	if err := s.usable(size); err != nil {
		return nil, err
	}
	return s, nil
}

func parseSuper(b []byte) *super {
	u32 := func(at int) uint64 { return uint64(binary.LittleEndian.Uint32(b[at:])) }
	u64 := func(at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
	s := &super{
		fsid:      [uuidBytes]byte(b[offFSID:]),
		root:      pointer{u64(offRoot), u64(offGeneration), int(b[offRootLevel])},
		chunkRoot: pointer{u64(offChunkRoot), u64(offChunkGen), int(b[offChunkLevel])},
		bytesUsed: u64(offBytesUsed),
		devID:     u64(offDevID), devBytes: u64(offDevBytes),
		nodeBytes: u32(offNode), sectorBytes: u32(offSector),
		csumType: binary.LittleEndian.Uint16(b[offCsumType:]),
		incompat: u64(offIncompat), roCompat: u64(offROCompat), flags: u64(offFlags),
		logRoot: u64(offLogRoot), devices: u64(offDevices), sysLength: u32(offSysBytes),
	}
	s.nodeFSID = s.fsid
	if s.incompat&incompatMetaUUID != 0 {
		s.nodeFSID = [uuidBytes]byte(b[offMetaUUID:])
	}
	s.sysChunks = bytes.Clone(b[offSysChunks:][:min(s.sysLength, sysBytesMax)])
	return s
}

// usable tells why free space cannot be found, if so.
func (s *super) usable(size int64) error {
	power := func(n, low, high uint64) bool { return n >= low && n <= high && n&(n-1) == 0 }
	switch {
	case s.incompat&^incompatKnown != 0 || s.roCompat&^roKnown != 0:
		return fmt.Errorf("unknown features %#x, %#x", s.incompat&^incompatKnown, s.roCompat&^roKnown)
	case s.flags&^flagsKnown != 0:
		return fmt.Errorf("is damaged, a seed or being changed (flags %#x)", s.flags)
	case s.devices != 1:
		return fmt.Errorf("has %d devices", s.devices)
	case s.logRoot != 0:
		return errors.New("has a log to replay: mount and unmount it before imaging")
	case s.devBytes == 0 || s.devBytes > bytesMax || s.devBytes > uint64(size):
		return fmt.Errorf("device of %d bytes in a partition of %d", s.devBytes, size)
	case !power(s.nodeBytes, nodeBytesMin, nodeBytesMax), !power(s.sectorBytes, freemap.SectorBytes, nodeBytesMax):
		return fmt.Errorf("tree blocks of %d bytes, sectors of %d", s.nodeBytes, s.sectorBytes)
	case s.sysLength > sysBytesMax:
		return fmt.Errorf("system chunks of %d bytes", s.sysLength)
	}
	return nil
}

// intact verifies the checksum at the start of a block.
func (s *super) intact(b []byte) error {
	var sum [csumBytes]byte
	n := csumBytes
	switch s.csumType {
	case csumCRC32C:
		n = crc32.Size
		binary.LittleEndian.PutUint32(sum[:], crc32.Checksum(b[csumBytes:], crc32.MakeTable(crc32.Castagnoli)))
	case csumXXHash:
		n = xxhashBytes
		binary.LittleEndian.PutUint64(sum[:], xxhash.Sum64(b[csumBytes:]))
	case csumSHA256:
		sum = sha256.Sum256(b[csumBytes:])
	case csumBLAKE2:
		sum = blake2b256(b[csumBytes:])
	default:
		return fmt.Errorf("checksums of type %d cannot be verified", s.csumType)
	}
	if !bytes.Equal(b[:n], sum[:n]) {
		return errors.New("checksum does not match")
	}
	return nil
}
