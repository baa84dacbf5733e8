package unzip

import (
	"context"
	"fmt"
	"io"
	"sync"

	"hyzer/imaging/ndz"
)

// slot is what one chunk of a stream is worked on with.
type slot struct {
	buf     []byte
	decoder *ndz.Decoder
}

// Reader restores an image that comes as a stream, to a Target.
func Reader(ctx context.Context, src io.Reader, target Target, opts Options) (Stats, error) {
	w, err := NewWriter(target, opts)
	if err != nil {
		return Stats{}, err
	}
	var c ndz.Collector
	err = inOrder(ctx, src, opts, func(ctx context.Context, i int, s *slot, _ <-chan struct{}) error {
		return w.Chunk(ctx, i, s.buf)
	}, &c)
	stats, closeErr := w.Close()
	if err == nil {
		err = closeErr
	}
	return stats, err
}

// Stream restores an image to something that cannot seek. Free space becomes
// zeros, so a marked delta is refused. Chunks are decoded in parallel and written
// in their order.
func Stream(ctx context.Context, src io.Reader, dst io.Writer, opts Options) (Stats, error) {
	s := &sequence{dst: dst, opts: opts}
	var c ndz.Collector
	err := inOrder(ctx, src, opts, s.chunk, &c)
	return s.stats, err
}

// inOrder reads chunks and works on them in parallel; turn is closed when all
// chunks before i are done. The headers are checked in their order.
func inOrder(ctx context.Context, src io.Reader, opts Options,
	work func(ctx context.Context, i int, s *slot, turn <-chan struct{}) error, c *ndz.Collector) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	free := make(chan *slot, opts.workers())
	for range cap(free) {
		d, err := ndz.NewDecoder(opts.Decode)
		if err != nil {
			return err
		}
		free <- &slot{decoder: d}
	}
	turn := make(chan struct{})
	close(turn)
	for i := 0; ctx.Err() == nil; i++ {
		s := <-free
		more, err := s.read(src, i, c)
		if err != nil {
			cancel(err)
		}
		if err != nil || !more {
			break
		}
		mine, done := turn, make(chan struct{})
		turn = done
		wg.Go(func() {
			if err := work(ctx, i, s, mine); err != nil {
				cancel(err)
			}
			close(done)
			free <- s
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	sum, err := c.Finish()
	if err == nil {
		err = opts.checkSize(int64(sum.Chunks) * ndz.ChunkBytes)
	}
	return err
}

// read fills the slot with the next chunk, and tells whether there was one.
func (s *slot) read(src io.Reader, i int, c *ndz.Collector) (bool, error) {
	if s.buf == nil {
		s.buf = make([]byte, ndz.ChunkBytes)
	}
	n, err := io.ReadFull(src, s.buf)
	if err == io.EOF {
		return false, nil
	}
	if err != nil {
		return false, &ndz.FormatError{Chunk: i, Offset: n, Reason: "image ends inside a chunk", Err: err}
	}
	h, err := ndz.ParseHeader(s.buf)
	if err != nil {
		return false, ndz.InChunk(err, i)
	}
	return true, c.Add(h)
}

// sequence writes the data of chunks one after the other.
type sequence struct {
	dst   io.Writer
	opts  Options
	at    int64 // bytes written
	stats Stats
}

func (q *sequence) chunk(ctx context.Context, i int, s *slot, turn <-chan struct{}) error {
	if err := q.opts.checkChunk(i, s.buf); err != nil {
		return err
	}
	h, err := s.decoder.Decode(s.buf)
	if err != nil {
		return ndz.InChunk(err, i)
	}
	if h.Mark.Delta {
		return fmt.Errorf("chunk %d: %w", i, ErrDeltaZeroFill)
	}
	select {
	case <-turn:
	case <-ctx.Done():
		return nil // whoever cancelled says why
	}
	if ctx.Err() != nil {
		return nil
	}
	if err := q.write(ctx, s.decoder, h); err != nil {
		return fmt.Errorf("chunk %d: %w", i, err)
	}
	q.account(i, h)
	return nil
}

func (q *sequence) write(ctx context.Context, d *ndz.Decoder, h *ndz.Header) error {
	err := d.Emit(func(offset int64, data []byte) error {
		if err := q.zeroTo(ctx, offset); err != nil {
			return err
		}
		n, err := q.dst.Write(data)
		q.at += int64(n)
		q.stats.WrittenBytes += int64(n)
		q.stats.WriteRequests++
		return err
	})
	if err != nil {
		return err
	}
	return q.zeroTo(ctx, h.EndBytes())
}

func (q *sequence) zeroTo(ctx context.Context, offset int64) error {
	for q.at < offset && !q.opts.DataOnly {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := q.dst.Write(zeros[:min(offset-q.at, int64(len(zeros)))])
		q.at += int64(n)
		q.stats.ZeroedBytes += int64(n)
		if err != nil {
			return err
		}
	}
	return nil
}

func (q *sequence) account(i int, h *ndz.Header) {
	q.stats.Chunks++
	q.stats.ReadBytes += int64(h.PayloadBytes)
	q.stats.EndBytes = h.EndBytes()
	if q.opts.Warn != nil {
		for _, note := range h.Irregularities(i) {
			q.opts.Warn(fmt.Sprintf("chunk %d %s", i, note))
		}
	}
	if q.opts.Progress != nil {
		q.opts.Progress(Progress{Chunk: i, Chunks: q.opts.Chunks, Stats: q.stats})
	}
}
