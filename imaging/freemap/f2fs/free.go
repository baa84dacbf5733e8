package f2fs

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"

	"hyzer/imaging/freemap"
)

// Entries of the segment information table: counter and type, a bitmap with
// the high bit of a byte first, and a time.
const (
	entryBytes      = 2 + segmentBlocks/8 + 8
	entriesPerBlock = blockBytes / entryBytes
	countMask       = 0x3ff
)

// entry is what of a segment is valid: bit i%8 of byte i/8 for block i.
type entry [segmentBlocks / 8]byte

func parseEntry(b []byte) (e entry, err error) {
	n := 0
	for i := range e {
		n += bits.OnesCount8(b[2+i])
		e[i] = bits.Reverse8(b[2+i])
	}
	if want := int(binary.LittleEndian.Uint16(b) & countMask); n != want {
		return e, fmt.Errorf("%d blocks are valid, the counter says %d", n, want)
	}
	return e, nil
}

// kind is the name of the file system.
const kind = "F2FS"

// Free returns the free space of the file system that begins at the start of r
// and has size bytes to live in. One that is not understood is kept whole.
func Free(r io.ReaderAt, size int64) (*freemap.Map, error) {
	m, err := free(r, size)
	if err != nil {
		return freemap.Whole(kind, size, err), nil
	}
	return m, nil
}

func free(r io.ReaderAt, size int64) (*freemap.Map, error) {
	s, err := readSuper(r, size)
	if err != nil {
		return nil, err
	}
	c, err := s.readCheckpoint(r)
	if err != nil {
		return nil, err
	}
	journal, err := c.journal(r, s.segsMain)
	if err != nil {
		return nil, err
	}
	t := table{super: s, checkpoint: c, r: r, journal: journal}
	if err := t.read(); err != nil {
		return nil, err
	}
	if t.valid > c.valid {
		return nil, fmt.Errorf("%d blocks are valid, the checkpoint says %d", t.valid, c.valid)
	}
	return &freemap.Map{Type: kind, Free: t.free, Sectors: uint64(size) / freemap.SectorBytes}, nil
}

// table is the segment information table as it is now.
type table struct {
	*super
	*checkpoint
	r       io.ReaderAt
	journal map[uint64]entry
	free    []freemap.Range
	valid   uint64
}

func (t *table) read() error {
	b := make([]byte, blockBytes)
	for segment := range t.segsMain {
		if segment%entriesPerBlock == 0 {
			if err := freemap.ReadFull(t.r, b, int64(t.block(segment/entriesPerBlock))*blockBytes); err != nil {
				return err
			}
		}
		e, ok := t.journal[segment]
		if !ok {
			var err error
			if e, err = parseEntry(b[segment%entriesPerBlock*entryBytes:]); err != nil {
				return fmt.Errorf("segment %d: %w", segment, err)
			}
		}
		t.add(segment, e)
	}
	return nil
}

// block is where block n of the table is: in the one or the other copy.
func (t *table) block(n uint64) uint64 {
	at := t.sit + n
	if t.sitBitmap[n/8]<<(n%8)&0x80 != 0 {
		at += t.sit0Blocks
	}
	return at
}

func (t *table) add(segment uint64, e entry) {
	start := t.main + segment*segmentBlocks
	t.valid += segmentBlocks
	freemap.ClearRuns(e[:], segmentBlocks, func(from, to int) {
		t.free = freemap.Append(t.free, (start+uint64(from))*sectorsPerBlock, (start+uint64(to))*sectorsPerBlock)
		t.valid -= uint64(to - from)
	})
}
