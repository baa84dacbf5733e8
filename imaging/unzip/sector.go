package unzip

import (
	"fmt"
	"os"

	"hyzer/imaging/ndz"
	"hyzer/imaging/partition"
	"hyzer/imaging/partition/gpt"
	"hyzer/imaging/partition/scheme"
	"hyzer/imaging/view"
)

// SectorSizeError is returned for an image of a disk whose partition table
// nothing would find on the target, because it counts in other sectors.
type SectorSizeError struct{ Image, Target int } // bytes

func (e *SectorSizeError) Error() string {
	return fmt.Sprintf("image has a partition table in sectors of %d bytes, and the target has sectors of %d: nothing would find it", e.Image, e.Target)
}

// CheckSectorSize fails with a SectorSizeError if the image of a whole disk does
// not suit the sectors of a device. Files take any image; and of an MBR only V5
// images tell what it counts in.
func CheckSectorSize(image *view.Image, t *FileTarget) error {
	if t.unit == 0 {
		return nil
	}
	d := partition.Disk{ReaderAt: image, Sectors: image.Sectors()}
	if s := image.Summary(); s.Version == ndz.V5 {
		d.Unit = s.SectorBytes
		if table, err := scheme.Read(d); err == nil && table.Unit != t.unit {
			return &SectorSizeError{table.Unit, t.unit}
		}
	}
	found := 0
	for _, d.Unit = range []int{ndz.SectorBytes, 4096} {
		if _, err := gpt.Read(d); err == nil && d.Unit == t.unit {
			return nil
		} else if err == nil {
			found = d.Unit
		}
	}
	if found != 0 {
		return &SectorSizeError{found, t.unit}
	}
	return nil
}

// suits checks the sector size for the image of a whole disk that can be seen
// whole.
func (c *command) suits(in *os.File, size int64, t *FileTarget) error {
	if size < 0 || c.slice > 0 || t.unit == 0 {
		return nil
	}
	image, err := view.Open(in, size, view.Options{Decode: c.opts.Decode})
	if err != nil {
		return err
	}
	return CheckSectorSize(image, t)
}
