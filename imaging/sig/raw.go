package sig

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"

	"hyzer/imaging/internal/tool"
	"hyzer/imaging/ndz"
)

// Compare holds all data of an image of size bytes against dev, byte by byte,
// and returns the blocks that differ, without hashes, in order, and how many
// blocks there are. Blocks are as opts cut them.
func Compare(ctx context.Context, src io.ReaderAt, size int64, dev io.ReaderAt, opts HashOptions) (bad []Mismatch, total int, err error) {
	info, err := ndz.Info(src, size)
	if err != nil {
		return nil, 0, err
	}
	opts.Decode.AsStored = true
	f := opts.file()
	var mu sync.Mutex
	err = ndz.Each(ctx, src, info.Chunks, tool.Workers(opts.Workers), opts.Decode, func(i int, _ *ndz.Header, d *ndz.Decoder) error {
		c := rawChunk{f: f, dev: dev, index: i}
		err := d.Emit(c.run)
		mu.Lock()
		defer mu.Unlock()
		bad, total = append(bad, c.bad...), total+c.total
		return err
	})
	slices.SortFunc(bad, func(a, b Mismatch) int { return cmp.Compare(a.Start, b.Start) })
	return bad, total, err
}

// rawChunk compares one chunk.
type rawChunk struct {
	f     *File
	dev   io.ReaderAt
	index int
	buf   []byte
	bad   []Mismatch
	total int
}

func (c *rawChunk) run(offset int64, data []byte) error {
	for len(data) > 0 {
		start := uint64(offset) / ndz.SectorBytes
		n := min(int64(len(data)), int64(c.f.BlockEnd(start))*ndz.SectorBytes-offset)
		c.buf = slices.Grow(c.buf[:0], int(n))[:n]
		if got, err := c.dev.ReadAt(c.buf, offset); got < len(c.buf) {
			return fmt.Errorf("%w at byte %d: %w", errDevice, offset+int64(got), err)
		}
		c.total++
		if !bytes.Equal(c.buf, data[:n]) {
			c.bad = append(c.bad, Mismatch{Record: Record{Start: start, Size: uint64(n) / ndz.SectorBytes, Chunk: c.index}})
		}
		data, offset = data[n:], offset+n
	}
	return nil
}
