package xfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"hyzer/imaging/freemap"
)

// Of the log: records of basic blocks, each a header and its data. The first
// word of every basic block is the number of the turn (cycle) in which it was
// written; of a header, which begins with a magic number, the second.
const (
	basicBytes      = 512
	recordMagic     = 0xfeedbabe
	offCycle        = 4
	offRecordVer    = 8
	offRecordBytes  = 12
	offOperations   = 40
	offIclogBytes   = 320
	recordVersion2  = 2
	headerSpanBytes = 32 << 10 // of data that one header block covers
	iclogBytesMax   = 256 << 10
	offOpFlags      = 9
	flagUnmount     = 0x20
	windowBytes     = 64 << 10
)

var errDirty = errors.New("log does not end with an unmount: mount and unmount it, or run xfs_repair")

// logScan is where the log ends. Blocks written in the current turn come first
// in the log, those of the one before follow.
type logScan struct {
	blocks       uint64
	first, after uint32 // cycle of the blocks before and from head on
	head         uint64 // number of blocks of the current turn
	recordBefore int64  // last header before head, and from head on; or -1
	recordAfter  int64
}

// checkLog fails unless the last record of the log is that of an unmount.
func (s *super) checkLog(r io.ReaderAt) error {
	if s.logStart == 0 {
		return errors.New("log is on another device, whether it is clean cannot be seen")
	}
	log := io.NewSectionReader(r, int64(s.logStart*s.blockBytes), int64(s.logBlocks*s.blockBytes))
	scan, err := scanLog(log)
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	return scan.checkLast(log)
}

// scanLog reads all of the log. What old records say does not matter, but the
// turns must be those of a log that was written in order.
func scanLog(log *io.SectionReader) (*logScan, error) {
	l := &logScan{recordBefore: -1, recordAfter: -1}
	buf := make([]byte, windowBytes)
	for at := int64(0); at < log.Size(); at += windowBytes {
		p := buf[:min(windowBytes, log.Size()-at)]
		if err := freemap.ReadFull(log, p, at); err != nil {
			return nil, err
		}
		for ; len(p) >= basicBytes; p = p[basicBytes:] {
			if err := l.add(p); err != nil {
				return nil, err
			}
		}
	}
	if l.head == l.blocks {
		return l, nil
	}
	if l.after != l.first-1 {
		return nil, fmt.Errorf("cycle %d is followed by %d: %w", l.first, l.after, errDirty)
	}
	return l, nil
}

// add looks at the next basic block.
func (l *logScan) add(p []byte) error {
	cycle, header := binary.BigEndian.Uint32(p), false
	if cycle == recordMagic {
		cycle, header = binary.BigEndian.Uint32(p[offCycle:]), true
	}
	n := l.blocks
	l.blocks++
	switch {
	case n == 0:
		l.first = cycle
		fallthrough
	case cycle == l.first && l.head == n:
		l.head++
		if header {
			l.recordBefore = int64(n)
		}
		return nil
	case l.head == n:
		l.after = cycle
	case cycle != l.after:
		return fmt.Errorf("cycles %d, %d and %d: %w", l.first, l.after, cycle, errDirty)
	}
	if header {
		l.recordAfter = int64(n)
	}
	return nil
}

// checkLast looks at the record that ends at the head of the log.
func (l *logScan) checkLast(log io.ReaderAt) error {
	be := binary.BigEndian
	at := l.recordBefore
	if at < 0 {
		at = l.recordAfter // it goes on at the start of the log
	}
	if at < 0 {
		return fmt.Errorf("log has no record: %w", errDirty)
	}
	b := make([]byte, basicBytes)
	if err := freemap.ReadFull(log, b, at*basicBytes); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	headers := uint64(1)
	if iclog := uint64(be.Uint32(b[offIclogBytes:])); be.Uint32(b[offRecordVer:])&recordVersion2 != 0 && iclog > headerSpanBytes {
		if iclog > iclogBytesMax {
			return fmt.Errorf("log record of up to %d bytes: %w", iclog, errDirty)
		}
		headers = (iclog + headerSpanBytes - 1) / headerSpanBytes
	}
	data := uint64(at) + headers
	end := data + (uint64(be.Uint32(b[offRecordBytes:]))+basicBytes-1)/basicBytes
	if end%l.blocks != l.head%l.blocks || be.Uint32(b[offOperations:]) != 1 {
		return errDirty
	}
	if err := freemap.ReadFull(log, b, int64(data%l.blocks)*basicBytes); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	if b[offOpFlags]&flagUnmount == 0 {
		return errDirty
	}
	return nil
}
