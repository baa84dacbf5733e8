package unzip

import (
	"context"
	"io"

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
	if err := w.expect(info.EndBytes); err != nil {
		return Stats{}, err
	}
	err = ndz.EachChunk(ctx, src, info.Chunks, opts.workers(), func() (ndz.ChunkFunc, error) { return w.Chunk, nil })
	stats, closeErr := w.Close()
	if err == nil {
		err = closeErr
	}
	return stats, err
}
