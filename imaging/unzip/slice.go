package unzip

import (
	"fmt"

	"hyzer/imaging/ndz"
	"hyzer/imaging/partition"
	"hyzer/imaging/partition/scheme"
)

const (
	mbrEntries   = 4
	mbrOffTable  = 446
	mbrEntrySize = 16
	mbrOffType   = 4
)

// slice is the partition a slice image goes into.
type slice struct {
	entry  partition.Entry
	scheme string
}

// FindPartition returns the place of partition n on the disk in t.
func FindPartition(t *FileTarget, n int) (partition.Entry, string, error) {
	size := t.SizeBytes()
	if size < 0 {
		info, err := t.f.Stat()
		if err != nil {
			return partition.Entry{}, "", err
		}
		size = info.Size()
	}
	table, err := scheme.Read(partition.Disk{ReaderAt: t, Sectors: uint64(size) / ndz.SectorBytes, Unit: t.unit})
	if err != nil {
		return partition.Entry{}, "", err
	}
	e, err := table.Entry(n)
	return e, table.Scheme, err
}

// place makes the options those of a restore into the partition of -s.
func (c *command) place(t *FileTarget) (slice, error) {
	if c.slice == 0 {
		return slice{}, nil
	}
	e, scheme, err := FindPartition(t, c.slice)
	if err != nil {
		return slice{}, err
	}
	s := slice{e, scheme}
	if c.slicetype >= 0 && (scheme != "MBR" || e.Number > mbrEntries) {
		return s, fmt.Errorf("option -D: cannot set the type of partition %d of a %s table", e.Number, scheme)
	}
	c.opts.Decode.Placement = ndz.Placement{Start: e.Start, Size: e.Sectors}
	return s, nil
}

// setType writes the type byte of a primary MBR partition.
func (s slice) setType(t *FileTarget, kind byte) error {
	at := int64(mbrOffTable + (s.entry.Number-1)*mbrEntrySize + mbrOffType)
	if _, err := t.WriteAt([]byte{kind}, at); err != nil {
		return fmt.Errorf("setting the type of partition %d: %w", s.entry.Number, err)
	}
	return t.Finish(0)
}
