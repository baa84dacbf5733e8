package zip

import (
	"context"
	"fmt"
	"io"
	"sort"
	"sync"
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
	c := &comparison{disk: stored{src, layout}, full: &sig.File{Type: base.Type, BlockSectors: base.BlockSectors}}
	for _, h := range base.Records {
		if h.End() > layout.Sectors || len(freemap.Overlap(layout.Data, freemap.Range{Start: h.Start, End: h.End()})) == 0 {
			continue // freed, or beyond a disk that has shrunk
		}
		c.old = append(c.old, h)
	}
	if c.now, err = c.hash(ctx, c.old, workers); err != nil {
		return nil, nil, err
	}
	changed = c.changed(layout)
	layout.Hashes = c.stats(layout, base, changed)
	layout.Hashes.Elapsed = time.Since(start)
	for _, r := range layout.Data {
		for s := r.Start; s < r.End; s = c.full.BlockEnd(s) {
			c.full.Records = append(c.full.Records, sig.Record{Start: s, Size: min(r.End, c.full.BlockEnd(s)) - s})
		}
	}
	return changed, c.full, c.sign(ctx, workers)
}

// comparison is one run of Compare.
type comparison struct {
	disk stored
	old  []sig.Record // of the base, those still in use
	now  []sig.Record // their extents, as they are on the disk
	full *sig.File
}

// hash returns the records with the hash of what is on the disk.
func (c *comparison) hash(ctx context.Context, records []sig.Record, workers int) ([]sig.Record, error) {
	out := append([]sig.Record(nil), records...)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for k := range workers {
		wg.Go(func() {
			var buf []byte
			for i := k; i < len(out) && ctx.Err() == nil; i += workers {
				sum, err := sig.HashRange(c.disk, c.full.Type, out[i].Start, out[i].Size, &buf)
				if err != nil {
					cancel(err)
				}
				out[i].Hash = sum
			}
		})
	}
	wg.Wait()
	return out, context.Cause(ctx)
}

// changed is the data outside all unchanged records. Sectors that must be
// relocated always count as changed.
func (c *comparison) changed(layout *Layout) []freemap.Range {
	var same []freemap.Range
	for i, h := range c.old {
		if h.Hash == c.now[i].Hash && !layout.relocates(h.Start, h.End()) {
			same = freemap.Append(same, h.Start, h.End())
		}
	}
	return freemap.Subtract(layout.Data, same)
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

// sign fills in the full signature, reusing hashes of equal extents.
func (c *comparison) sign(ctx context.Context, workers int) error {
	var missing []sig.Record
	var at []int
	for i, r := range c.full.Records {
		k := sort.Search(len(c.now), func(k int) bool { return c.now[k].Start >= r.Start })
		if k < len(c.now) && c.now[k].Start == r.Start && c.now[k].Size == r.Size {
			c.full.Records[i].Hash = c.now[k].Hash
			continue
		}
		missing, at = append(missing, r), append(at, i)
	}
	hashed, err := c.hash(ctx, missing, workers)
	for k, i := range at {
		if err == nil {
			c.full.Records[i].Hash = hashed[k].Hash
		}
	}
	return err
}

// delta replaces the layout's data by what differs from opts.Base, unless that
// is more than opts.FullPercent of it, and returns the signature of all data. If
// nothing differs it leaves one sector.
func (l *Layout) delta(ctx context.Context, src Source, opts Options) (*sig.File, error) {
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
