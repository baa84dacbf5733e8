package view

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

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

// Diff finds where b differs from a, ascending. progress, if not nil, gets the
// bytes compared so far, of those that both have in use.
func Diff(ctx context.Context, a, b *Disk, progress func(int64)) ([]Difference, error) {
	var out []Difference
	for _, r := range freemap.Subtract(a.data, b.data) {
		out = append(out, Difference{r, Freed})
	}
	for _, r := range freemap.Subtract(b.data, a.data) {
		out = append(out, Difference{r, New})
	}
	c := differ{a: a, b: b, p: make([]byte, diffReadBytes), q: make([]byte, diffReadBytes)}
	for _, r := range freemap.Intersect(a.data, b.data) {
		for at := r.Start; at < r.End; {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			end := min(r.End, at+diffReadBytes/freemap.SectorBytes)
			if err := c.compare(freemap.Range{Start: at, End: end}); err != nil {
				return nil, err
			}
			if progress != nil {
				progress(c.done)
			}
			at = end
		}
	}
	for _, r := range c.changed {
		out = append(out, Difference{r, Changed})
	}
	slices.SortFunc(out, func(x, y Difference) int { return cmp.Compare(x.Start, y.Start) })
	return out, nil
}

// differ compares content.
type differ struct {
	a, b    *Disk
	p, q    []byte
	changed []freemap.Range
	done    int64
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
			c.changed = freemap.Append(c.changed, r.Start+uint64(at/freemap.SectorBytes), r.Start+uint64(end/freemap.SectorBytes))
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
