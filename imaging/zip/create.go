package zip

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"

	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
)

// unitsAhead is how many units may wait for the packer beside those being
// worked on.
const unitsAhead = 2

// Create makes an image of src and writes its chunks to out, in order.
func Create(ctx context.Context, src Source, out io.Writer, opts Options) (Stats, error) {
	layout, err := Analyze(src, opts)
	if err != nil {
		return Stats{}, err
	}
	opts.warn(layout.Warnings)
	if opts.Base != nil {
		full, err := layout.delta(ctx, src, opts)
		if err != nil {
			return Stats{}, err
		}
		if opts.Signature != nil {
			*opts.Signature = *full
		}
	}
	if opts.Chosen != nil {
		opts.Chosen(layout)
	}
	return Write(ctx, src, layout, out, opts)
}

// Write makes an image of what layout says is in use. A delta of nothing makes
// an image of no chunk.
func Write(ctx context.Context, src Source, layout *Layout, out io.Writer, opts Options) (Stats, error) {
	p, err := newPacker(layout, out, opts)
	if err != nil {
		return Stats{}, err
	}
	align := uint64(sig.BlockSectorsDefault)
	sign := opts.Signature
	if sign != nil {
		if sign.Type == 0 {
			sign.Type, sign.BlockSectors = sig.SHA1, sig.BlockSectorsDefault
		}
		align = sign.BlockSectors
		if opts.Base != nil {
			p.pending, sign = sign.Records, nil // made, but for the chunks
		}
		opts.Signature.Records = nil
	}
	line := newPipeline(ctx, src, layout, sign, opts)
	defer line.stop()
	go line.plan(&planner{data: append(layout.Data[:0:0], layout.Data...), align: align})
	for u := range line.order {
		<-u.done
		err := u.err
		if err == nil {
			p.pending = append(p.pending, u.records...)
			err = p.unit(u)
		}
		if err != nil {
			return p.stats, err
		}
		line.free <- u
	}
	if err := ctx.Err(); err != nil {
		return p.stats, err
	}
	return p.finish()
}

func newPacker(layout *Layout, out io.Writer, opts Options) (*packer, error) {
	z, err := newDeflater(opts.level())
	if err != nil {
		return nil, err
	}
	v := opts.version()
	if v == ndz.V1 && len(layout.Relocs) > 0 {
		return nil, fmt.Errorf("the source needs relocations, which V1 images cannot have")
	}
	s, err := ndz.NewSealer(ndz.SealOptions{Version: v, ImageID: opts.ImageID, Key: opts.Key, Checksum: opts.Checksum, Sign: opts.Sign})
	if err != nil {
		return nil, err
	}
	p := &packer{out: out, opts: opts, layout: layout, sealer: s, z: z}
	p.open()
	p.stats.FreeBytes = int64(layout.Sectors) * sectorBytes
	for _, r := range layout.Data {
		p.stats.FreeBytes -= int64(r.Sectors()) * sectorBytes
	}
	return p, nil
}

// finish writes the last chunk, which covers the rest of the disk.
func (p *packer) finish() (Stats, error) {
	if p.input > 0 {
		if err := p.close(p.layout.Sectors); err != nil {
			return p.stats, err
		}
	}
	if s := p.opts.Signature; s != nil { // of a delta without changes
		s.Records = append(s.Records, p.pending...)
	}
	return p.stats, nil
}

// deflateLevels are the compressor's levels for those of zlib: the one that
// makes about the same size.
func newDeflater(level int) (*flate.Writer, error) {
	levels := [...]int{0, 1, 2, 4, 6, 7, 7, 8, 8, 9}
	if level < 0 || level >= len(levels) {
		return nil, fmt.Errorf("compression level %d, want 0 to %d", level, len(levels)-1)
	}
	return flate.NewWriter(nil, levels[level])
}

// pipeline owns the goroutines of one image.
type pipeline struct {
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	free   chan *unit
	work   chan *unit
	order  chan *unit
}

func newPipeline(ctx context.Context, src Source, layout *Layout, sign *sig.File, opts Options) *pipeline {
	n := opts.workers()
	l := &pipeline{free: make(chan *unit, n+unitsAhead), work: make(chan *unit, n+unitsAhead), order: make(chan *unit, n+unitsAhead)}
	l.ctx, l.cancel = context.WithCancel(ctx)
	for range cap(l.free) {
		l.free <- &unit{}
	}
	for range n {
		z, _ := newDeflater(opts.level()) // newPacker has checked the level
		w := &worker{src: src, layout: layout, sign: sign, z: z}
		l.wg.Go(func() {
			for u := range l.work {
				w.run(u)
			}
		})
	}
	l.wg.Add(1) // plan
	return l
}

// plan hands out units until the data or the context ends.
func (l *pipeline) plan(p *planner) {
	defer l.wg.Done()
	defer close(l.work)
	defer close(l.order)
	for {
		select {
		case <-l.ctx.Done():
			return
		case u := <-l.free:
			if l.ctx.Err() != nil || !p.next(u) {
				return
			}
			u.done = make(chan struct{})
			l.work <- u
			l.order <- u
		}
	}
}

// stop ends the goroutines and waits for them.
func (l *pipeline) stop() {
	l.cancel()
	l.wg.Wait()
}
