package view

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"

	"hyzer/imaging/freemap"
)

// Kind is how a run of sectors differs between two disks.
type Kind int

// The kinds of differences.
const (
	Changed Kind = iota // in use in both, with other content
	Freed               // in use in the first only
	New                 // in use in the second only
)

func (k Kind) String() string { return [...]string{"changed", "freed", "new"}[k] }

// Difference is a run of sectors in which two disks differ.
type Difference struct {
	freemap.Range
	Kind Kind
}

const (
	diffReadBytes = 1 << 20
	// diffSectors is the unit in which content is compared.
	diffSectors = 8
)

// Diff finds where b differs from a, and calls each for every difference,
// ascending. progress, if not nil, gets the bytes compared so far, of those that
// both have in use (Common).
func Diff(ctx context.Context, a, b *Disk, progress func(int64), each func(Difference) error) error {
	c := differ{a: a, b: b, p: make([]byte, diffReadBytes), q: make([]byte, diffReadBytes), each: each}
	err := overlay(a.data, b.data, func(r freemap.Range, inA, inB bool) error {
		switch {
		case !inB:
			return c.add(r, Freed)
		case !inA:
			return c.add(r, New)
		}
		for r.Start < r.End {
			if err := ctx.Err(); err != nil {
				return err
			}
			end := min(r.End, r.Start+diffReadBytes/freemap.SectorBytes)
			if err := c.compare(freemap.Range{Start: r.Start, End: end}); err != nil {
				return err
			}
			if progress != nil {
				progress(c.done)
			}
			r.Start = end
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.flush()
}

// Common is how many bytes both disks have in use.
func Common(a, b *Disk) int64 {
	sectors := uint64(0)
	_ = overlay(a.data, b.data, func(r freemap.Range, inA, inB bool) error { // which does not fail
		if inA && inB {
			sectors += r.Sectors()
		}
		return nil
	})
	return int64(sectors) * freemap.SectorBytes
}

// overlay calls fn for what either of two ascending lists has, in pieces of
// which each list has all or nothing.
func overlay(a, b []freemap.Range, fn func(r freemap.Range, inA, inB bool) error) error {
	for at := uint64(0); ; {
		for len(a) > 0 && a[0].End <= at {
			a = a[1:]
		}
		for len(b) > 0 && b[0].End <= at {
			b = b[1:]
		}
		if len(a) == 0 && len(b) == 0 {
			return nil
		}
		inA, endA := here(a, at)
		inB, endB := here(b, at)
		end := min(endA, endB)
		if inA || inB {
			if err := fn(freemap.Range{Start: at, End: end}, inA, inB); err != nil {
				return err
			}
		}
		at = end
	}
}

// here tells whether the first of a list, which does not end before it, has a
// sector, and where that changes.
func here(list []freemap.Range, sector uint64) (in bool, end uint64) {
	switch {
	case len(list) == 0:
		return false, math.MaxUint64
	case list[0].Start > sector:
		return false, list[0].Start
	}
	return true, list[0].End
}

// differ compares content, and joins what goes on alike.
type differ struct {
	a, b *Disk
	p, q []byte
	done int64
	last Difference // that may go on
	each func(Difference) error
}

// add tells of the last difference, unless r goes on with it.
func (c *differ) add(r freemap.Range, k Kind) error {
	if c.last.Kind == k && c.last.End == r.Start && c.last.Sectors() > 0 {
		c.last.End = r.End
		return nil
	}
	err := c.flush()
	c.last = Difference{r, k}
	return err
}

func (c *differ) flush() error {
	if c.last.Sectors() == 0 {
		return nil
	}
	return c.each(c.last)
}

func (c *differ) compare(r freemap.Range) error {
	n := int(r.Sectors()) * freemap.SectorBytes
	p, q := c.p[:n], c.q[:n]
	failed := make(chan error, 1)
	go func() { failed <- readFull(c.b, q, r, "second") }()
	err := readFull(c.a, p, r, "first")
	if err2 := <-failed; err == nil {
		err = err2
	}
	c.done += int64(n)
	if err != nil || bytes.Equal(p, q) {
		return err
	}
	const unit = diffSectors * freemap.SectorBytes
	for at := 0; at < n; at += unit {
		end := min(at+unit, n)
		if !bytes.Equal(p[at:end], q[at:end]) {
			if err := c.add(freemap.Range{Start: r.Start + uint64(at/freemap.SectorBytes), End: r.Start + uint64(end/freemap.SectorBytes)}, Changed); err != nil {
				return err
			}
		}
	}
	return nil
}

func readFull(d *Disk, p []byte, r freemap.Range, which string) error {
	if n, err := d.ReadAt(p, int64(r.Start)*freemap.SectorBytes); n < len(p) {
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("%s image, sector %d: %w", which, r.Start, err)
	}
	return nil
}
