package diskloader

import (
	"encoding/binary"
	"fmt"
	"io"

	"hyzer/imaging/ndz"
	"hyzer/imaging/partition"
	"hyzer/imaging/partition/scheme"
	"hyzer/imaging/unzip"
)

// Disk is what images are put on. An unzip.FileTarget of a block device is one.
type Disk interface {
	unzip.Target
	io.ReaderAt
}

const (
	sectorBytes = ndz.SectorBytes
	// labelBytes at the start of a partition hold its super-blocks, and
	// wipeBytes at both ends of the disk partition tables and the like.
	labelBytes = 64 << 10
	wipeBytes  = 1 << 20
)

// Layout of a master boot record.
const (
	mbrTableOffset = 446
	mbrEntryBytes  = 16
	mbrEntries     = 4
	mbrTypeLinux   = 0x83
	// firstSector of the first partition of a standard table.
	firstSector = 2048
)

// Table reads a disk's partition table, GPT first as firmware does.
func Table(d io.ReaderAt, sizeBytes int64) (*partition.Table, error) {
	disk := partition.Disk{ReaderAt: d, Sectors: uint64(sizeBytes / sectorBytes)}
	if u, ok := d.(interface{ Unit() int }); ok {
		disk.Unit = u.Unit()
	}
	return scheme.Read(disk)
}

// place is where a partition is; a disk without it gets a standard table.
func place(d Disk, number int) (ndz.Placement, error) {
	at, err := Partition(d, number)
	if err == nil || number > mbrEntries {
		return at, err
	}
	sector := standardTable(uint64(d.SizeBytes() / sectorBytes))
	if _, err := d.WriteAt(sector[:], 0); err != nil {
		return at, fmt.Errorf("writing a partition table: %w", err)
	}
	return Partition(d, number)
}

// Partition is where a disk's partition is, in sectors.
func Partition(d Disk, number int) (ndz.Placement, error) {
	t, err := Table(d, d.SizeBytes())
	if err != nil {
		return ndz.Placement{}, err
	}
	e, err := t.Entry(number)
	if err != nil {
		return ndz.Placement{}, err
	}
	if end := uint64(d.SizeBytes() / sectorBytes); e.End() > end {
		return ndz.Placement{}, fmt.Errorf("partition %d ends at sector %d, beyond the disk's %d", number, e.End(), end)
	}
	return ndz.Placement{Start: e.Start, Size: e.Sectors}, nil
}

// standardTable is the table that loaders give a disk whose image is for one
// partition: half of the disk, a quarter, an eighth, the rest.
func standardTable(sectors uint64) (boot [sectorBytes]byte) {
	start := uint64(firstSector)
	for i := range mbrEntries {
		size := sectors - start
		if i < mbrEntries-1 {
			size = size / 2 / firstSector * firstSector
		}
		e := boot[mbrTableOffset+i*mbrEntryBytes:]
		e[4] = mbrTypeLinux
		binary.LittleEndian.PutUint32(e[8:], uint32(start))
		binary.LittleEndian.PutUint32(e[12:], uint32(size))
		start += size
	}
	boot[510], boot[511] = 0x55, 0xaa
	return boot
}

// prepare makes all file systems and tables of the disk unreadable.
func prepare(d Disk) error {
	size := d.SizeBytes()
	if t, err := Table(d, size); err == nil {
		for _, e := range t.Entries {
			at := int64(e.Start) * sectorBytes
			if err := d.Zero(at, min(labelBytes, max(size-at, 0))); err != nil {
				return err
			}
		}
	}
	if err := d.Zero(0, min(wipeBytes, size)); err != nil {
		return err
	}
	return d.Zero(max(size-wipeBytes, 0), min(wipeBytes, size))
}
