package ndz

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Layout of a BSD disklabel (spec ndz, 1.5).
const (
	labelMagic       = 0x82564557
	labelOffMagic2   = 132
	labelOffSum      = 136
	labelOffCount    = 138
	labelHeadBytes   = 148
	labelEntryBytes  = 16
	labelEntriesMax  = 16
	labelEntriesOpen = 8 // OpenBSD: those after are other systems' partitions
	labelWholeSlice  = 2 // partition 'c'
)

// relocateLabel makes the offsets of a slice-relative label absolute. Outside
// a slice restore the stored, relative label stays as it is.
func relocateLabel(label []byte, p Placement, openBSD bool) error {
	if !p.InPartition() {
		return nil
	}
	if u32(label, 0) != labelMagic || u32(label, labelOffMagic2) != labelMagic {
		return errors.New("no BSD disklabel where one is to be relocated")
	}
	count := int(binary.LittleEndian.Uint16(label[labelOffCount:]))
	end := labelHeadBytes + count*labelEntryBytes
	if count > labelEntriesMax || end > len(label) {
		return fmt.Errorf("BSD disklabel of %d partitions", count)
	}
	for i := range count {
		if openBSD && (i == labelWholeSlice || i >= labelEntriesOpen) {
			continue
		}
		relocateLabelEntry(label[labelHeadBytes+i*labelEntryBytes:], p, i == labelWholeSlice)
	}
	sumLabel(label[:end])
	return nil
}

func relocateLabelEntry(e []byte, p Placement, wholeSlice bool) {
	le := binary.LittleEndian
	size, offset := uint64(u32(e, 0)), uint64(u32(e, 4))
	if size == 0 {
		return
	}
	if wholeSlice {
		size = p.Size
	}
	if offset+size > p.Size {
		size = p.Size - min(offset, p.Size)
	}
	le.PutUint32(e, uint32(size))
	le.PutUint32(e[4:], uint32(offset+p.Start))
}

// sumLabel redoes the XOR of all 16-bit words of a label.
func sumLabel(label []byte) {
	le := binary.LittleEndian
	le.PutUint16(label[labelOffSum:], 0)
	var sum uint16
	for i := 0; i < len(label); i += 2 {
		sum ^= le.Uint16(label[i:])
	}
	le.PutUint16(label[labelOffSum:], sum)
}
