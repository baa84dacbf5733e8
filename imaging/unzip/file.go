package unzip

import (
	"context"
	"fmt"
	"io"
	"sync"

	"hyzer/imaging/ndz"
)

// File restores an image of size bytes. All its headers are read and checked
// first, so an image that is cut short or does not fit touches nothing. The
// target is finished, also if the restore fails half-way.
func File(ctx context.Context, src io.ReaderAt, size int64, target Target, opts Options) (Stats, error) {
	info, err := ndz.Info(src, size)
	if err != nil {
		return Stats{}, err
	}
	if err := checkSize(target, opts, info.DataLast); err != nil {
		return Stats{}, err
	}
	if err := checkDelta(ctx, target, opts, info.Mark); err != nil {
		return Stats{}, err
	}
	if err := opts.checkSize(size); err != nil {
		return Stats{}, err
	}
	opts.Chunks = info.Chunks
	w, err := NewWriter(target, opts)
	if err != nil {
		return Stats{}, err
	}
	w.base = info.Mark
	err = feed(ctx, src, info.Chunks, opts.workers(), w.Chunk)
	stats, closeErr := w.Close()
	if err == nil {
		err = closeErr
	}
	return stats, err
}

// feed reads the chunks on several goroutines and passes them to put. The
// first error stops all of them.
func feed(ctx context.Context, src io.ReaderAt, chunks, workers int, put func(context.Context, int, []byte) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(workers, chunks) {
		wg.Go(func() {
			buf := make([]byte, ndz.ChunkBytes)
			for i := range next {
				if err := feedOne(ctx, src, i, buf, put); err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := 0; i < chunks && ctx.Err() == nil; i++ {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	wg.Wait()
	return context.Cause(ctx)
}

func feedOne(ctx context.Context, src io.ReaderAt, i int, buf []byte, put func(context.Context, int, []byte) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if n, err := src.ReadAt(buf, int64(i)*ndz.ChunkBytes); n < len(buf) {
		return fmt.Errorf("reading chunk %d: %w", i, err)
	}
	return put(ctx, i, buf)
}
