// Package mbr reads DOS partition tables, with extended partitions (spec
// freemaps, section 1).
package mbr

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"hyzer/imaging/freemap"
	"hyzer/imaging/partition"
)

const (
	sectorBytes  = partition.SectorBytes
	offTable     = 446
	entryBytes   = 16
	entries      = 4
	offType      = 4 // in an entry
	offSignature = 510
	signature    = 0xaa55
	// logicalTablesMax bounds the chain of extended tables, which a broken
	// disk can close to a ring.
	logicalTablesMax = 124
	// embeddingSectors before the first partition may hold a boot loader.
	embeddingSectors = 2048
)

// Types that are treated differently.
const (
	typeUnused   = 0
	typeExtended = 5
	typeExtLBA   = 0xf
	typeExtLinux = 0x85
	typeSwap     = 0x82
	typeFreeBSD  = 0xa5
	typeNTFS     = 7
	typeLinux    = 0x83
	// TypeOpenBSD slices have labels that other systems' partitions are in.
	TypeOpenBSD    = 0xa6
	typeProtective = 0xee
	flagActive     = 0x80
)

// ErrNone is returned for a disk without a DOS partition table.
var ErrNone = errors.New("no MBR partition table")

// raw is one entry as it is on disk.
type raw struct {
	flag, kind     byte
	start, sectors uint64
	typeAt         int64 // byte of the disk
}

func (r raw) extended() bool {
	return r.kind == typeExtended || r.kind == typeExtLBA || r.kind == typeExtLinux
}

// Read reads the table of a disk. A protective table is ErrNone: the disk has a
// GPT.
func Read(d partition.Disk) (*partition.Table, error) {
	table, err := readSector(d, 0)
	if err != nil {
		return nil, err
	}
	if !plausible(table) {
		return nil, ErrNone
	}
	t := &partition.Table{Scheme: "MBR", Unit: int(d.Per()) * sectorBytes}
	for i, e := range table {
		switch {
		case e.extended() && e.sectors > 0:
			if err := readExtended(d, t, e); err != nil {
				return nil, err
			}
		case e.kind != typeUnused && e.sectors > 0:
			t.Entries = append(t.Entries, entry(i+1, e, 0, d.Per()))
		}
	}
	if err := t.Check(); err != nil {
		return nil, err
	}
	findFree(t, table, d)
	return t, nil
}

// plausible tells a partition table from a boot sector that has the signature
// too, as a FAT file system does.
func plausible(table []raw) bool {
	if table == nil || table[0].kind == typeProtective {
		return false
	}
	used := false
	for _, e := range table {
		if e.flag&^flagActive != 0 {
			return false
		}
		if e.kind != typeUnused && e.sectors > 0 {
			if e.start == 0 {
				return false // also the bogus table FreeBSD once wrote
			}
			used = true
		}
	}
	return used
}

func entry(number int, e raw, base, per uint64) partition.Entry {
	p := partition.Entry{
		Number: number, Start: (base + e.start) * per, Sectors: e.sectors * per,
		MBRType: e.kind, TypeAt: e.typeAt, Type: fmt.Sprintf("%#02x", e.kind),
	}
	switch e.kind {
	case 1, 4, 6, 0xb, 0xc, 0xe:
		p.Expect = "fat"
	case typeNTFS:
		p.Expect = "ntfs"
	case typeLinux:
		p.Expect = "ext"
	case typeSwap:
		p.Content, p.Expect = partition.Swap, "swap"
	case typeFreeBSD, TypeOpenBSD:
		p.Content, p.Expect = partition.BSDLabel, "ufs"
	}
	return p
}

// readExtended follows the chain of tables in an extended partition. Each has
// one logical partition, relative to the table, and a link, relative to the
// extended partition. Numbers go up in fours, as old images count them: the
// n-th logical partition is 5+4(n-1) if it is the first of its table.
func readExtended(d partition.Disk, t *partition.Table, ext raw) error {
	at := ext.start
	number := entries + 1
	for n := 0; ; n++ {
		if n == logicalTablesMax {
			return fmt.Errorf("MBR: more than %d extended tables, or a ring of them", logicalTablesMax)
		}
		table, err := readSector(d, at)
		if err != nil {
			return err
		}
		if table == nil {
			t.Warnings = append(t.Warnings, fmt.Sprintf("MBR: no extended table at sector %d", at))
			return nil
		}
		next := uint64(0)
		for i, e := range table {
			switch {
			case e.extended() && e.sectors > 0 && next == 0:
				next = ext.start + e.start
			case !e.extended() && e.kind != typeUnused && e.sectors > 0:
				t.Entries = append(t.Entries, entry(number+i, e, at, d.Per()))
			}
		}
		if next == 0 {
			return nil
		}
		if next <= at || next >= ext.start+ext.sectors {
			return fmt.Errorf("MBR: extended table at sector %d links to sector %d", at, next)
		}
		at, number = next, number+entries
	}
}

// findFree lists what lies before the first and after the last partition, but
// for the room that boot loaders use.
func findFree(t *partition.Table, table []raw, d partition.Disk) {
	low, high := hull(table)
	low, high, sectors := low*d.Per(), high*d.Per(), d.Sectors
	t.Free = freemap.Append(t.Free, min(low, embeddingSectors), low)
	t.Free = freemap.Append(t.Free, high, max(high, sectors))
	if high > sectors {
		t.Warnings = append(t.Warnings, fmt.Sprintf("MBR: partitions end at sector %d of a disk of %d", high, sectors))
	}
}

func hull(table []raw) (low, high uint64) {
	for _, e := range table {
		if e.kind == typeUnused || e.sectors == 0 {
			continue
		}
		if high == 0 || e.start < low {
			low = e.start
		}
		high = max(high, e.start+e.sectors)
	}
	return low, high
}

// readSector decodes the table in a sector, nil if it has no signature.
func readSector(d partition.Disk, sector uint64) ([]raw, error) {
	b := make([]byte, sectorBytes) // the others of the disk's own sector are not the table's
	if err := d.ReadUnits(b, sector); err != nil {
		if sector == 0 && errors.Is(err, io.EOF) {
			return nil, nil
		}
		return nil, fmt.Errorf("MBR table at sector %d: %w", sector, err)
	}
	le := binary.LittleEndian
	if le.Uint16(b[offSignature:]) != signature {
		return nil, nil
	}
	table := make([]raw, entries)
	for i := range table {
		at := offTable + i*entryBytes
		e := b[at:]
		table[i] = raw{e[0], e[offType], uint64(le.Uint32(e[8:])), uint64(le.Uint32(e[12:])),
			int64(sector*d.Per())*sectorBytes + int64(at+offType)}
	}
	return table, nil
}

// SetType returns what gives partition e another type. A logical one cannot
// become unused or extended: the chain of tables would end there, or go astray.
func SetType(e partition.Entry, kind byte) ([]partition.Patch, error) {
	if e.Number > entries && (kind == typeUnused || raw{kind: kind}.extended()) {
		return nil, fmt.Errorf("type %#02x cannot be that of logical partition %d", kind, e.Number)
	}
	return []partition.Patch{{Offset: e.TypeAt, Data: []byte{kind}}}, nil
}
