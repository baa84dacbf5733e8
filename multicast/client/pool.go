package client

import (
	"context"
	"sync"
	"time"

	"hyzer/imaging/manifest"
	"hyzer/multicast/fec"
	"hyzer/multicast/wire"
)

// written is a chunk that the sink is done with, or not.
type written struct {
	chunk Chunk
	slot  int // of the spill that it came from, or -1
	err   error
}

// work is a chunk, and what to check it by.
type work struct {
	chunk    Chunk
	manifest *manifest.Manifest // nil: nothing
}

// pool feeds the sink from a few goroutines.
type pool struct {
	work    chan work
	done    chan written
	cancel  context.CancelFunc
	workers sync.WaitGroup
	spill   *spill // nil: there is none
}

// newPool starts workers goroutines; both channels hold chunks elements, so
// that neither side waits for the other. wake is called after each chunk.
func newPool(ctx context.Context, sink Sink, workers, chunks int, sp *spill, wake func()) *pool {
	ctx, cancel := context.WithCancel(ctx)
	waiting := 0
	if sp != nil {
		waiting = sp.slots
	}
	p := &pool{
		work: make(chan work, chunks), done: make(chan written, chunks+waiting), cancel: cancel, spill: sp,
	}
	for range max(workers, 1) {
		p.workers.Go(func() {
			var code fec.Coder
			var buf []byte // for chunks that were spilled
			for {
				w, slot, err := p.next(ctx, &buf)
				switch {
				case ctx.Err() != nil:
					return
				case err == nil:
					err = deliver(ctx, sink, &code, w)
				}
				p.done <- written{w.chunk, slot, err}
				wake()
			}
		})
	}
	if sp != nil {
		p.workers.Go(func() { sp.run(wake) })
	}
	return p
}

// next returns the next chunk for the sink, those in memory first, and the slot
// of the spill that it comes from, or -1.
func (p *pool) next(ctx context.Context, buf *[]byte) (work, int, error) {
	select {
	case w := <-p.work:
		return w, -1, nil
	default:
	}
	var back chan spilled
	if p.spill != nil {
		back = p.spill.back
	}
	select {
	case w := <-p.work:
		return w, -1, nil
	case c := <-back:
		if *buf == nil {
			*buf = make([]byte, wire.ChunkBytes)
		}
		w, err := p.spill.read(c, *buf)
		return w, c.slot, err
	case <-ctx.Done():
		return work{}, -1, ctx.Err()
	}
}

// deliver completes a chunk, checks it, and hands it to the sink.
func deliver(ctx context.Context, sink Sink, code *fec.Coder, w work) error {
	if err := w.chunk.Restore(code); err != nil {
		return err
	}
	if err := examine(w.manifest, w.chunk); err != nil {
		return err
	}
	return sink.Chunk(ctx, w.chunk.Index, w.chunk.Data)
}

// close stops the workers and waits for them; what is queued is dropped.
func (p *pool) close() {
	p.cancel()
	if p.spill != nil {
		close(p.spill.write)
		defer p.spill.file.Close()
	}
	p.workers.Wait()
}

// meter tells the progress.
type meter struct {
	tell      func(Progress)
	every     time.Duration
	start     time.Time
	last      time.Time
	lastBytes int64
	written   int64
}

func (m *meter) tick(r *Reception, now time.Time) {
	every := m.every
	if every <= 0 {
		every = progressEveryDefault
	}
	if now.Sub(m.last) >= every {
		m.report(r, now)
	}
}

func (m *meter) report(r *Reception, now time.Time) {
	geo, joined := r.Joined()
	if m.tell == nil || !joined {
		return
	}
	p := Progress{
		ChunksReceived: r.done.count, ChunksWritten: r.out, Chunks: geo.Chunks(),
		FileBytes: geo.FileBytes(), Elapsed: now.Sub(m.start),
	}
	p.BytesReceived = min(int64(r.done.count)*int64(geo.ChunkLen(0)), geo.FileBytes())
	if d := now.Sub(m.last).Seconds(); d > 0 {
		p.BytesPerSec = float64(p.BytesReceived-m.lastBytes) / d
	}
	m.last, m.lastBytes = now, p.BytesReceived
	m.tell(p)
}
