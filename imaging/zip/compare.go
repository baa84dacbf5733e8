package zip

import (
	"context"
	"fmt"
	"io"
	"time"

	"hyzer/imaging/freemap"
	"hyzer/imaging/sig"
)

// stored reads the source as the image has it: from the base on, free space
// wiped and labels patched.
type stored struct {
	src    Source
	layout *Layout
}

// ReadAt reads whole sectors.
func (s stored) ReadAt(p []byte, offset int64) (int, error) {
	at := int64(s.layout.Base)*sectorBytes + offset
	n, err := s.src.ReadAt(p, at)
	if n < len(p) && err == io.EOF && at+int64(n) == s.src.Bytes {
		clear(p[n:]) // of the last sector of a file
		n, err = len(p), nil
	}
	start := uint64(offset) / sectorBytes
	s.layout.change(p[:n], freemap.Range{Start: start, End: start + uint64(n/sectorBytes)})
	return n, err
}

// Compare finds what of the layout's data is not as the signature base says
// (spec ndz, 5.1), and makes the signature full of all data, hashed as base
// is. The granularity of changed is base's records. It sets layout.Hashes.
func Compare(ctx context.Context, src Source, layout *Layout, base *sig.File, workers int) (changed []freemap.Range, full *sig.File, err error) {
	start := time.Now()
	c := &comparison{disk: stored{src, layout}, layout: layout, workers: workers,
		now:   &sig.File{Type: base.Type, BlockSectors: base.BlockSectors},
		stats: HashStats{BlockSectors: base.BlockSectors, Current: freemap.Total(layout.Data)}}
	if err := c.compare(ctx, base); err != nil {
		return nil, nil, err
	}
	changed = freemap.Subtract(layout.Data, c.same)
	c.stats.Modified = freemap.Total(changed) - (c.stats.Current - c.stats.Common)
	c.stats.Elapsed = time.Since(start)
	layout.Hashes = &c.stats
	full, err = c.sign(ctx)
	return changed, full, err
}

// comparison is one run of Compare.
type comparison struct {
	disk    stored
	layout  *Layout
	workers int
	stats   HashStats
	now     *sig.File       // the records of the base that are still in use, as they are on the disk
	same    []freemap.Range // of those that are unchanged
}

// compare hashes what the base has and is still in use.
func (c *comparison) compare(ctx context.Context, base *sig.File) error {
	old := base.From(0)
	next := func() (sig.Extent, bool, error) {
		for old.Next() {
			h := old.Record()
			c.stats.Original += h.Size
			if h.End() <= c.layout.Sectors && len(freemap.Overlap(c.layout.Data, freemap.Range{Start: h.Start, End: h.End()})) > 0 {
				return sig.Extent{Record: h}, true, nil
			} // else freed, or beyond a disk that has shrunk
		}
		return sig.Extent{}, false, old.Err()
	}
	return sig.HashAll(ctx, c.disk, base.Type, c.workers, next, func(h sig.Record, sum [sig.HashBytes]byte) error {
		// Sectors that must be relocated always count as changed.
		moved := c.layout.relocates(h.Start, h.End())
		c.stats.count(c.layout, h, h.Hash == sum, moved)
		if h.Hash == sum && !moved {
			c.same = freemap.Append(c.same, h.Start, h.End())
		}
		h.Hash = sum
		return c.now.Append(h)
	})
}

// relocates tells whether any relocation or patch is in the sectors.
func (l *Layout) relocates(start, end uint64) bool {
	for _, r := range l.Relocs {
		if r.Sector >= start && r.Sector < end {
			return true
		}
	}
	for _, p := range l.Patches {
		if p.Sector >= start && p.Sector < end {
			return true
		}
	}
	return false
}

// sign makes the full signature, reusing hashes of equal extents.
func (c *comparison) sign(ctx context.Context) (*sig.File, error) {
	full := &sig.File{Type: c.now.Type, BlockSectors: c.now.BlockSectors}
	now := c.now.From(0)
	more := now.Next()
	blocks := full.Blocks(c.layout.Data)
	next := func() (sig.Extent, bool, error) {
		r, ok := blocks.Next()
		for ok && more && now.Record().Start < r.Start {
			more = now.Next()
		}
		if ok && more && now.Record().Start == r.Start && now.Record().Size == r.Size {
			r.Hash = now.Record().Hash
			return sig.Extent{Record: r, Known: true}, true, now.Err()
		}
		return sig.Extent{Record: r}, ok, now.Err()
	}
	err := sig.HashAll(ctx, c.disk, full.Type, c.workers, next, func(r sig.Record, sum [sig.HashBytes]byte) error {
		r.Hash = sum
		return full.Append(r)
	})
	return full, err
}

// delta replaces the layout's data by what differs from opts.Base, unless that
// is more than opts.FullPercent of it, and returns the signature of all data. If
// nothing differs it leaves one sector.
func (l *Layout) delta(ctx context.Context, src Source, opts Options) (*sig.File, error) {
	if opts.Base.Type == sig.MD5 && opts.Warn != nil {
		opts.Warn("signature has MD5 hashes: blocks that were made to have the same hash are taken for the same; use SHA-1")
	}
	changed, full, err := Compare(ctx, src, l, opts.Base, opts.workers())
	if err != nil {
		return nil, fmt.Errorf("comparing with the signature: %w", err)
	}
	all, some := freemap.Total(l.Data), freemap.Total(changed)
	l.Delta = opts.FullPercent == 0 || some*100 <= all*uint64(opts.FullPercent)
	l.FullSectors, l.DeltaSectors = all, some
	l.Mark.State = full.ID()
	if l.Delta {
		if len(changed) == 0 {
			changed = Least(l.Data, l.unit())
		}
		l.Data = changed
		l.Mark.Delta, l.Mark.Base = true, opts.Base.ID()
	}
	return full, nil
}

// Least is the least of data that an image can hold, its first sector: what a
// delta of nothing has, so that it restores like any other.
func Least(data []freemap.Range, bytes int) []freemap.Range {
	if len(data) == 0 {
		return nil
	}
	return []freemap.Range{{Start: data[0].Start, End: data[0].Start + uint64(bytes/sectorBytes)}}
}
