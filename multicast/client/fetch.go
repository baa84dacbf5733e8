package client

import (
	"context"
	"fmt"
	"sync"
	"time"

	"hyzer/imaging/manifest"
	"hyzer/multicast/wire"
)

// Fetcher gets chunks by another way than the session, such as HTTP range
// requests (package multicast/carrier).
type Fetcher interface {
	// Describe returns the size of the file, and its manifest, nil if there is
	// none.
	Describe(ctx context.Context) (fileBytes int64, m *manifest.Manifest, err error)
	// FetchChunk fills into, which is as long as the chunk, or says why it
	// cannot. It is called from several goroutines at once, and has tried again
	// what may pass by itself.
	FetchChunk(ctx context.Context, chunk int, into []byte) error
}

// Times and numbers of the fall-back.
const (
	FetchAfterDefault = 10 * time.Second
	fetchersMax       = 4
	fetchRetry        = 5 * time.Second // after a failure
	fetchFailuresMax  = 12              // rounds in a row, while the session brings nothing either
	// laggardBytes is so little for a window of FetchAfter that, if what else
	// passed was laggardShare times as much, the session is for others.
	laggardBytes = 8 << 20
	laggardShare = 4
)

// fallback decides when chunks are fetched by another way. It looks at windows
// of time: if the session brought nothing in one, or next to nothing of use
// while much else passed, chunks are fetched until a window is good again.
type fallback struct {
	after time.Duration
	from  time.Time // of the window
	heard uint64    // blocks that passed until then
	used  uint64    // of them, those of use
	on    bool
}

// look is called with the counts so far, and says whether to fetch.
func (f *fallback) look(now time.Time, heard, used uint64) bool {
	if f.from.IsZero() {
		f.from, f.heard, f.used = now, heard, used
	}
	if now.Sub(f.from) < f.after {
		return f.on
	}
	bytes, other := (used-f.used)*wire.BlockBytes, (heard-f.heard)-(used-f.used)
	f.on = bytes == 0 || bytes < laggardBytes && other*wire.BlockBytes > laggardShare*bytes
	f.from, f.heard, f.used = now, heard, used
	return f.on
}

// due is when look may change its mind.
func (f *fallback) due() time.Time { return f.from.Add(f.after) }

// fetched is what became of a chunk that was lent, or of the description
// (chunk < 0).
type fetched struct {
	chunk    int
	data     []byte
	bytes    int64
	manifest *manifest.Manifest
	err      error
}

// fetching is the other way of a Run; nil: there is none.
type fetching struct {
	Fetcher
	fallback
	done      chan fetched
	chunks    int // that came
	out       int // under way
	retryAt   time.Time
	failures  int // in a row
	told      bool
	described bool
	workers   sync.WaitGroup
	cancel    context.CancelFunc
	ctx       context.Context
}

func newFetching(ctx context.Context, f Fetcher, after time.Duration) *fetching {
	if f == nil {
		return nil
	}
	if after <= 0 {
		after = FetchAfterDefault
	}
	g := &fetching{Fetcher: f, fallback: fallback{after: after}, done: make(chan fetched, fetchersMax)}
	g.ctx, g.cancel = context.WithCancel(ctx)
	return g
}

func (g *fetching) close() {
	if g != nil {
		g.cancel()
		g.workers.Wait()
	}
}

// count is how many chunks came this way.
func (g *fetching) count() int {
	if g == nil {
		return 0
	}
	return g.chunks
}

// fetch takes what was fetched, and has more fetched if the session is of no
// use.
func (s *shell) fetch(now time.Time) error {
	g := s.fetching
	if g == nil || s.r.Received() {
		return nil
	}
	for len(g.done) > 0 {
		g.out--
		if err := s.tookFetched(now, <-g.done); err != nil {
			return err
		}
	}
	heard, used := s.r.blocks()
	if !g.look(now, heard, used) || now.Before(g.retryAt) {
		return nil
	}
	if !g.told {
		g.told = true
		s.log.Warn("the session brings nothing; fetching chunks by HTTP; hyzer-node doctor multicast finds out why",
			"service", "frisbee", "address", s.address.String())
	}
	s.startFetches(now)
	return nil
}

// startFetches first asks what there is, for the size and the manifest may be
// what the session did not bring.
func (s *shell) startFetches(now time.Time) {
	g := s.fetching
	if !g.described {
		if g.out == 0 {
			g.start(s.conn.Wake, func() fetched {
				n, m, err := g.Describe(g.ctx)
				return fetched{chunk: -1, bytes: n, manifest: m, err: err}
			})
		}
		return
	}
	geo, _ := s.r.Joined()
	for g.out < fetchersMax {
		chunk, data, ok := s.r.Lend(now)
		if !ok {
			return
		}
		into := data[:geo.ChunkLen(chunk)]
		g.start(s.conn.Wake, func() fetched {
			return fetched{chunk: chunk, data: into, err: g.FetchChunk(g.ctx, chunk, into)}
		})
	}
}

func (g *fetching) start(wake func(), do func() fetched) {
	g.out++
	g.workers.Go(func() {
		g.done <- do() // has room for all
		wake()
	})
}

// tookFetched hands a chunk to the machine, or waits a while after a failure.
func (s *shell) tookFetched(now time.Time, d fetched) error {
	g := s.fetching
	switch {
	case d.chunk >= 0:
		if d.err == nil {
			g.chunks++
		}
		s.r.Return(now, d.chunk, d.data, d.err == nil)
	case d.err == nil:
		d.err = s.describe(now, d)
	}
	if d.err == nil {
		g.failures = 0
		return nil
	}
	if g.ctx.Err() != nil {
		return nil
	}
	if !now.Before(g.retryAt) { // those under way with it do not count
		g.failures++
		g.retryAt = now.Add(fetchRetry)
	}
	s.log.Warn("the image could not be fetched by HTTP", "service", "frisbee", "chunk", d.chunk, "err", d.err)
	if g.failures >= fetchFailuresMax && g.on {
		return fmt.Errorf("neither the session at %v nor HTTP brings the image: %w", s.address, d.err)
	}
	return nil
}

// describe takes the size, if the session has not told it, and the manifest.
func (s *shell) describe(now time.Time, d fetched) error {
	s.r.Begin(now, d.bytes)
	if geo, _ := s.r.Joined(); !s.r.sameSize(wire.SubJoin, d.bytes) {
		return fmt.Errorf("%w: the session has %d bytes, HTTP %d", ErrImageChanged, geo.FileBytes(), d.bytes)
	}
	s.fetching.described = true
	if s.inspector.settled || s.inspector.Manifest != nil || d.manifest == nil {
		return nil
	}
	return s.adopt(d.manifest, s.inspector.check(d.manifest, d.bytes))
}
