// Package gpt reads GUID partition tables, primary or backup (UEFI 5.3; spec
// freemaps, section 1).
package gpt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"hyzer/imaging/freemap"
	"hyzer/imaging/partition"
)

const (
	headerBytesMin = 92
	magic          = "EFI PART"
	entryBytesMin  = 128
	entryBytesMax  = 4096
	entriesMax     = 128 // more are allowed by UEFI, none are seen
	guidBytes      = 16

	offHeaderBytes = 12
	offHeaderCRC   = 16
	offMyLBA       = 24
	offAltLBA      = 32
	offFirstUsable = 40
	offLastUsable  = 48
	offTableLBA    = 72
	offEntries     = 80
	offEntryBytes  = 84
	offTableCRC    = 88

	lbaMax = 1 << 47 // so that it is a file offset in bytes

	offEntryFirst = 32
	offEntryLast  = 40
)

// ErrNone is returned for a disk without a GUID partition table.
var ErrNone = errors.New("no GPT partition table")

// kind is what a type GUID stands for.
type kind struct {
	name    string
	content partition.Content
	expect  string
}

// kinds are the types that are treated differently. Microsoft basic data is
// any of FAT, NTFS and exFAT.
func kinds() map[string]kind {
	return map[string]kind{
		"21686148-6449-6e6f-744e-656564454649": {"BIOS boot", partition.Boot, ""},
		"83bd6b9d-7f41-11dc-be0b-001560b84f0f": {"FreeBSD boot", partition.Boot, ""},
		"c12a7328-f81f-11d2-ba4b-00a0c93ec93b": {"EFI system", partition.Unknown, "fat"},
		"ebd0a0a2-b9e5-4433-87c0-68b6b72699c7": {"Microsoft basic data", partition.Unknown, ""},
		"0fc63daf-8483-4772-8e79-3d69d8477de4": {"Linux data", partition.Unknown, "ext"},
		"0657fd6d-a4ab-43c4-84e5-0933c84b4f4f": {"Linux swap", partition.Swap, "swap"},
		"516e7cb4-6ecf-11d6-8ff8-00022d09712b": {"FreeBSD disklabel", partition.BSDLabel, "ufs"},
		"516e7cb5-6ecf-11d6-8ff8-00022d09712b": {"FreeBSD swap", partition.BSDSwap, ""},
		"516e7cb6-6ecf-11d6-8ff8-00022d09712b": {"FreeBSD UFS", partition.Unknown, "ufs"},
	}
}

type header struct {
	first, last uint64 // usable sectors, both inclusive
	tableLBA    uint64
	entries     uint32
	entryBytes  uint32
	tableCRC    uint32
	altLBA      uint64
}

// Read reads the table of a disk, from the backup if the primary is damaged.
func Read(d partition.Disk) (*partition.Table, error) {
	if d.Units() < 3 {
		return nil, ErrNone
	}
	h, table, err := readCopy(d, 1)
	if err == nil {
		return build(d, 1, h, table)
	}
	primary := err
	if h, table, err = readCopy(d, d.Units()-1); err != nil {
		if errors.Is(primary, ErrNone) && errors.Is(err, ErrNone) {
			return nil, ErrNone
		}
		if errors.Is(primary, ErrNone) {
			primary = err
		}
		return nil, fmt.Errorf("both copies are damaged: %w", primary)
	}
	t, err := build(d, d.Units()-1, h, table)
	if err == nil {
		t.Warnings = append(t.Warnings, fmt.Sprintf("GPT: primary table is damaged (%v), used the backup", primary))
	}
	return t, err
}

func readCopy(d partition.Disk, lba uint64) (*header, []byte, error) {
	b := make([]byte, partition.SectorBytes) // no header is longer
	if err := d.ReadUnits(b, lba); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil, ErrNone // of a file that is not whole sectors
		}
		return nil, nil, fmt.Errorf("GPT header at sector %d: %w", lba, err)
	}
	h, err := parseHeader(b, lba)
	if err != nil {
		return nil, nil, err
	}
	table := make([]byte, int(h.entries)*int(h.entryBytes))
	if err := d.ReadUnits(table, h.tableLBA); err != nil {
		return nil, nil, fmt.Errorf("GPT table at sector %d: %w", h.tableLBA, err)
	}
	if crc32.ChecksumIEEE(table) != h.tableCRC {
		return nil, nil, fmt.Errorf("GPT table at sector %d has a wrong checksum", h.tableLBA)
	}
	return h, table, nil
}

func parseHeader(b []byte, lba uint64) (*header, error) {
	le := binary.LittleEndian
	if string(b[:len(magic)]) != magic {
		return nil, ErrNone
	}
	size := le.Uint32(b[offHeaderBytes:])
	if size < headerBytesMin || size > uint32(len(b)) {
		return nil, fmt.Errorf("GPT header at sector %d has %d bytes", lba, size)
	}
	sum := le.Uint32(b[offHeaderCRC:])
	le.PutUint32(b[offHeaderCRC:], 0)
	if crc32.ChecksumIEEE(b[:size]) != sum {
		return nil, fmt.Errorf("GPT header at sector %d has a wrong checksum", lba)
	}
	h := &header{
		first: le.Uint64(b[offFirstUsable:]), last: le.Uint64(b[offLastUsable:]),
		tableLBA: le.Uint64(b[offTableLBA:]), altLBA: le.Uint64(b[offAltLBA:]),
		entries: le.Uint32(b[offEntries:]), entryBytes: le.Uint32(b[offEntryBytes:]),
		tableCRC: le.Uint32(b[offTableCRC:]),
	}
	switch {
	case le.Uint64(b[offMyLBA:]) != lba:
		return nil, fmt.Errorf("GPT header at sector %d says it is at %d", lba, le.Uint64(b[offMyLBA:]))
	case h.entries > entriesMax || h.entryBytes < entryBytesMin || h.entryBytes > entryBytesMax || h.entryBytes&(h.entryBytes-1) != 0:
		return nil, fmt.Errorf("GPT of %d entries of %d bytes", h.entries, h.entryBytes)
	case h.first > h.last || h.last >= lbaMax || h.tableLBA >= lbaMax:
		return nil, fmt.Errorf("GPT usable sectors %d to %d, table at %d", h.first, h.last, h.tableLBA)
	}
	return h, nil
}

// build makes sense of a table whose header is at sector lba.
func build(d partition.Disk, lba uint64, h *header, table []byte) (*partition.Table, error) {
	le, per := binary.LittleEndian, d.Per()
	t, known := &partition.Table{Scheme: "GPT", Unit: int(per) * partition.SectorBytes}, kinds()
	for i := range int(h.entries) {
		e := table[i*int(h.entryBytes):]
		id := guid(e[:guidBytes])
		first, last := le.Uint64(e[offEntryFirst:]), le.Uint64(e[offEntryLast:])
		if id == guid(make([]byte, guidBytes)) {
			continue
		}
		if last < first || first < h.first || last > h.last {
			return nil, fmt.Errorf("GPT partition %d has sectors %d to %d, usable are %d to %d", i+1, first, last, h.first, h.last)
		}
		k := known[id]
		if k.name == "" {
			k.name = id
		}
		t.Entries = append(t.Entries, partition.Entry{
			Number: i + 1, Start: first * per, Sectors: (last - first + 1) * per, Content: k.content, Type: k.name, Expect: k.expect,
		})
	}
	if err := t.Check(); err != nil {
		return nil, err
	}
	low, high := t.Hull()
	if len(t.Entries) == 0 {
		low, high = h.first*per, h.first*per
	}
	t.Free = freemap.Append(t.Free, h.first*per, low)
	t.Free = freemap.Append(t.Free, high, (h.last+1)*per)
	t.Free = freemap.Subtract(t.Free, h.own(lba, per))
	if h.last >= d.Units() {
		t.Warnings = append(t.Warnings, fmt.Sprintf("GPT: usable up to sector %d of a disk of %d", h.last, d.Units()))
	}
	return t, nil
}

// own is what of a disk is no space for partitions, whatever the header says: the
// MBR, both headers, and the table.
func (h *header) own(lba, per uint64) []freemap.Range {
	var list []freemap.Range
	for _, at := range []uint64{0, 1, lba, min(h.altLBA, lbaMax)} {
		list = append(list, freemap.Range{Start: at * per, End: (at + 1) * per})
	}
	start := h.tableLBA * per
	bytes := uint64(h.entries) * uint64(h.entryBytes)
	list = append(list, freemap.Range{Start: start, End: start + (bytes+partition.SectorBytes-1)/partition.SectorBytes})
	return freemap.Normalize(list)
}

// guid is the text of a GUID in its mixed byte order.
func guid(b []byte) string {
	le, be := binary.LittleEndian, binary.BigEndian
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", le.Uint32(b), le.Uint16(b[4:]), le.Uint16(b[6:]), be.Uint16(b[8:]), b[10:16])
}
