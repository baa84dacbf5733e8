package zip

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"

	"hyzer/imaging/freemap"
	"hyzer/imaging/internal/deflate"
	"hyzer/imaging/internal/tool"
	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
)

// unitsAhead is how many units may wait for the packer beside those being
// worked on.
const unitsAhead = 2

// readers are how many workers read data, a unit each, and how many units may be
// ahead of them.
type readers struct{ workers, ahead int }

// largeBlockSectors bounds the hash blocks that are worked on at once: a unit
// holds a whole one.
const largeBlockSectors = tool.WorkersMax * unitBytesMax / sectorBytes

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
	stats, err := Write(ctx, src, layout, out, opts)
	if err == nil && src.changed() {
		opts.warn([]string{"source was written to while the image was made: it may be half in one state and half in the other"})
	}
	return stats, err
}

// Write makes an image of what layout says is in use.
func Write(ctx context.Context, src Source, layout *Layout, out io.Writer, opts Options) (Stats, error) {
	o := newOutput(layout, out, opts)
	in := &input{src: src, layout: layout, align: sig.BlockSectorsDefault}
	if sign := opts.Signature; sign != nil {
		if sign.Type == 0 {
			sign.Type, sign.BlockSectors = sig.SHA1, sig.BlockSectorsDefault
		}
		if opts.Base != nil {
			o.pending.read(sign) // made, but for the chunks
		} else {
			in.sign, in.align = sign, sign.BlockSectors
		}
		opts.Signature.Reset()
	}
	write := o.writeOld
	if opts.version() == ndz.V5 {
		write = o.writeFive
	}
	if err := write(ctx, in); err != nil {
		return o.stats, err
	}
	return o.stats, o.finish()
}

// writeOld makes chunks of V1 to V4.
func (o *output) writeOld(ctx context.Context, in *input) error {
	p, err := newPacker(o)
	if err != nil {
		return err
	}
	err = in.each(ctx, in.layout.Data, readers{in.workers(o.opts.workers()), unitsAhead}, p, func(u *unit) error {
		o.pending.records = append(o.pending.records, u.records...)
		return p.unit(u)
	})
	if err != nil {
		return err
	}
	return p.finish()
}

// input is what pipelines read.
type input struct {
	src    Source
	layout *Layout
	sign   *sig.File // nil: do not hash
	align  uint64    // sectors, on which units are cut
}

// workers is how many of n may work at once.
func (in *input) workers(n int) int {
	if in.sign != nil {
		n = max(1, min(n, int(largeBlockSectors/in.sign.BlockSectors)))
	}
	return n
}

// each gives the units of data to fn, in order, while workers work ahead.
func (in *input) each(ctx context.Context, data []freemap.Range, r readers, f format, fn func(*unit) error) error {
	line, err := newPipeline(ctx, in, r, f)
	if err != nil {
		return err
	}
	defer line.stop()
	go line.plan(&planner{data: slices.Clone(data), align: in.align, joined: in.layout.joined()})
	for u := range line.order {
		<-u.done
		if u.err != nil {
			return u.err
		}
		if err := fn(u); err != nil {
			return err
		}
		line.free <- u
	}
	return ctx.Err()
}

func newOutput(layout *Layout, out io.Writer, opts Options) *output {
	o := &output{out: out, opts: opts, layout: layout}
	o.stats.FreeBytes = int64(layout.Sectors) * sectorBytes
	for _, r := range layout.Data {
		o.stats.FreeBytes -= int64(r.Sectors()) * sectorBytes
	}
	return o
}

func newPacker(o *output) (*packer, error) {
	opts := o.opts
	z, err := deflate.New(opts.level())
	if err != nil {
		return nil, err
	}
	v := opts.version()
	if err := o.layout.old(opts); err != nil {
		return nil, err
	}
	if v == ndz.V1 && len(o.layout.Relocs) > 0 {
		return nil, fmt.Errorf("the source needs relocations, which V1 images cannot have")
	}
	s, err := ndz.NewSealer(ndz.SealOptions{Version: v, ImageID: opts.ImageID, Key: opts.Key, Checksum: opts.Checksum, Sign: opts.Sign})
	if err != nil {
		return nil, err
	}
	p := &packer{output: o, sealer: s, z: z}
	p.open()
	return p, nil
}

// finish writes the last chunk, which covers the rest of the disk.
func (p *packer) finish() error {
	if p.input == 0 {
		return nil
	}
	return p.close(p.layout.Sectors)
}

// pipeline owns the goroutines that read and work ahead.
type pipeline struct {
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	free   chan *unit
	work   chan *unit
	order  chan *unit
}

func newPipeline(ctx context.Context, in *input, r readers, f format) (*pipeline, error) {
	n := r.workers + r.ahead
	l := &pipeline{free: make(chan *unit, n), work: make(chan *unit, n), order: make(chan *unit, n)}
	l.ctx, l.cancel = context.WithCancel(ctx)
	for range cap(l.free) {
		l.free <- &unit{}
	}
	for range r.workers {
		press, err := f.press()
		if err != nil {
			close(l.work)
			l.stop()
			return nil, err
		}
		w := &worker{input: in, press: press}
		l.wg.Go(func() {
			for u := range l.work {
				w.run(u)
			}
		})
	}
	l.wg.Add(1) // plan
	return l, nil
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
