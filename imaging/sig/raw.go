package sig

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"

	"hyzer/imaging/internal/tool"
	"hyzer/imaging/ndz"
)

// Compare holds all data of an image of size bytes against dev, byte by byte,
// in blocks as opts cut them. each, if not nil, gets the blocks that differ,
// without hashes, in order, one call at a time. Its error ends everything.
func Compare(ctx context.Context, src io.ReaderAt, size int64, dev io.ReaderAt, opts HashOptions, each func(Mismatch) error) (Checked, error) {
	info, err := ndz.Info(src, size)
	if err != nil {
		return Checked{}, err
	}
	opts.Decode.AsStored = true
	out := &compared{each: each}
	err = ndz.EachChunk(ctx, src, info.Chunks, tool.Workers(opts.Workers), func() (ndz.ChunkFunc, error) {
		d, err := ndz.NewDecoder(opts.Decode)
		c := rawChunk{f: opts.file(), dev: dev, out: out}
		return func(ctx context.Context, i int, chunk []byte) error {
			if _, err := d.Decode(chunk); err != nil {
				return ndz.InChunk(err, i)
			}
			return c.compare(ctx, i, d)
		}, err
	})
	return out.found, err
}

// compared is what the chunks before the one whose turn it is have come to.
type compared struct {
	turns turns
	found Checked
	each  func(Mismatch) error
}

// add counts the blocks of the chunk whose turn it is.
func (c *compared) add(blocks int, bad []Mismatch) error {
	c.found.Records += blocks
	for _, m := range bad {
		if c.found.Bad == 0 {
			c.found.First = m
		}
		c.found.Bad++
		if c.each == nil {
			continue
		}
		if err := c.each(m); err != nil {
			return err
		}
	}
	return nil
}

// heldBlocksMax bounds the blocks that differ of a chunk whose turn it is not;
// a chunk of zeros can have millions.
const heldBlocksMax = 1 << 12

// rawChunk compares one chunk after the other.
type rawChunk struct {
	f   *File
	dev io.ReaderAt
	out *compared
	buf []byte

	index  int
	turn   bool // the chunks before are done
	bad    []Mismatch
	blocks int // since the last flush
}

func (c *rawChunk) compare(ctx context.Context, index int, d *ndz.Decoder) error {
	c.index, c.turn = index, false
	if err := d.Emit(func(offset int64, data []byte) error { return c.run(ctx, offset, data) }); err != nil {
		return err
	}
	if err := c.flush(ctx); err != nil {
		return err
	}
	c.out.turns.pass()
	return nil
}

func (c *rawChunk) run(ctx context.Context, offset int64, data []byte) error {
	for len(data) > 0 {
		start := uint64(offset) / ndz.SectorBytes
		n := min(int64(len(data)), int64(c.f.BlockEnd(start))*ndz.SectorBytes-offset)
		c.buf = slices.Grow(c.buf[:0], int(n))[:n]
		if got, err := c.dev.ReadAt(c.buf, offset); got < len(c.buf) {
			return fmt.Errorf("%w at byte %d: %w", errDevice, offset+int64(got), err)
		}
		c.blocks++
		if !bytes.Equal(c.buf, data[:n]) {
			c.bad = append(c.bad, Mismatch{Record: Record{Start: start, Size: uint64(n) / ndz.SectorBytes, Chunk: c.index}})
		}
		if len(c.bad) == heldBlocksMax {
			if err := c.flush(ctx); err != nil {
				return err
			}
		}
		data, offset = data[n:], offset+n
	}
	return nil
}

// flush tells what was found, when it is this chunk's turn.
func (c *rawChunk) flush(ctx context.Context) error {
	if !c.turn {
		if err := c.out.turns.wait(ctx, c.index); err != nil {
			return err
		}
		c.turn = true
	}
	err := c.out.add(c.blocks, c.bad)
	c.bad, c.blocks = c.bad[:0], 0
	return err
}
