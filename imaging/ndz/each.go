package ndz

import (
	"context"
	"fmt"
	"io"
	"sync"
)

// Each decodes the chunks [0, chunks) of the image in src on several
// goroutines and calls fn for each, in no order. fn may use the Decoder until
// it returns. The first error stops everything.
func Each(ctx context.Context, src io.ReaderAt, chunks, workers int, opts DecodeOptions,
	fn func(i int, h *Header, d *Decoder) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(workers, chunks) {
		d, err := NewDecoder(opts)
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
				if err := decodeAt(src, i, buf, d, fn); err != nil {
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

func decodeAt(src io.ReaderAt, i int, buf []byte, d *Decoder, fn func(int, *Header, *Decoder) error) error {
	if err := ReadChunk(src, i, buf); err != nil {
		return err
	}
	h, err := d.Decode(buf)
	if err != nil {
		return InChunk(err, i)
	}
	return fn(i, h, d)
}

// ReadChunk reads chunk i of the image in src into buf, ChunkBytes long.
func ReadChunk(src io.ReaderAt, i int, buf []byte) error {
	if n, err := src.ReadAt(buf[:ChunkBytes], int64(i)*ChunkBytes); n < ChunkBytes {
		return fmt.Errorf("reading chunk %d: %w", i, err)
	}
	return nil
}
