package unzip

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"hyzer/imaging/ndz"
)

// ErrClosed is returned by Chunk after Close.
var ErrClosed = errors.New("restore is finished")

// Writer restores chunks as they come.
type Writer struct {
	target   Target
	opts     Options
	decoders chan *ndz.Decoder // the ones that are free

	baseMu sync.Mutex // held while the base is checked
	base   ndz.Mark   // whose base was checked

	mu     sync.Mutex
	spans  []span // of the chunks taken, by index
	first  *ndz.Header
	stats  Stats
	warned bool
	closed bool
}

// span is the coverage of one chunk.
type span struct {
	index       int
	first, last uint64
	open        bool // being written
}

// NewWriter returns a Writer that restores to target. The caller keeps and
// closes target.
func NewWriter(target Target, opts Options) (*Writer, error) {
	w := &Writer{target: target, opts: opts}
	w.decoders = make(chan *ndz.Decoder, opts.workers())
	for range cap(w.decoders) {
		d, err := ndz.NewDecoder(opts.Decode)
		if err != nil {
			return nil, err
		}
		w.decoders <- d
	}
	return w, nil
}

// Chunk decodes, checks and writes one chunk, and returns when it is written
// (durable only after Close). data is ndz.ChunkBytes long and the caller's: it
// is neither changed nor kept. Calls may come from any goroutine, in any order
// of index; at most Options.Workers are worked on at once, others wait. A
// chunk that was written before is not written again. After an error nothing,
// or after a write error something, of this chunk is on the target; the same
// index can be given again.
func (w *Writer) Chunk(ctx context.Context, index int, data []byte) error {
	var d *ndz.Decoder
	select {
	case d = <-w.decoders:
		defer func() { w.decoders <- d }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if d == nil {
		return ErrClosed
	}
	if err := w.opts.checkChunk(index, data); err != nil {
		return err
	}
	h, kept, err := w.look(d, data)
	if err != nil {
		return ndz.InChunk(err, index)
	}
	if err := w.checkMark(ctx, h.Mark); err != nil {
		return fmt.Errorf("chunk %d: %w", index, err)
	}
	fresh, err := w.admit(index, h)
	if err != nil || !fresh {
		return err
	}
	p := place{w: w, h: h, kept: kept}
	if err := p.write(ctx, d); err != nil {
		w.forget(index)
		return fmt.Errorf("chunk %d: %w", index, err)
	}
	w.account(index, h, p.stats)
	return nil
}

// admit checks that h fits the target and the chunks before it, and takes its
// place among them. It returns false for a chunk that is there already.
func (w *Writer) admit(index int, h *ndz.Header) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false, ErrClosed
	}
	if w.opts.Chunks > 0 && index >= w.opts.Chunks || index < 0 {
		return false, fmt.Errorf("chunk %d of an image of %d chunks", index, w.opts.Chunks)
	}
	at, found := slices.BinarySearchFunc(w.spans, index, func(s span, i int) int { return s.index - i })
	if found {
		return false, w.duplicate(w.spans[at], h)
	}
	if err := w.fits(at, index, h); err != nil {
		return false, err
	}
	if w.first == nil {
		w.first = h
	}
	w.warn(index, h)
	w.spans = slices.Insert(w.spans, at, span{index, h.First, h.Last, true})
	return true, nil
}

func (w *Writer) duplicate(s span, h *ndz.Header) error {
	switch {
	case s.first != h.First || s.last != h.Last:
		return fmt.Errorf("chunk %d was given twice with different content", s.index)
	case s.open:
		return fmt.Errorf("chunk %d is being written", s.index)
	}
	return nil
}

// fits holds h against its neighbours, its image and the target. at is the
// place among w.spans where it would go.
func (w *Writer) fits(at, index int, h *ndz.Header) error {
	f := w.first
	if f == nil {
		f = h
	}
	if err := h.SameImage(f, index); err != nil {
		return ndz.InChunk(err, index)
	}
	if at > 0 && w.spans[at-1].last > h.First {
		return fmt.Errorf("chunk %d covers sectors from %d that chunk %d covers too", index, h.First, w.spans[at-1].index)
	}
	if at < len(w.spans) && h.Last > w.spans[at].first {
		return fmt.Errorf("chunk %d covers sectors up to %d that chunk %d covers too", index, h.Last, w.spans[at].index)
	}
	if index == 0 && h.Version >= ndz.V2 && h.First != 0 {
		return fmt.Errorf("chunk 0 covers sectors from %d, not 0: the beginning is missing", h.First)
	}
	return checkSize(w.target, w.opts, h.DataEnd())
}

// checkSize fails if data up to sector end, not cut off by a partition, is too
// much for the target.
func checkSize(t Target, opts Options, end uint64) error {
	size, p := t.SizeBytes(), opts.Decode.Placement
	if p.InPartition() {
		end = min(end, p.Size)
	}
	if need := int64(p.Start+end) * ndz.SectorBytes; size >= 0 && need > size {
		return fmt.Errorf("target of %d bytes is too small: the image has data up to byte %d", size, need)
	}
	return nil
}

// warn reports what is odd about a chunk.
func (w *Writer) warn(index int, h *ndz.Header) {
	if w.opts.Warn == nil {
		return
	}
	for _, note := range h.Irregularities(index) {
		w.opts.Warn(fmt.Sprintf("chunk %d %s", index, note))
	}
	if p := w.opts.Decode.Placement; p.InPartition() && h.DataEnd() > p.Size && !w.warned {
		w.warned = true
		w.opts.Warn(fmt.Sprintf("image has data up to sector %d, beyond the %d of the partition; it is cut off", h.DataEnd(), p.Size))
	}
}

func (w *Writer) forget(index int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spans = slices.DeleteFunc(w.spans, func(s span) bool { return s.index == index })
}

func (w *Writer) account(index int, h *ndz.Header, s Stats) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at, _ := slices.BinarySearchFunc(w.spans, index, func(s span, i int) int { return s.index - i })
	w.spans[at].open = false
	t := &w.stats
	t.Chunks++
	t.ReadBytes += int64(h.PayloadBytes)
	t.WrittenBytes += s.WrittenBytes
	t.ZeroedBytes += s.ZeroedBytes
	t.KeptBytes += s.KeptBytes
	t.KeptChunks += s.KeptChunks
	t.ClippedBytes += s.ClippedBytes
	t.WriteRequests += s.WriteRequests
	t.ZeroRequests += s.ZeroRequests
	t.SkippedBytes += s.SkippedBytes
	t.EndBytes = max(t.EndBytes, h.EndBytes())
	if w.opts.Progress != nil {
		w.opts.Progress(Progress{Chunk: index, Chunks: w.opts.Chunks, Stats: *t})
	}
}

// Close waits for the chunks being written, zeroes what is after the image if
// that was asked for, gives a file its length, and makes everything durable.
// It fails if chunks are missing. Call it once, also after errors.
func (w *Writer) Close() (Stats, error) {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return w.stats, ErrClosed
	}
	w.closed = true
	w.mu.Unlock()
	for range cap(w.decoders) {
		<-w.decoders
	}
	for range cap(w.decoders) {
		w.decoders <- nil // a late Chunk must not hang
	}
	missing := w.missing()
	if err := w.finish(missing == nil); err != nil {
		return w.stats, err
	}
	return w.stats, missing
}

// end is where the target ends for an image that does.
func (w *Writer) end(imageBytes int64) int64 {
	p := w.opts.Decode.Placement
	end := int64(p.Start)*ndz.SectorBytes + imageBytes
	if p.InPartition() {
		end = min(end, int64(p.Start+p.Size)*ndz.SectorBytes)
	}
	return end
}

// expect tells the target the size of the image before anything is written.
func (w *Writer) expect(imageBytes int64) error {
	t, ok := w.target.(interface{ expect(size int64) error })
	if !ok {
		return nil
	}
	return t.expect(w.end(imageBytes))
}

func (w *Writer) finish(complete bool) error {
	p, end := w.opts.Decode.Placement, w.end(w.stats.EndBytes)
	size := w.target.SizeBytes()
	if complete && w.opts.ZeroFill && !p.InPartition() && end < size {
		if err := w.fill(end, size-end); err != nil {
			return fmt.Errorf("zeroing the target after the image: %w", err)
		}
		w.stats.ZeroedBytes += size - end
		w.stats.ZeroRequests++
	}
	if err := w.target.Finish(end); err != nil {
		return fmt.Errorf("finishing the target: %w", err)
	}
	return nil
}

// missing says which chunks were never written.
func (w *Writer) missing() error {
	if len(w.spans) == 0 {
		return errors.New("no chunk of the image was restored")
	}
	for i, s := range w.spans {
		if s.index != i {
			return fmt.Errorf("chunk %d of the image is missing", i)
		}
		if i > 0 && w.first.Version >= ndz.V2 && w.spans[i-1].last != s.first {
			return fmt.Errorf("chunk %d covers sectors from %d; %d to %d are missing", i, s.first, w.spans[i-1].last, s.first)
		}
	}
	if last := w.spans[len(w.spans)-1].last; w.first.End != 0 && last != w.first.End {
		return fmt.Errorf("image has chunks up to sector %d of %d: the end is missing", last, w.first.End)
	}
	if n := w.opts.Chunks; n > len(w.spans) {
		return fmt.Errorf("%d of the %d chunks of the image are missing", n-len(w.spans), n)
	}
	return nil
}
