package zip

import (
	"context"
	"hash/maphash"
	"slices"
	"sync"

	"hyzer/imaging/freemap"
	"hyzer/imaging/v5"
)

// The data of a V5 image is cut into segments, always the same, and chunks end
// where they do: that makes an image half a chunk larger for each. Lanes
// compress a segment each. The chunks of the first are written as they are made;
// those of the next wait in memory, and when there are many, so do their
// lanes: the farther a segment is from its turn, the fewer of its chunks may
// wait, so that lanes take turns a part of a segment apart, and then hardly wait.
const (
	segmentBytes = 240 << 20
	lanesMax     = 4
	// waitingMax is how many chunks wait until it is their turn. Files become
	// some 70 in a segment, of which half of one wait for each lane but one.
	waitingMax = 108
	// turnMax is how many chunks of the lane whose turn it is wait beside them.
	turnMax = 4
)

// laneReaders are what a lane has that reads ahead of it.
func laneReaders() readers { return readers{workers: 1, ahead: 1} }

// segment is a part of the data of an image.
type segment struct {
	data       []freemap.Range
	bytes      int64
	first, end uint64        // what its chunks cover
	may        chan struct{} // as often as a chunk may wait
	allowed    int           // how often that was said
	turn       chan struct{} // closed when its chunks are written
	chunks     chan *made    // closed after the last one
	err        error         // instead of more chunks
}

func newSegment(first uint64) *segment {
	return &segment{first: first, may: make(chan struct{}, waitingMax), turn: make(chan struct{}),
		chunks: make(chan *made, waitingMax+turnMax)}
}

// allow has so many chunks wait in all.
func (s *segment) allow(chunks int) {
	for ; s.allowed < chunks; s.allowed++ {
		s.may <- struct{}{}
	}
}

// segments cuts data on the borders of units.
func (in *input) segments(bytesMax int64) []*segment {
	var list []*segment
	var u unit
	var first uint64
	room := bytesMax / 2
	for p := (planner{data: slices.Clone(in.layout.Data), align: in.align, joined: in.layout.joined()}); p.next(&u); {
		if n := len(list); n == 0 || list[n-1].bytes >= room {
			if n > 0 {
				room, first = bytesMax, list[n-1].end
			}
			list = append(list, newSegment(first))
		}
		s := list[len(list)-1]
		s.bytes += int64(u.size)
		for _, r := range u.ranges {
			s.data = freemap.Append(s.data, r.Start, r.End)
			s.end = r.End
		}
	}
	list[len(list)-1].end = in.layout.Sectors
	return list
}

// lanes makes the chunks of V5.
type lanes struct {
	*output
	in *input
	divider
	head         v5.Header
	waiting, now chan []byte // buffers of chunks that wait, and of those whose turn it is
}

// writeFive makes chunks of V5.
func (o *output) writeFive(ctx context.Context, in *input) error {
	head, err := headOf(in.layout, o.opts)
	if err != nil {
		return err
	}
	per := uint64(head.SectorBytes / sectorBytes)
	if in.align%per != 0 {
		in.align *= per
	}
	l := &lanes{output: o, in: in, head: head, divider: divider{maphash.MakeSeed(), max(per, dedupBytes/sectorBytes)}}
	l.waiting, l.now = buffers(waitingMax), buffers(turnMax)
	return l.run(ctx, in.segments(o.opts.segmentBytes()))
}

// buffers are n buffers that are not made yet.
func buffers(n int) chan []byte {
	c := make(chan []byte, n)
	for range n {
		c <- nil
	}
	return c
}

// count is how many lanes there are. For encoders that look farther, and for
// the large units of what is hashed in large blocks, there is no memory twice.
func (l *lanes) count() int {
	farther := l.opts.codec() == v5.Zstd && l.opts.Level != nil && *l.opts.Level >= betterLevel
	if farther || l.in.sign != nil && l.in.sign.BlockSectors > unitBytesMax/sectorBytes {
		return 1
	}
	return min(l.opts.workers(), lanesMax)
}

// helpers is how many goroutines each of n lanes has beside its own. On two
// cores two lanes are at work all the time, and others would only be in the way.
func (l *lanes) helpers(n int) int {
	const enough = 2
	if l.opts.workers() <= min(n, enough) {
		return 0
	}
	return l.opts.workers() / n
}

// run has lanes make the chunks of segments, and writes them in order.
func (l *lanes) run(ctx context.Context, list []*segment) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	work := make(chan *segment, len(list))
	for _, s := range list {
		work <- s
	}
	close(work)
	n := l.count()
	for range n {
		p, err := newFive(l.in.layout, l.opts, l.head, l.divider, l.helpers(n))
		if err != nil {
			return err
		}
		wg.Go(func() {
			defer p.squeeze.close()
			for s := range work {
				s.err = l.segment(ctx, p, s)
				close(s.chunks)
			}
		})
	}
	sealed := make(chan *made)
	wg.Go(func() {
		defer close(sealed)
		l.seal(ctx, list, n, sealed)
	})
	for m := range sealed {
		err := ctx.Err()
		if err == nil {
			err = l.writeSealed(m)
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// segment makes the chunks of a segment.
func (l *lanes) segment(ctx context.Context, p *five, s *segment) error {
	p.restart(s.first, func(m made) error {
		buffer, back, err := l.buffer(ctx, s)
		if err != nil {
			return err
		}
		m.payload, m.buffer, m.back = buffer[v5.HeadBytes:][:copy(buffer[v5.HeadBytes:], m.payload)], buffer, back
		s.chunks <- &m
		return nil
	})
	if err := l.in.each(ctx, s.data, laneReaders(), p, p.unit); err != nil {
		return err
	}
	return p.finish(s.end)
}

// buffer returns one for a chunk, and where it goes to when that is written.
// Those of the segment whose turn it is are for no other, so that what is
// waited for can go on.
func (l *lanes) buffer(ctx context.Context, s *segment) (buffer []byte, back chan []byte, err error) {
	select {
	case <-s.may:
		back = l.waiting
		select {
		case buffer = <-l.waiting:
			return room(buffer), back, nil
		case <-s.turn:
		case <-ctx.Done():
		}
	case <-s.turn:
	case <-ctx.Done():
	}
	select {
	case buffer = <-l.now:
		return room(buffer), l.now, nil
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
}

// room is a buffer that may have to be made.
func room(buffer []byte) []byte {
	if buffer == nil {
		return make([]byte, v5.ChunkBytes)
	}
	return buffer
}

// seal numbers and seals the chunks of segments, until it fails or ctx ends.
func (l *lanes) seal(ctx context.Context, list []*segment, lanes int, sealed chan<- *made) {
	index := 0
	next := func(m *made) bool {
		m.head.Index = index
		index++
		if m.err == nil {
			m.buffer, m.err = m.head.Seal(m.buffer, m.payload)
		}
		select {
		case sealed <- m:
			return m.err == nil
		case <-ctx.Done():
			return false
		}
	}
	for i, s := range list {
		close(s.turn)
		l.allow(list[i+1:], lanes)
		for m := range s.chunks {
			if !next(m) {
				return
			}
		}
		if s.err != nil {
			next(&made{err: s.err})
			return
		}
	}
}

// allow has chunks of the next segments wait.
func (l *lanes) allow(next []*segment, lanes int) {
	parts := lanes * (lanes - 1) / 2
	for i := range min(len(next), lanes-1) {
		next[i].allow(waitingMax * (lanes - 1 - i) / parts)
	}
}

// writeSealed writes a chunk.
func (l *lanes) writeSealed(m *made) error {
	if m.err != nil {
		return m.err
	}
	l.pending.records = append(l.pending.records, m.signed...)
	per := uint64(m.head.SectorBytes / sectorBytes)
	err := l.write(chunk{data: m.buffer, last: m.head.Last * per, dataEnd: m.dataEnd, payload: len(m.payload), input: m.input})
	m.back <- m.buffer
	return err
}
