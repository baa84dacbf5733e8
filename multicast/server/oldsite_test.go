package server

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"hyzer/multicast/wire"
)

const (
	oldSiteLatency = 100 * time.Microsecond
	oldSiteTimeMax = 10 * time.Minute // virtual: what takes longer hangs
)

// oldSite is a server and clients as the C ones, each behind a port of a
// switch, in virtual time. A port loses what it sends, by itself.
type oldSite struct {
	t       *testing.T
	now     time.Time
	rng     *rand.Rand
	loss    float64
	s       *Session
	clients []*oldNode
	loading int
	events  oldEvents
	order   uint64
	wakeAt  time.Time
}

type oldNode struct {
	*oldClient
	dueAt time.Time // that an event is booked for
	// With perSec > 0 the port sends no faster than that, and holds queue
	// blocks.
	perSec, queue float64
	held          float64 // in the queue
	heldAt        time.Time
	overrun, came int
}

type oldSiteConfig struct {
	clients, chunks int
	loss            float64
	dynamic         bool
	seed            uint64
	mbit            int64
	// With slow > 0 the first slow clients are behind ports of that part of the
	// rate.
	slow     int
	slowPart float64
}

type oldEvent struct {
	at    time.Time
	order uint64
	do    func()
}

type oldEvents []oldEvent

func (e oldEvents) Len() int      { return len(e) }
func (e oldEvents) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e oldEvents) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].order < e[j].order
}
func (e *oldEvents) Push(x any) { *e = append(*e, x.(oldEvent)) }
func (e *oldEvents) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func newOldSite(t *testing.T, c oldSiteConfig) *oldSite {
	t.Helper()
	const queueBlocks = 500 // of a port, half a megabyte
	o := &oldSite{t: t, now: time.Unix(1000, 0), rng: rand.New(rand.NewPCG(c.seed, 1)), loss: c.loss, loading: c.clients}
	var err error
	o.s, err = NewSession(SessionConfig{
		Self: netip.MustParseAddr("10.0.0.1"), Address: scriptAddress, FileBytes: int64(c.chunks) * wire.ChunkBytes,
		Pace: Pace{BitsPerSec: c.mbit * 1e6, Dynamic: c.dynamic}, Gather: GatherDefault,
		Mode2: &Mode2{Version: rigVersion, ParityPort: 4001},
	}, o.now)
	if err != nil {
		t.Fatal(err)
	}
	for n := range c.clients {
		node := &oldNode{oldClient: newOldClient(n, o.s.Geometry(), o.rng)}
		if n < c.slow {
			node.perSec, node.queue = c.slowPart*float64(c.mbit)*1e6/WireBitsPerBlock, queueBlocks
		}
		o.clients = append(o.clients, node)
		node.joinedAt = o.now.Add(time.Duration(n)*time.Millisecond - oldJoinRetry) // one after the other
		o.book(node)
	}
	return o
}

func (o *oldSite) after(d time.Duration, do func()) {
	o.order++
	heap.Push(&o.events, oldEvent{o.now.Add(d), o.order, do})
}

// run returns how long it took until all had the image.
func (o *oldSite) run() time.Duration {
	o.t.Helper()
	start := o.now
	for o.loading > 0 {
		if len(o.events) == 0 || o.now.Sub(start) > oldSiteTimeMax {
			o.t.Fatalf("%d clients hang after %v: %+v", o.loading, o.now.Sub(start), o.s.Stats(o.now))
		}
		e := heap.Pop(&o.events).(oldEvent)
		o.now = e.at
		e.do()
	}
	return o.now.Sub(start)
}

// serve does what the server's shell does.
func (o *oldSite) serve() {
	for {
		a := o.s.Next(o.now)
		switch a.Kind {
		case ActSend:
			b := append([]byte(nil), a.Datagram...)
			o.after(oldSiteLatency, func() { o.spread(o.s.cfg.Self, nil, b) })
		case ActBlocks:
			o.after(oldSiteLatency, func() { o.blocks(a) })
		case ActSleep:
			if !a.Until.IsZero() && !a.Until.Equal(o.wakeAt) {
				o.wakeAt = a.Until
				o.after(a.Until.Sub(o.now), func() {
					if o.now.Equal(o.wakeAt) {
						o.wakeAt = time.Time{}
						o.serve()
					}
				})
			}
			return
		default:
			o.t.Fatalf("the session does %+v", a)
		}
	}
}

// spread brings a datagram to all clients but its sender.
func (o *oldSite) spread(from netip.Addr, sender *oldNode, b []byte) {
	for _, n := range o.clients {
		if n != sender && n.left > 0 && o.rng.Float64() >= o.loss {
			n.datagram(o.now, from, b)
			o.tend(n)
		}
	}
}

func (o *oldSite) blocks(a Action) {
	for _, n := range o.clients {
		for b := a.First; b < a.First+a.Count && n.left > 0; b++ {
			if n.passes(o.now) && o.rng.Float64() >= o.loss {
				n.block(o.now, uint32(a.Chunk), b)
			}
		}
		o.tend(n)
	}
}

// passes says whether the port has room for one more block.
func (n *oldNode) passes(now time.Time) bool {
	n.came++
	if n.perSec == 0 {
		return true
	}
	n.held = max(0, n.held-n.perSec*now.Sub(n.heldAt).Seconds())
	n.heldAt = now
	if n.held >= n.queue {
		n.overrun++
		return false
	}
	n.held++
	return true
}

// tend sends what a client has to say, and books its next timeout.
func (o *oldSite) tend(n *oldNode) {
	for _, b := range n.sends {
		o.after(oldSiteLatency, func() {
			o.spread(n.addr, n, b)
			if o.rng.Float64() >= o.loss {
				o.s.Receive(o.now, netip.AddrPortFrom(n.addr, scriptAddress.Port()), b)
				o.serve()
			}
		})
	}
	n.sends = n.sends[:0]
	if n.left == 0 {
		if !n.dueAt.Equal(time.Unix(0, 0)) {
			n.dueAt = time.Unix(0, 0)
			o.loading--
		}
		return
	}
	if n.dueAt.IsZero() {
		o.book(n)
	}
}

func (o *oldSite) book(n *oldNode) {
	n.dueAt = n.due()
	o.after(n.dueAt.Sub(o.now), func() {
		if n.left == 0 {
			return
		}
		if n.dueAt = (time.Time{}); !o.now.Before(n.due()) {
			n.timeout(o.now)
		}
		o.tend(n)
	})
}

// TestOldClientsKeepRate: what the links of old clients lose does not slow the
// session, beside one of a fixed rate; and they need not wait for their timeouts.
func TestOldClientsKeepRate(t *testing.T) {
	if raceDetector {
		t.Skip("half a minute with the race detector, and one goroutine does it all; .ci/run has it without")
	}
	t.Parallel()
	for _, c := range []struct {
		clients, chunks int
		loss            float64
		longer, longest time.Duration // at most, of four loads
	}{
		{1, 128, 0, 0, 7 * time.Second},
		{1, 128, 0.01, time.Second / 2, 9 * time.Second}, // 30 s from a server that does not have them ask
		{1, 128, 0.05, time.Second, 10 * time.Second},    // 31 s
		{4, 128, 0, 0, 7 * time.Second},
		{4, 128, 0.01, time.Second / 2, 9 * time.Second}, // 14 s
		{4, 128, 0.05, time.Second, 11 * time.Second},    // 19 s
		{16, 64, 0, 4 * time.Second, 9 * time.Second},    // begins at a quarter of the rate
		{16, 64, 0.01, 3 * time.Second, 10 * time.Second},
		{16, 64, 0.05, 2 * time.Second, 13 * time.Second},
	} {
		t.Run(fmt.Sprintf("%d clients, %v", c.clients, c.loss), func(t *testing.T) {
			t.Parallel()
			var fixed, dynamic time.Duration
			for seed := range uint64(4) {
				cfg := oldSiteConfig{clients: c.clients, chunks: c.chunks, loss: c.loss, seed: seed, mbit: 1000}
				fixed += newOldSite(t, cfg).run()
				cfg.dynamic = true
				o := newOldSite(t, cfg)
				dynamic += o.run()
				st := o.s.Stats(o.now)
				t.Logf("%.3f sent for each block, %d requests, bursts %+v", float64(st.BlocksSent)/float64(o.s.geo.Blocks()), st.Requests, st.BurstChanges)
			}
			t.Logf("%v, with a fixed rate %v", dynamic.Round(time.Millisecond), fixed.Round(time.Millisecond))
			if dynamic > min(fixed+c.longer, c.longest) {
				t.Errorf("four loads take %v, want at most %v, and %v longer than with a fixed rate", dynamic, c.longest, c.longer)
			}
		})
	}
}

// TestOldClientsSlowPort: the rate follows a port that is slower than the
// server, beside what links lose by themselves.
func TestOldClientsSlowPort(t *testing.T) {
	if raceDetector {
		t.Skip("half a minute with the race detector, and one goroutine does it all; .ci/run has it without")
	}
	t.Parallel()
	for _, part := range []float64{0.9, 0.5, 0.2} {
		for _, slow := range []int{1, 4} {
			for _, loss := range []float64{0, 0.05} {
				t.Run(fmt.Sprintf("%v of the rate, %d of 4, loss %v", part, slow, loss), func(t *testing.T) {
					t.Parallel()
					cfg := oldSiteConfig{clients: 4, chunks: 256, loss: loss, seed: 1, mbit: 1000, slow: slow, slowPart: part}
					f := newOldSite(t, cfg)
					fixed := f.run()
					cfg.dynamic = true
					d := newOldSite(t, cfg)
					dynamic := d.run()
					overrun := func(o *oldSite) float64 { return float64(o.clients[0].overrun) / float64(o.clients[0].came) }
					st := d.s.Stats(d.now)
					t.Logf("%v, %.3f overrun, bursts %+v; with a fixed rate %v, %.3f", dynamic.Round(time.Millisecond), overrun(d), st.BurstChanges,
						fixed.Round(time.Millisecond), overrun(f))
					if st.BurstChanges.Cut == 0 || overrun(d) > overrun(f) {
						t.Errorf("%.3f of the blocks overrun the port, with a fixed rate %.3f; %+v", overrun(d), overrun(f), st.BurstChanges)
					}
					if dynamic.Seconds() > 1.1*fixed.Seconds() {
						t.Errorf("%v, with a fixed rate %v", dynamic, fixed)
					}
				})
			}
		}
	}
}

// TestAsked: the loss of a client is what its first requests for chunks name,
// and nothing of those it does not ask for.
func TestAsked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		share    func(chunk int) float64 // asked for; 0: nothing
		again    bool                    // asks for what it lacks a second time
		late     int                     // chunks that have passed when it does
		min, max float64
	}{
		"nothing":                {func(int) float64 { return 0 }, false, 0, 0, 0},
		"always the same":        {func(int) float64 { return 0.05 }, false, 0, 0.049, 0.051},
		"late":                   {func(int) float64 { return 0.05 }, false, 8, 0.049, 0.051},
		"asks twice":             {func(int) float64 { return 0.05 }, true, 3, 0.049, 0.051},
		"one chunk in fifty":     {func(n int) float64 { return []float64{0.1, 0}[min(n%50, 1)] }, false, 0, 0, 0.015},
		"in the middle at first": {func(n int) float64 { return []float64{0.5, 0.01}[min(n, 1)] }, false, 0, 0.009, 0.011},
		"no more":                {func(n int) float64 { return []float64{0.05, 0}[min(n/100, 1)] }, false, 0, 0, 0.001},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const chunks = 200
			var a asked
			now := time.Unix(1000, 0)
			for n := range chunks {
				now = now.Add(10 * time.Millisecond)
				if s := c.share(n); s > 0 {
					a.note(now, uint32(n), s, uint64(n+1+c.late))
					if c.again {
						a.note(now, uint32(n), s*s, uint64(n+1+c.late))
					}
				}
			}
			if got := a.loss(now, chunks+uint64(c.late)).Share(); got < c.min || got > c.max {
				t.Errorf("%.4f lost, want %.3f to %.3f", got, c.min, c.max)
			}
			if got := a.loss(now.Add(askedRecent+time.Second), chunks); got != 0 {
				t.Errorf("%.4f lost though long silent", got.Share())
			}
		})
	}
}
