// Package scheme reads whichever partition table a disk has.
package scheme

import (
	"errors"
	"io"

	"hyzer/imaging/partition"
	"hyzer/imaging/partition/gpt"
	"hyzer/imaging/partition/mbr"
)

// ErrNone is returned for a disk without a partition table.
var ErrNone = errors.New("no GPT or MBR partition table")

// Read reads the table of a disk of so many sectors.
func Read(r io.ReaderAt, sectors uint64) (*partition.Table, error) {
	t, err := gpt.Read(r, sectors)
	if errors.Is(err, gpt.ErrNone) {
		t, err = mbr.Read(r, sectors)
	}
	if errors.Is(err, mbr.ErrNone) {
		return nil, ErrNone
	}
	return t, err
}
