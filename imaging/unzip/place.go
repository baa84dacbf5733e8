package unzip

import (
	"context"
	"encoding/binary"

	"hyzer/imaging/ndz"
)

// place writes one decoded chunk where it belongs.
type place struct {
	w     *Writer
	h     *ndz.Header
	kept  bool // the target has the data
	stats Stats
	run   run // not yet written
}

func (p *place) write(ctx context.Context, d *ndz.Decoder) error {
	if p.w.opts.ZeroFill {
		if err := p.zeroGaps(ctx); err != nil {
			return err
		}
	} else {
		p.stats.SkippedBytes = int64(p.h.Last-p.h.First)*ndz.SectorBytes - p.h.DataBytes()
	}
	if p.kept {
		p.stats.KeptChunks, p.stats.KeptBytes = 1, p.h.DataBytes()
		return nil
	}
	err := d.Runs(func(r ndz.Run) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if r.Data == nil {
			return p.zeros(r.Offset, r.Zeros)
		}
		if err := p.data(r.Offset, r.Data); err != nil || r.Stays {
			return err
		}
		return p.flush()
	})
	if err == nil {
		err = p.flush()
	}
	if f, ok := p.w.target.(flusher); ok && err == nil {
		f.startFlush(p.base()+int64(p.h.First)*ndz.SectorBytes, int64(p.h.Last-p.h.First)*ndz.SectorBytes)
	}
	return err
}

// flusher is a target that can begin to write to the disk what it holds in
// memory, so that Finish has less to wait for.
type flusher interface {
	startFlush(offset, size int64)
}

// limit is the end of the partition the image goes into, in bytes from the
// image base, or -1.
func (p *place) limit() int64 {
	if pl := p.w.opts.Decode.Placement; pl.InPartition() {
		return int64(pl.Size) * ndz.SectorBytes
	}
	return -1
}

func (p *place) base() int64 {
	return int64(p.w.opts.Decode.Placement.Start) * ndz.SectorBytes
}

// clip is how much of size bytes at offset lies in the partition.
func (p *place) clip(offset, size int64) int64 {
	limit := p.limit()
	if limit < 0 {
		return size
	}
	keep := max(0, min(size, limit-offset))
	p.stats.ClippedBytes += size - keep
	return keep
}

// zeros writes data that is zero, and that the target need not have room for.
func (p *place) zeros(offset, size int64) error {
	return p.each(offset, p.clip(offset, size), func(from, to int64) error {
		p.stats.WrittenBytes += to - from
		p.stats.WriteRequests++
		return p.w.target.Zero(p.base()+from, to-from)
	})
}

// each calls fn for what of a run is not kept.
func (p *place) each(offset, size int64, fn func(from, to int64) error) error {
	kept, err := p.w.unkept(offset, size, fn)
	p.stats.KeptBytes += kept
	return err
}

// data adds to the run to be written what goes on with it.
func (p *place) data(offset int64, data []byte) error {
	return p.each(offset, p.clip(offset, int64(len(data))), func(from, to int64) error {
		piece := data[from-offset : to-offset]
		if p.run.add(p.base()+from, piece) {
			return nil
		}
		if err := p.flush(); err != nil {
			return err
		}
		p.run.add(p.base()+from, piece)
		return nil
	})
}

// flush writes the run.
func (p *place) flush() error {
	if len(p.run.pieces) == 0 {
		return nil
	}
	n, err := p.run.writeTo(p.w.target)
	p.stats.WrittenBytes += n
	p.stats.WriteRequests++
	p.run.pieces = p.run.pieces[:0]
	return err
}

// zeroGaps zeroes the sectors that the chunk covers but has no data for.
func (p *place) zeroGaps(ctx context.Context) error {
	at := p.h.First
	for _, r := range p.h.Regions {
		if err := p.zero(ctx, at, r.Start); err != nil {
			return err
		}
		at = r.End()
	}
	return p.zero(ctx, at, p.h.Last)
}

func (p *place) zero(ctx context.Context, from, to uint64) error {
	offset, end := int64(from)*ndz.SectorBytes, int64(to)*ndz.SectorBytes
	if limit := p.limit(); limit >= 0 {
		end = min(end, limit)
	}
	if size := p.w.target.SizeBytes(); size >= 0 {
		end = min(end, size-p.base())
	}
	if end <= offset {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := p.w.unkept(offset, end-offset, func(from, to int64) error {
		p.stats.ZeroedBytes += to - from
		p.stats.ZeroRequests++
		return p.w.fill(p.base()+from, to-from)
	})
	return err
}

// fillBytes is how much of a pattern is written at a time.
const fillBytes = 256 << 10

// fill makes free space zero, or what the pattern says.
func (w *Writer) fill(offset, size int64) error {
	if w.opts.Pattern == 0 {
		return w.target.Zero(offset, size)
	}
	words := make([]byte, min(size, fillBytes)) // sectors are whole words
	for i := 0; i < len(words); i += 4 {
		binary.LittleEndian.PutUint32(words[i:], w.opts.Pattern)
	}
	for size > 0 {
		n, err := w.target.WriteAt(words[:min(size, int64(len(words)))], offset)
		if err != nil {
			return err
		}
		offset, size = offset+int64(n), size-int64(n)
	}
	return nil
}
