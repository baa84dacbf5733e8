package f2fs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"hyzer/imaging/freemap"
)

// Superblock fields. All numbers are little-endian.
const (
	superOffset = 1024
	superBytes  = 3072
	magic       = 0xf2f52010

	offMagic        = 0
	offLogBlock     = 16
	offLogSegment   = 20
	offSumOffset    = 32
	offBlocks       = 36
	offSegments     = 48
	offSegsCP       = 52
	offSegsSIT      = 56
	offSegsNAT      = 60
	offSegsSSA      = 64
	offSegsMain     = 68
	offSegment0     = 72
	offCP           = 76
	offSIT          = 80
	offNAT          = 84
	offSSA          = 88
	offMain         = 92
	offCPPayload    = 1664
	offFeature      = 2180
	offDevices      = 2201
	offSum          = 3068
	blockBytes      = 4096
	logBlock        = 12
	logSegment      = 9
	segmentBlocks   = 1 << logSegment
	sectorsPerBlock = blockBytes / freemap.SectorBytes
)

// Features. Those of zoned and several devices, of read-only images and of
// packed summaries place things otherwise.
const (
	featureSum    = 0x800
	featuresKnown = 0x3fff &^ featureZoned
	featureZoned  = 0x2
)

// Limits on what a superblock may claim.
const (
	segmentsMax  = 1 << 23 // 16 TiB
	cpPayloadMax = 64
)

// super is the superblock, decoded. Addresses are blocks.
type super struct {
	segsSIT, segsMain uint64
	cp, sit, main     uint64
	cpPayload         uint64
	sit0Blocks        uint64 // of one of the two copies of the table
}

// Is tells whether there is an F2FS superblock in r.
func Is(r io.ReaderAt) bool {
	var b [4]byte
	n, _ := r.ReadAt(b[:], superOffset)
	return n == len(b) && binary.LittleEndian.Uint32(b[:]) == magic
}

// sum continues F2FS's CRC-32, which is not inverted and begins with the magic
// number.
func sum(crc uint32, p []byte) uint32 { return ^crc32.Update(^crc, crc32.IEEETable, p) }

func readSuper(r io.ReaderAt, size int64) (*super, error) {
	b := make([]byte, superBytes)
	if err := freemap.ReadFull(r, b, superOffset); err != nil {
		return nil, fmt.Errorf("superblock: %w", err)
	}
	le := binary.LittleEndian
	u32 := func(at int) uint64 { return uint64(le.Uint32(b[at:])) }
	features := u32(offFeature)
	switch {
	case u32(offMagic) != magic:
		return nil, errors.New("no superblock")
	case features&^featuresKnown != 0:
		return nil, fmt.Errorf("features %#x that place things otherwise", features&^featuresKnown)
	case b[offDevices] != 0:
		return nil, errors.New("has several devices")
	case u32(offLogBlock) != logBlock || u32(offLogSegment) != logSegment:
		return nil, fmt.Errorf("blocks of 2^%d bytes, segments of 2^%d blocks", u32(offLogBlock), u32(offLogSegment))
	case features&featureSum != 0 && (u32(offSumOffset) != offSum || uint64(sum(magic, b[:offSum])) != u32(offSum)):
		return nil, errors.New("superblock: checksum does not match")
	}
	s := &super{
		segsSIT: u32(offSegsSIT), segsMain: u32(offSegsMain), cp: u32(offCP), sit: u32(offSIT), main: u32(offMain),
		cpPayload: u32(offCPPayload),
	}
	s.sit0Blocks = s.segsSIT / 2 * segmentBlocks
	return s, s.check(u32, le.Uint64(b[offBlocks:]), uint64(size))
}

// check holds the areas against each other: they follow without gaps.
func (s *super) check(u32 func(int) uint64, blocks, size uint64) error {
	at := u32(offSegment0)
	for _, area := range []struct{ start, segments int }{
		{offCP, offSegsCP}, {offSIT, offSegsSIT}, {offNAT, offSegsNAT}, {offSSA, offSegsSSA}, {offMain, offSegsMain},
	} {
		n := u32(area.segments)
		if u32(area.start) != at || n == 0 || n > segmentsMax {
			return fmt.Errorf("area at block %d of %d segments, want it at %d", u32(area.start), n, at)
		}
		at += n * segmentBlocks
	}
	switch {
	case at != u32(offSegment0)+u32(offSegments)*segmentBlocks || at > blocks || blocks > size/blockBytes:
		return fmt.Errorf("%d blocks, areas up to %d, in a partition of %d", blocks, at, size/blockBytes)
	case u32(offSegsCP) != 2 || s.segsSIT%2 != 0 || s.sit0Blocks*entriesPerBlock < s.segsMain:
		return fmt.Errorf("%d segments of checkpoints, %d of information on %d segments", u32(offSegsCP), s.segsSIT, s.segsMain)
	case s.cpPayload > cpPayloadMax:
		return fmt.Errorf("checkpoints of %d more blocks", s.cpPayload)
	}
	return nil
}
