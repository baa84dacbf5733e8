package view

import (
	"context"
	"fmt"

	"hyzer/imaging/freemap"
	"hyzer/imaging/sig"
)

// Checked is what a signature says about a disk.
type Checked struct {
	sig.Checked // of records held against the data
	// Beyond are records of sectors that the disk has no data for, all or in
	// part: what was free when the image was made, or is in the base of a delta.
	Beyond int
	// Unsigned are sectors with data that no record covers.
	Unsigned uint64
}

// Fault says what is wrong, nil if nothing is.
func (c Checked) Fault() error {
	switch {
	case c.Bad > 0:
		return fmt.Errorf("%d of %d hashes are not of the image, the first of sectors [%d,%d)", c.Bad, c.Records, c.First.Start, c.First.End())
	case c.Unsigned > 0:
		return fmt.Errorf("%d sectors of the image have no hash in the signature", c.Unsigned)
	}
	return nil
}

// Check holds all data of a disk against a signature.
func (d *Disk) Check(ctx context.Context, s *sig.File) (Checked, error) {
	var c Checked
	var covered []freemap.Range
	records := s.From(0)
	next := func() (sig.Extent, bool, error) {
		for records.Next() {
			r := records.Record()
			whole := freemap.Range{Start: r.Start, End: r.End()}
			covered = freemap.Append(covered, r.Start, r.End())
			if freemap.Total(freemap.Intersect(freemap.Overlap(d.data, whole), []freemap.Range{whole})) == r.Size {
				return sig.Extent{Record: r}, true, nil
			}
			c.Beyond++
		}
		return sig.Extent{}, false, records.Err()
	}
	err := sig.HashAll(ctx, d, s.Type, 0, next, func(r sig.Record, got [sig.HashBytes]byte) error {
		c.Count(r, got)
		return nil
	})
	c.Unsigned = freemap.Total(freemap.Subtract(d.data, covered))
	return c, err
}
