package client

import (
	"context"
	"sync"
	"time"

	"hyzer/imaging/manifest"
	"hyzer/multicast/fec"
)

// written is a chunk that the sink is done with, or not.
type written struct {
	chunk Chunk
	err   error
}

// work is a chunk, and what to check it by.
type work struct {
	chunk    Chunk
	manifest *manifest.Manifest // nil: nothing
}

// pool feeds the sink from a few goroutines.
type pool struct {
	code    *fec.Code
	work    chan work
	done    chan written
	cancel  context.CancelFunc
	workers sync.WaitGroup
	warmed  bool
}

// newPool starts workers goroutines; both channels hold chunks elements, so
// that neither side waits for the other. wake is called after each chunk.
func newPool(ctx context.Context, sink Sink, workers, chunks int, wake func()) *pool {
	ctx, cancel := context.WithCancel(ctx)
	p := &pool{code: new(fec.Code), work: make(chan work, chunks), done: make(chan written, chunks), cancel: cancel}
	for range max(workers, 1) {
		p.workers.Go(func() {
			for w := range p.work {
				if ctx.Err() != nil {
					continue
				}
				p.done <- written{w.chunk, deliver(ctx, sink, p.code, w)}
				wake()
			}
		})
	}
	return p
}

// warm makes the code ready while the first chunk with parity comes in.
func (p *pool) warm() {
	if !p.warmed {
		p.warmed = true
		p.workers.Go(p.code.Warm)
	}
}

// deliver completes a chunk, checks it, and hands it to the sink.
func deliver(ctx context.Context, sink Sink, code *fec.Code, w work) error {
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
	close(p.work)
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
