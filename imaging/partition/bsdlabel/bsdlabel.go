// Package bsdlabel reads BSD disklabels, the partition tables inside the
// slices of FreeBSD and OpenBSD (spec freemaps, section 3; ndz, 1.5).
package bsdlabel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"hyzer/imaging/partition"
)

const (
	// Sector of the slice that the label is in.
	Sector = 1
	// BootSectors at the start of a slice are boot code and the label, also
	// where a partition begins there.
	BootSectors = 16
	// RelocatedBytes is how much of a label images mark for relocation.
	RelocatedBytes = 276

	sectorBytes  = partition.SectorBytes
	magic        = 0x82564557
	offMagic2    = 132
	offSum       = 136
	offCount     = 138
	offEntries   = 148
	entryBytes   = 16
	entriesMax   = 16
	entryOffset  = 4
	entryType    = 12
	wholeSlice   = 2 // partition 'c'
	entriesOwned = 8 // OpenBSD: those after are other systems'

	typeUnused = 0
	typeSwap   = 1
	typeFFS    = 7
)

// ErrNone is returned for a slice without a label.
var ErrNone = errors.New("no BSD disklabel")

// Label is the label of a slice.
type Label struct {
	raw      [sectorBytes]byte
	count    int
	start    uint64 // of the slice, which absolute offsets include
	absolute bool
	openBSD  bool
}

// Any tells whether a slice of a disk with larger sectors has a label, which
// Read does not know there.
func Any(r io.ReaderAt, unitBytes int) bool {
	b := make([]byte, 4)
	for _, at := range []int64{Sector * sectorBytes, Sector * int64(unitBytes)} {
		if n, _ := r.ReadAt(b, at); n == len(b) && binary.LittleEndian.Uint32(b) == magic {
			return true
		}
	}
	return false
}

// Read reads the label of the slice r, which lies at sector start of the disk
// and has so many sectors.
func Read(r io.ReaderAt, start, sectors uint64, openBSD bool) (*Label, error) {
	l := &Label{start: start, openBSD: openBSD}
	if n, err := r.ReadAt(l.raw[:], Sector*sectorBytes); n < len(l.raw) {
		return nil, fmt.Errorf("BSD disklabel: %w", err)
	}
	le := binary.LittleEndian
	if le.Uint32(l.raw[:]) != magic || le.Uint32(l.raw[offMagic2:]) != magic {
		return nil, ErrNone
	}
	l.count = int(le.Uint16(l.raw[offCount:]))
	if l.count > entriesMax {
		return nil, fmt.Errorf("BSD disklabel of %d partitions", l.count)
	}
	var sum uint16
	for i := 0; i < offEntries+l.count*entryBytes; i += 2 {
		sum ^= le.Uint16(l.raw[i:])
	}
	if sum != 0 {
		return nil, fmt.Errorf("BSD disklabel has a wrong checksum")
	}
	// Nothing says whether offsets count from the disk or the slice.
	l.absolute = start > 0
	for i := range l.count {
		if size, offset, _ := l.entry(i); size > 0 && offset < start {
			l.absolute = false
		}
	}
	return l, nil
}

func (l *Label) entry(i int) (size, offset uint64, kind byte) {
	e := l.raw[offEntries+i*entryBytes:]
	return uint64(binary.LittleEndian.Uint32(e)), uint64(binary.LittleEndian.Uint32(e[entryOffset:])), e[entryType]
}

// Table returns the partitions, relative to the slice, numbered from 1 for
// 'a'. The whole-slice partition is left out.
func (l *Label) Table() (*partition.Table, error) {
	t := &partition.Table{Scheme: "BSD"}
	for i := range l.count {
		size, offset, kind := l.entry(i)
		if size == 0 || kind == typeUnused || l.openBSD && i >= entriesOwned {
			continue
		}
		if l.absolute {
			offset -= l.start
		}
		e := partition.Entry{Number: i + 1, Start: offset, Sectors: size, Type: fmt.Sprintf("BSD type %d", kind)}
		switch kind {
		case typeSwap:
			e.Content = partition.BSDSwap
		case typeFFS:
			e.Expect = "ufs"
		default:
			e.Content = partition.Boot // stored whole
		}
		t.Entries = append(t.Entries, e)
	}
	return t, t.Check()
}

// Relative returns the label's sector with offsets that count from the slice,
// as images store it.
func (l *Label) Relative() []byte {
	b := append([]byte(nil), l.raw[:]...)
	le := binary.LittleEndian
	for i := range l.count {
		size, offset, _ := l.entry(i)
		if !l.absolute || size == 0 || l.openBSD && (i == wholeSlice || i >= entriesOwned) {
			continue
		}
		le.PutUint32(b[offEntries+i*entryBytes+entryOffset:], uint32(offset-l.start))
	}
	le.PutUint16(b[offSum:], 0)
	var sum uint16
	for i := 0; i < offEntries+l.count*entryBytes; i += 2 {
		sum ^= le.Uint16(b[i:])
	}
	le.PutUint16(b[offSum:], sum)
	return b
}
