package view

import (
	"context"
	"fmt"

	"hyzer/imaging/freemap"
	"hyzer/imaging/sig"
)

// Checked is what a signature says about a disk.
type Checked struct {
	Records int // held against the data
	Bad     []sig.Mismatch
	// Beyond are records of sectors that the disk has no data for, all or in
	// part: what was free when the image was made, or is in the base of a delta.
	Beyond int
	// Unsigned are sectors with data that no record covers.
	Unsigned uint64
}

// Fault says what is wrong, nil if nothing is.
func (c Checked) Fault() error {
	switch {
	case len(c.Bad) > 0:
		return fmt.Errorf("%d of %d hashes are not of the image, the first of sectors [%d,%d)", len(c.Bad), c.Records, c.Bad[0].Start, c.Bad[0].End())
	case c.Unsigned > 0:
		return fmt.Errorf("%d sectors of the image have no hash in the signature", c.Unsigned)
	}
	return nil
}

// Check holds all data of a disk against a signature.
func (d *Disk) Check(ctx context.Context, s *sig.File) (Checked, error) {
	var c Checked
	mine := *s
	mine.Records = nil
	var covered []freemap.Range
	for _, r := range s.Records {
		whole := freemap.Range{Start: r.Start, End: r.End()}
		covered = freemap.Append(covered, r.Start, r.End())
		if freemap.Total(freemap.Intersect(freemap.Overlap(d.data, whole), []freemap.Range{whole})) == r.Size {
			mine.Records = append(mine.Records, r)
		} else {
			c.Beyond++
		}
	}
	c.Records = len(mine.Records)
	c.Unsigned = freemap.Total(freemap.Subtract(d.data, covered))
	var err error
	c.Bad, err = sig.Check(ctx, d, &mine, 0)
	return c, err
}
