package server

import (
	"context"
	"slices"
	"sync"
	"time"

	"hyzer/multicast/wire"
)

// How far a session reads ahead.
const (
	// upcomingMax is how many needs are wanted in memory before it is their turn.
	upcomingMax = 6
	// heldChunksMax is how many chunks a session holds, those sent lately too: a
	// repair that comes soon finds its chunk.
	heldChunksMax = 8
	// loadsMax is how many reads are asked for at once: one is under way, the
	// others keep the disk from waiting for us.
	loadsMax = 2
	// gapBlocksMax blocks that nobody wants are rather read than left out: 128 KiB
	// are read in less time than an arm or a network needs to begin anew.
	gapBlocksMax = 127
	// heldRest is when a session in which nothing is sent lets go of its chunks.
	heldRest = 2 * time.Second
)

// ReadBytesDefault is what the sessions of one ReadPool hold of their images, if
// it is not said.
const ReadBytesDefault = 128 << 20

// ReadPool bounds the memory in which sessions hold what they read of their
// images. A session that gets none reads as it sends.
type ReadPool struct {
	lock sync.Mutex
	free int // chunks
}

// NewReadPool returns a pool of that many bytes, rounded down to whole chunks.
func NewReadPool(bytes int64) *ReadPool { return &ReadPool{free: int(bytes / wire.ChunkBytes)} }

// take gives a session that holds so many chunks another, but never more than it
// leaves: so the first sessions do not starve those that come later.
func (p *ReadPool) take(held int) bool {
	p.lock.Lock()
	defer p.lock.Unlock()
	if p.free <= held {
		return false
	}
	p.free--
	return true
}

func (p *ReadPool) give(n int) {
	p.lock.Lock()
	defer p.lock.Unlock()
	p.free += n
}

// short says whether a session that holds so many chunks has too many.
func (p *ReadPool) short(held int) bool {
	p.lock.Lock()
	defer p.lock.Unlock()
	return held > p.free+1
}

// held is blocks of a chunk in memory, or on their way there.
type held struct {
	chunk   int
	blocks  wire.BlockMap
	data    []byte // of the chunk, as far as blocks says
	loading bool
	sent    wire.BlockMap
	over    bool // there is a newer one of the chunk
}

// has says whether h is good for n. A whole chunk is not sent twice from one
// read: who asks for it again may have found that it is damaged.
func (h *held) has(n need) bool {
	return h.chunk == n.chunk && !h.over && h.blocks.Covers(&n.blocks) && !(n.whole && h.sent.Covers(&n.blocks))
}

// load is a read that was asked for.
type load struct {
	*held
	err error
}

// readahead holds what will be sent soon and was sent lately. All but load is
// used by the sender's goroutine only; the reader's has the data of a held
// while it is loading.
type readahead struct {
	image      Image
	geo        wire.Geometry
	pool       *ReadPool
	recent     []*held // the latest used first
	loading    int
	wishes     []need
	jobs, done chan load
	restAt     time.Time // when all is let go; zero: something is wanted
}

func newReadahead(image Image, geo wire.Geometry, pool *ReadPool) *readahead {
	return &readahead{image: image, geo: geo, pool: pool, jobs: make(chan load, loadsMax), done: make(chan load, loadsMax)}
}

// find returns what has all that is needed, loaded or not, and notes that it is
// used.
func (r *readahead) find(n need) *held {
	i := slices.IndexFunc(r.recent, func(h *held) bool { return h.has(n) })
	if i < 0 {
		return nil
	}
	h := r.recent[i]
	copy(r.recent[1:i+1], r.recent[:i])
	r.recent[0] = h
	return h
}

// get returns the bytes of blocks, nil if they are not there. They are valid
// until the next want.
func (r *readahead) get(chunk, first, count int) []byte {
	if r == nil {
		return nil
	}
	h := r.find(needRange(chunk, first, count))
	if h == nil || h.loading {
		return nil
	}
	return h.data[first*wire.BlockBytes : min((first+count)*wire.BlockBytes, len(h.data))]
}

// sent notes that blocks went out as they are.
func (r *readahead) sent(chunk, first, count int) {
	if r == nil {
		return
	}
	if h := r.find(needRange(chunk, first, count)); h != nil {
		h.sent.AddRange(first, count)
	}
}

// dry says that there is no memory to read ahead into.
func (r *readahead) dry() bool { return len(r.recent) == 0 }

// want asks for what is not there of the wishes, the first ones first.
func (r *readahead) want(now time.Time) {
	if r.rest(now) {
		return
	}
	for i := len(r.wishes) - 1; i >= 0; i-- {
		r.find(r.wishes[i]) // they are used before what was sent
	}
	for _, w := range r.wishes {
		if r.loading == loadsMax {
			return
		}
		if r.find(w) != nil {
			continue
		}
		h := r.room()
		if h == nil {
			return
		}
		*h = held{chunk: w.chunk, blocks: r.supersede(w.chunk), data: h.data, loading: true}
		r.recent = slices.Insert(r.recent, 0, h)
		r.loading++
		r.jobs <- load{held: h} // has room for all
	}
}

// supersede takes what is held of a chunk out of use, and returns all that is
// wished for of it.
func (r *readahead) supersede(chunk int) (all wire.BlockMap) {
	for _, h := range r.recent {
		h.over = h.over || h.chunk == chunk
	}
	for _, w := range r.wishes {
		if w.chunk == chunk {
			all.Union(&w.blocks)
		}
	}
	return all
}

// rest lets go of everything when nothing was wanted for a while.
func (r *readahead) rest(now time.Time) bool {
	switch {
	case len(r.wishes) > 0:
		r.restAt = time.Time{}
		return false
	case len(r.recent) == 0 || r.loading > 0:
	case r.restAt.IsZero():
		r.restAt = now.Add(heldRest)
	case !now.Before(r.restAt):
		r.release()
	}
	return true
}

func (r *readahead) release() {
	r.pool.give(len(r.recent))
	r.recent, r.restAt = nil, time.Time{}
}

// wake is when want has to be called again, given when Next has.
func (r *readahead) wake(until time.Time) time.Time {
	if !r.restAt.IsZero() && (until.IsZero() || r.restAt.Before(until)) {
		return r.restAt
	}
	return until
}

// room returns a place for more, nil if all are needed.
func (r *readahead) room() *held {
	i := len(r.recent) - 1
	for i >= 0 && !r.idle(r.recent[i]) {
		i--
	}
	if i >= 0 && r.pool.short(len(r.recent)) {
		r.pool.give(1)
		r.recent = slices.Delete(r.recent, i, i+1)
		return r.room()
	}
	if len(r.recent) < heldChunksMax && r.pool.take(len(r.recent)) {
		return &held{data: make([]byte, 0, r.geo.ChunkLen(0))}
	}
	if i < 0 {
		return nil
	}
	h := r.recent[i]
	r.recent = slices.Delete(r.recent, i, i+1)
	return h
}

// idle says that nothing needs what h holds.
func (r *readahead) idle(h *held) bool {
	return !h.loading && !slices.ContainsFunc(r.wishes, h.has)
}

// collect takes in what was read.
func (r *readahead) collect() error {
	for {
		select {
		case l := <-r.done:
			r.loading--
			l.loading = false
			if l.err != nil {
				return l.err
			}
		default:
			return nil
		}
	}
}

// run reads until ctx is done, and calls wake after each chunk.
func (r *readahead) run(ctx context.Context, read func(context.Context, []byte, int64) error, wake func()) {
	for {
		select {
		case l := <-r.jobs:
			l.err = r.load(ctx, l.held, read)
			r.done <- l // has room for all
			wake()
		case <-ctx.Done():
			return
		}
	}
}

// load reads the blocks of h, and what is between those that are near each
// other.
func (r *readahead) load(ctx context.Context, h *held, read func(context.Context, []byte, int64) error) error {
	offset := r.geo.ChunkOffset(h.chunk)
	h.data = h.data[:r.geo.ChunkLen(h.chunk)]
	end := func(block int) int { return min(block*wire.BlockBytes, len(h.data)) }
	runs := reads(h.blocks)
	for _, run := range runs {
		at := run[0] * wire.BlockBytes
		r.image.Prefetch(offset+int64(at), int64(end(run[1]+1)-at))
	}
	for _, run := range runs {
		at := run[0] * wire.BlockBytes
		if err := read(ctx, h.data[at:end(run[1]+1)], offset+int64(at)); err != nil {
			return err
		}
	}
	return nil
}

// reads returns the runs of blocks that are best read to have those of m, each as
// its first block and its last.
func reads(m wire.BlockMap) (runs [][2]int) {
	for first, count := m.FirstRun(); count > 0; first, count = m.FirstRun() {
		m.RemoveRange(first, count)
		if n := len(runs) - 1; n >= 0 && first-runs[n][1]-1 <= gapBlocksMax {
			runs[n][1] = first + count - 1
			continue
		}
		runs = append(runs, [2]int{first, first + count - 1})
	}
	return runs
}
