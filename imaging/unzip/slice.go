package unzip

import (
	"fmt"

	"hyzer/imaging/ndz"
	"hyzer/imaging/partition"
	"hyzer/imaging/partition/scheme"
)

// slice is the partition a slice image goes into.
type slice struct {
	entry partition.Entry
	kind  []partition.Patch // its new type, if it gets one
}

// disk is the target as partition tables are read from it.
func (t *FileTarget) disk() (partition.Disk, error) {
	size := t.SizeBytes()
	if size < 0 {
		info, err := t.f.Stat()
		if err != nil {
			return partition.Disk{}, err
		}
		size = info.Size()
	}
	return partition.Disk{ReaderAt: t, Sectors: uint64(size) / ndz.SectorBytes, Unit: t.unit}, nil
}

// FindPartition returns the place of partition n on the disk in t.
func FindPartition(t *FileTarget, n int) (partition.Entry, error) {
	d, err := t.disk()
	if err != nil {
		return partition.Entry{}, err
	}
	table, err := scheme.Read(d)
	if err != nil {
		return partition.Entry{}, err
	}
	return table.Entry(n)
}

// PlanType returns what gives partition n of the disk in t the type that has a
// number in an MBR, for Patch after a restore; of a GPT both copies. It fails,
// and writes nothing, if there is no such type or table.
func PlanType(t *FileTarget, n int, kind byte) ([]partition.Patch, error) {
	d, err := t.disk()
	if err != nil {
		return nil, err
	}
	return scheme.SetType(d, n, kind)
}

// Patch writes a few bytes here and there, and makes them durable.
func (t *FileTarget) Patch(patches []partition.Patch) error {
	for _, p := range patches {
		if _, err := t.WriteAt(p.Data, p.Offset); err != nil {
			return err
		}
	}
	return t.Finish(0)
}

// place makes the options those of a restore into the partition of -s.
func (c *command) place(t *FileTarget) (slice, error) {
	if c.slice == 0 {
		return slice{}, nil
	}
	e, err := FindPartition(t, c.slice)
	if err != nil {
		return slice{}, err
	}
	s := slice{entry: e}
	if c.slicetype >= 0 {
		if s.kind, err = PlanType(t, c.slice, byte(c.slicetype)); err != nil {
			return s, fmt.Errorf("option -D: %w", err)
		}
	}
	c.opts.Decode.Placement = ndz.Placement{Start: e.Start, Size: e.Sectors}
	return s, nil
}

// setType gives the partition its new type.
func (s slice) setType(t *FileTarget) error {
	if len(s.kind) == 0 {
		return nil
	}
	if err := t.Patch(s.kind); err != nil {
		return fmt.Errorf("setting the type of partition %d: %w", s.entry.Number, err)
	}
	return nil
}
