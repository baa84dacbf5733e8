package f2fs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"hyzer/imaging/freemap"
)

// Checkpoint fields.
const (
	offVersion     = 0
	offValidBlocks = 16
	offFlags       = 132
	offPackBlocks  = 136
	offStartSum    = 140
	offSITBytes    = 156
	offNATBytes    = 160
	offCPSumOffset = 164
	offBitmaps     = 192
	sumOffsetMax   = blockBytes - 4
	largeNATBytes  = 4 // before the bitmaps, if the NAT's is large
)

// Flags of a checkpoint.
const (
	flagUnmount  = 0x1
	flagCompact  = 0x4
	flagLargeNAT = 0x400
	// flagsKnown: unmount, orphans, compact summaries, fast boot, CRC of
	// recovery, NAT bits, trimmed, no CRC of recovery, large NAT bitmap. The
	// others tell of errors, or of changes that did not end.
	flagsKnown = 0x1 | 0x2 | 0x4 | 0x20 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400
)

// Journals in summary blocks.
const (
	summaryEntries      = 512 * 7
	journalBytes        = blockBytes - summaryEntries - 5
	journalRecordBytes  = 4 + entryBytes
	journalRecordsMax   = (journalBytes - 2) / journalRecordBytes
	summariesAfterData  = 6 + 1 // blocks from the first summary to the end of the pack
	coldDataSummary     = 2
	compactSITJournalAt = journalBytes // after the NAT's
)

// checkpoint is one of the two, decoded.
type checkpoint struct {
	at          uint64 // first block
	version     uint64
	valid       uint64 // blocks
	flags       uint32
	blocks      uint64
	startSum    uint64
	sitBitmap   []byte // which copy of each block of the table is current
	sitBytes    uint64
	natBytes    uint64
	first, rest []byte
}

// readCheckpoint returns the newer checkpoint that is whole.
func (s *super) readCheckpoint(r io.ReaderAt) (*checkpoint, error) {
	var newest *checkpoint
	var first error
	for i := range uint64(2) {
		c, err := s.readPack(r, s.cp+i*segmentBlocks)
		if err != nil {
			first = errors.Join(first, err)
			continue
		}
		if newest == nil || int64(c.version-newest.version) > 0 {
			newest = c
		}
	}
	if newest == nil {
		return nil, fmt.Errorf("no checkpoint is whole: %w", first)
	}
	return newest, newest.usable(s)
}

// readPack reads a checkpoint, whose first and last block must agree.
func (s *super) readPack(r io.ReaderAt, at uint64) (*checkpoint, error) {
	b, err := readSummed(r, at)
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	u32 := func(at int) uint64 { return uint64(le.Uint32(b[at:])) }
	c := &checkpoint{
		at: at, version: le.Uint64(b[offVersion:]), valid: le.Uint64(b[offValidBlocks:]), flags: le.Uint32(b[offFlags:]),
		blocks: u32(offPackBlocks), startSum: u32(offStartSum), sitBytes: u32(offSITBytes), natBytes: u32(offNATBytes), first: b,
	}
	if c.blocks < 2+s.cpPayload || c.blocks > segmentBlocks || c.startSum >= c.blocks {
		return nil, fmt.Errorf("checkpoint at block %d of %d blocks", at, c.blocks)
	}
	last, err := readSummed(r, at+c.blocks-1)
	if err != nil {
		return nil, err
	}
	if le.Uint64(last[offVersion:]) != c.version {
		return nil, fmt.Errorf("checkpoint at block %d was not written to its end", at)
	}
	c.rest = make([]byte, s.cpPayload*blockBytes)
	return c, freemap.ReadFull(r, c.rest, int64(at+1)*blockBytes)
}

// readSummed reads a block of a checkpoint and verifies its checksum.
func readSummed(r io.ReaderAt, at uint64) ([]byte, error) {
	b := make([]byte, blockBytes)
	if err := freemap.ReadFull(r, b, int64(at)*blockBytes); err != nil {
		return nil, err
	}
	end := binary.LittleEndian.Uint32(b[offCPSumOffset:])
	if end < offBitmaps || end > sumOffsetMax || end%4 != 0 {
		return nil, fmt.Errorf("checkpoint block %d: checksum at byte %d", at, end)
	}
	got := sum(magic, b[:end])
	if end < sumOffsetMax { // with a large NAT bitmap it is before the bitmaps
		got = sum(got, b[end+4:])
	}
	if got != binary.LittleEndian.Uint32(b[end:]) {
		return nil, fmt.Errorf("checkpoint block %d: checksum does not match", at)
	}
	return b, nil
}

// usable finds the bitmap, and tells why the checkpoint cannot be used.
func (c *checkpoint) usable(s *super) error {
	switch {
	case c.flags&flagUnmount == 0:
		return errors.New("was not unmounted cleanly: mount and unmount it before imaging")
	case c.flags&^flagsKnown != 0:
		return fmt.Errorf("checkpoint tells of errors or unfinished changes (flags %#x): run fsck.f2fs", c.flags)
	case c.sitBytes*8 < s.sit0Blocks:
		return fmt.Errorf("bitmap of %d bytes for %d blocks", c.sitBytes, s.sit0Blocks)
	}
	area, skip := c.first[offBitmaps:sumOffsetMax], uint64(0)
	switch {
	case c.flags&flagLargeNAT != 0:
		area, skip = append(c.first[offBitmaps:], c.rest...), largeNATBytes+c.natBytes
	case s.cpPayload > 0:
		area = c.rest
	}
	if skip+c.sitBytes > uint64(len(area)) {
		return fmt.Errorf("bitmaps of %d and %d bytes do not fit", c.sitBytes, c.natBytes)
	}
	c.sitBitmap = area[skip:][:c.sitBytes]
	return nil
}

// journal reads the entries of the table that are newer than it.
func (c *checkpoint) journal(r io.ReaderAt, segments uint64) (map[uint64]entry, error) {
	b := make([]byte, blockBytes)
	block, at := c.at+c.startSum, compactSITJournalAt
	if c.flags&flagCompact == 0 {
		if c.blocks < summariesAfterData+1 {
			return nil, fmt.Errorf("checkpoint of %d blocks has no summaries", c.blocks)
		}
		block, at = c.at+c.blocks-summariesAfterData+coldDataSummary, summaryEntries
	}
	if err := freemap.ReadFull(r, b, int64(block)*blockBytes); err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	n := int(le.Uint16(b[at:]))
	if n > journalRecordsMax {
		return nil, fmt.Errorf("journal of %d entries", n)
	}
	found := map[uint64]entry{}
	for i := range n {
		record := b[at+2+i*journalRecordBytes:]
		segment := uint64(le.Uint32(record))
		if segment >= segments {
			return nil, fmt.Errorf("journal: segment %d of %d", segment, segments)
		}
		e, err := parseEntry(record[4:])
		if err != nil {
			return nil, fmt.Errorf("journal: segment %d: %w", segment, err)
		}
		found[segment] = e
	}
	return found, nil
}
