package ndz

import (
	"context"
	"fmt"
	"io"
	"sync"
)

// Each decodes the chunks [0, chunks) of the image in src on several
// goroutines and calls fn for each, as EachChunk does. fn may use the Decoder
// until it returns.
func Each(ctx context.Context, src io.ReaderAt, chunks, workers int, opts DecodeOptions,
	fn func(i int, h *Header, d *Decoder) error) error {
	return EachChunk(ctx, src, chunks, workers, func() (ChunkFunc, error) {
		d, err := NewDecoder(opts)
		return func(_ context.Context, i int, chunk []byte) error {
			h, err := d.Decode(chunk)
			if err != nil {
				return InChunk(err, i)
			}
			return fn(i, h, d)
		}, err
	})
}

// ChunkFunc does something to chunk i of an image, which is valid until it
// returns.
type ChunkFunc func(ctx context.Context, i int, chunk []byte) error

// EachChunk reads the chunks [0, chunks) of the image in src on several
// goroutines, each of which has a function of its own from newWorker, and calls
// that, in no order. The first error stops everything. No chunk is begun more
// than aheadOfWorkers chunks for each worker after one that is not done.
func EachChunk(ctx context.Context, src io.ReaderAt, chunks, workers int, newWorker func() (ChunkFunc, error)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	next := make(chan int)
	ahead := newWindow(workers * aheadOfWorkers)
	for range min(workers, chunks) {
		work, err := newWorker()
		if err != nil {
			cancel(err)
			break
		}
		wg.Go(func() {
			buf := make([]byte, ChunkBytes)
			for i := range next {
				if ctx.Err() != nil {
					continue
				}
				if err := readAnd(ctx, src, i, buf, work); err != nil {
					cancel(err)
				}
				ahead.finish(i)
			}
		})
	}
	for i := 0; i < chunks && ahead.enter(ctx); i++ {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	wg.Wait()
	return context.Cause(ctx)
}

func readAnd(ctx context.Context, src io.ReaderAt, i int, buf []byte, work ChunkFunc) error {
	if err := ReadChunk(src, i, buf); err != nil {
		return err
	}
	return work(ctx, i, buf)
}

// aheadOfWorkers is how far workers may run ahead of the slowest of them.
const aheadOfWorkers = 4

// window lets work be done out of order, but not too far.
type window struct {
	room chan struct{}
	mu   sync.Mutex
	done map[int]bool
	next int // the first that is not done
}

func newWindow(n int) *window {
	return &window{room: make(chan struct{}, n), done: map[int]bool{}}
}

// enter waits for the next to be within the window; false: ctx ended.
func (w *window) enter(ctx context.Context) bool {
	select {
	case w.room <- struct{}{}:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

func (w *window) finish(i int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.done[i] = true; w.done[w.next]; w.next++ {
		delete(w.done, w.next)
		<-w.room
	}
}

// ReadChunk reads chunk i of the image in src into buf, ChunkBytes long.
func ReadChunk(src io.ReaderAt, i int, buf []byte) error {
	if n, err := src.ReadAt(buf[:ChunkBytes], int64(i)*ChunkBytes); n < ChunkBytes {
		return fmt.Errorf("reading chunk %d: %w", i, err)
	}
	return nil
}
