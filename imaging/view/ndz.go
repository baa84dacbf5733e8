package view

import (
	"fmt"
	"io"
	"sync"

	"hyzer/imaging/ndz"
)

// ndzChunks reads images of V1 to V5.
type ndzChunks struct {
	src    io.ReaderAt
	count  int
	opts   ndz.DecodeOptions
	spares sync.Pool // of *ndzDecoder
}

type ndzDecoder struct {
	*ndz.Decoder
	buf []byte
}

func (m *Image) openNDZ(src io.ReaderAt, size int64, opts ndz.DecodeOptions) (err error) {
	if m.sum, err = ndz.Info(src, size); err != nil {
		return err
	}
	opts.AsStored, opts.Placement = true, ndz.Placement{}
	c := &ndzChunks{src: src, count: m.sum.Chunks, opts: opts}
	m.chunks = c
	return c.headers(func(i int, h *ndz.Header) {
		at := int64(0)
		for _, r := range h.Regions {
			n := int64(r.Size) * ndz.SectorBytes
			m.add(extent{int64(r.Start) * ndz.SectorBytes, n, i, at})
			at += n
		}
	})
}

// headers reads the head of every chunk.
func (c *ndzChunks) headers(fn func(i int, h *ndz.Header)) error {
	buf := make([]byte, ndz.HeaderAreaBytes)
	for i := range c.count {
		if n, err := c.src.ReadAt(buf, int64(i)*ndz.ChunkBytes); n < len(buf) {
			return fmt.Errorf("chunk %d: %w", i, err)
		}
		h, err := ndz.ParseHeader(buf)
		if err != nil {
			return ndz.InChunk(err, i)
		}
		fn(i, h)
	}
	return nil
}

func (c *ndzChunks) relocs() (out []ndz.Reloc, err error) {
	err = c.headers(func(_ int, h *ndz.Header) { out = append(out, h.Relocs...) })
	return out, err
}

func (c *ndzChunks) stream(i int, fn func(ndz.Run) error) error {
	d, _ := c.spares.Get().(*ndzDecoder)
	if d == nil {
		dec, err := ndz.NewDecoder(c.opts)
		if err != nil {
			return err
		}
		d = &ndzDecoder{dec, make([]byte, ndz.ChunkBytes)}
	}
	defer c.spares.Put(d)
	if err := ndz.ReadChunk(c.src, i, d.buf); err != nil {
		return err
	}
	if _, err := d.Decode(d.buf); err != nil {
		return ndz.InChunk(err, i)
	}
	return d.Runs(fn)
}
