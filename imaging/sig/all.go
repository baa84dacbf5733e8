package sig

import (
	"context"
	"fmt"
	"hash"
	"io"
	"sync"

	"hyzer/imaging/internal/sha1pair"
	"hyzer/imaging/internal/tool"
	"hyzer/imaging/ndz"
)

// Extent is a record to hash. Of one that is Known the hash is there already.
type Extent struct {
	Record
	Known bool
}

const (
	// batchRecords is how many records a worker takes at a time.
	batchRecords = 64
	// batchesAhead is how many batches there are for each worker.
	batchesAhead = 2
	// hashReadBytes is how much is read at a time.
	hashReadBytes = 1 << 20
)

// HashAll hashes the extents that next hands out, until that is false, as dev
// has them, on several goroutines. done gets each with its hash, in their
// order. next and done are called from the caller's goroutine.
func HashAll(ctx context.Context, dev io.ReaderAt, t HashType, nworkers int,
	next func() (Extent, bool, error), done func(r Record, sum [HashBytes]byte) error) error {
	workers := tool.Workers(nworkers)
	p := &pool{work: make(chan *batch, workers*batchesAhead)}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(p.work)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for range workers {
		wg.Go(func() {
			h := newHasher(dev, t)
			for b := range p.work {
				b.err = h.batch(ctx, b)
				close(b.ready)
			}
		})
	}
	for {
		b, err := p.fill(next)
		if b == nil || err != nil {
			return err
		}
		<-b.ready
		for i := 0; b.err == nil && i < len(b.extents); i++ {
			b.err = done(b.extents[i].Record, b.sums[i])
		}
		if b.err != nil {
			return b.err
		}
	}
}

// batch is what one worker does at a time.
type batch struct {
	extents []Extent
	sums    [][HashBytes]byte
	err     error
	ready   chan struct{}
}

// pool is the batches that are being worked on.
type pool struct {
	work  chan *batch
	queue []*batch // in order
	ended bool
}

// fill gives the workers what they have room for, and returns the first batch,
// nil after the last.
func (p *pool) fill(next func() (Extent, bool, error)) (*batch, error) {
	for !p.ended && len(p.queue) < cap(p.work) {
		b := &batch{ready: make(chan struct{})}
		for len(b.extents) < batchRecords && !p.ended {
			e, ok, err := next()
			if err != nil {
				return nil, err
			}
			if p.ended = !ok; ok {
				b.extents = append(b.extents, e)
			}
		}
		if len(b.extents) > 0 {
			p.queue = append(p.queue, b)
			p.work <- b
		}
	}
	if len(p.queue) == 0 {
		return nil, nil
	}
	b := p.queue[0]
	p.queue = p.queue[1:]
	return b, nil
}

// hasher hashes parts of a disk, reusing its memory.
type hasher struct {
	dev  io.ReaderAt
	kind HashType
	hash hash.Hash
	buf  []byte
}

func newHasher(dev io.ReaderAt, t HashType) *hasher {
	return &hasher{dev: dev, kind: t, hash: t.New(), buf: make([]byte, hashReadBytes)}
}

func (h *hasher) batch(ctx context.Context, b *batch) (err error) {
	b.sums = make([][HashBytes]byte, len(b.extents))
	for i := 0; i < len(b.extents); i++ {
		switch e := b.extents[i]; {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case e.Known:
			b.sums[i] = e.Hash
		case i+1 < len(b.extents) && h.pairs(e, b.extents[i+1]):
			b.sums[i], b.sums[i+1], err = h.pair(e.Record, b.extents[i+1].Record)
			i++
		default:
			err = h.sum(e.Record, &b.sums[i])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// pairs tells whether two extents can be hashed side by side.
func (h *hasher) pairs(e, f Extent) bool {
	return h.kind == SHA1 && !f.Known && e.Size == f.Size && e.Size <= hashReadBytes/2/ndz.SectorBytes
}

// pair hashes two records of one size, which fit into the buffer.
func (h *hasher) pair(r, s Record) (x, y [HashBytes]byte, err error) {
	n := int(r.Size) * ndz.SectorBytes
	p, q := h.buf[:n], h.buf[n:2*n]
	if r.End() == s.Start {
		err = h.read(Record{Start: r.Start, Size: 2 * r.Size}, h.buf[:2*n], 0)
	} else if err = h.read(r, p, 0); err == nil {
		err = h.read(s, q, 0)
	}
	if err == nil {
		x, y = sha1pair.Sum(p, q)
	}
	return x, y, err
}

func (h *hasher) sum(r Record, sum *[HashBytes]byte) error {
	h.hash.Reset()
	for at, size := int64(0), int64(r.Size)*ndz.SectorBytes; at < size; at += hashReadBytes {
		p := h.buf[:min(size-at, hashReadBytes)]
		if err := h.read(r, p, at); err != nil {
			return err
		}
		h.hash.Write(p)
	}
	h.hash.Sum(sum[:0])
	return nil
}

// read fills p from byte at of a record on.
func (h *hasher) read(r Record, p []byte, at int64) error {
	at += int64(r.Start) * ndz.SectorBytes
	if n, err := h.dev.ReadAt(p, at); n < len(p) {
		return fmt.Errorf("reading sectors [%d,%d) at byte %d: %w", r.Start, r.End(), at+int64(n), err)
	}
	return nil
}
