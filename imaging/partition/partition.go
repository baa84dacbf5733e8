package partition

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"hyzer/imaging/freemap"
)

// SectorBytes is the unit of all sectors here, whatever the disk's own are.
const SectorBytes = 512

// Disk is what a table is read from.
type Disk struct {
	io.ReaderAt
	Sectors uint64 // of SectorBytes
	// Unit is the size of the disk's own sectors, which its table counts in: a
	// power of two from SectorBytes to UnitBytesMax. 0 is SectorBytes.
	Unit int
}

// UnitBytesMax bounds Disk.Unit.
const UnitBytesMax = 64 << 10

// Per is how many sectors one of the disk's own has.
func (d Disk) Per() uint64 { return uint64(max(d.Unit, SectorBytes)) / SectorBytes }

// Units is the length of the disk in its own sectors.
func (d Disk) Units() uint64 { return d.Sectors / d.Per() }

// ReadUnits fills p from the disk's own sector n on.
func (d Disk) ReadUnits(p []byte, n uint64) error {
	if k, err := d.ReadAt(p, int64(n*d.Per())*SectorBytes); k < len(p) {
		return err
	}
	return nil
}

// Content is what the table says is in a partition. It is a hint: the content
// itself is looked at before the table is believed.
type Content int

// The kinds of content that are treated differently.
const (
	Unknown  Content = iota // stored whole unless a file system is found
	Unused                  // not saved
	Swap                    // Linux swap: the header is kept
	BSDSwap                 // FreeBSD swap: nothing is kept
	BSDLabel                // a BSD slice with a disklabel
	Boot                    // boot code without a file system: stored whole
)

// Entry is one partition.
type Entry struct {
	Number  int // as imagezip -s takes it, from 1
	Start   uint64
	Sectors uint64
	Content Content
	Type    string // of the table, for people
	Expect  string // family of file system the type stands for, or ""
	MBRType byte   // 0 in other schemes
	TypeAt  int64  // byte of the disk that MBRType is
}

// Patch is bytes to be written to a disk.
type Patch struct {
	Offset int64
	Data   []byte
}

// End is the first sector after the partition.
func (e Entry) End() uint64 { return e.Start + e.Sectors }

// Table is a partition table, with what of the disk outside the partitions
// need not be imaged.
type Table struct {
	Scheme   string
	Unit     int     // bytes of the sectors that it counts in
	Entries  []Entry // in table order
	Free     []freemap.Range
	Warnings []string
}

// Entry returns partition number n.
func (t *Table) Entry(n int) (Entry, error) {
	for _, e := range t.Entries {
		if e.Number == n {
			return e, nil
		}
	}
	return Entry{}, fmt.Errorf("%s table has no partition %d; it has %s", t.Scheme, n, t.numbers())
}

// numbers lists the partitions that there are. Logical ones have numbers that
// nobody expects who knows those of Linux.
func (t *Table) numbers() string {
	if len(t.Entries) == 0 {
		return "none"
	}
	var list []string
	for _, e := range t.Entries {
		list = append(list, strconv.Itoa(e.Number))
	}
	return strings.Join(list, ", ")
}

// Check refuses partitions that overlap. Ones that end beyond the disk are
// left to whoever reads them.
func (t *Table) Check() error {
	sorted := slices.Clone(t.Entries)
	slices.SortFunc(sorted, func(a, b Entry) int { return cmp.Compare(a.Start, b.Start) })
	for i := 1; i < len(sorted); i++ {
		if a, b := sorted[i-1], sorted[i]; a.End() > b.Start {
			return fmt.Errorf("%s table: partitions %d [%d,%d) and %d [%d,%d) overlap",
				t.Scheme, a.Number, a.Start, a.End(), b.Number, b.Start, b.End())
		}
	}
	return nil
}

// Hull is the lowest start and the highest end of all partitions.
func (t *Table) Hull() (low, high uint64) {
	for i, e := range t.Entries {
		if i == 0 || e.Start < low {
			low = e.Start
		}
		high = max(high, e.End())
	}
	return low, high
}
