package client

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"hyzer/multicast/server"
	"hyzer/multicast/wire"
)

// The simulator runs the real machines of one server and many clients on a
// network in virtual time. No data is stored, so that a thousand clients fit.

const (
	simLatency    = 100 * time.Microsecond
	simBitsPerSec = 1_000_000_000
	simTimeMax    = 10 * time.Minute // virtual: what takes longer hangs
)

var (
	simServerAt = netip.MustParseAddrPort("10.0.0.1:4000")
	simGroup    = netip.MustParseAddrPort("239.1.2.3:4000")
	simParity   = uint16(4001)
)

// lossModel says which of the datagrams at one client's link are lost.
type lossModel func(rng *rand.Rand) bool

// bernoulli loses each datagram with probability p.
func bernoulli(p float64) func() lossModel {
	return func() lossModel { return func(rng *rand.Rand) bool { return rng.Float64() < p } }
}

// gilbertElliott loses the share p of the datagrams in bursts of that mean
// length.
func gilbertElliott(p, burst float64) func() lossModel {
	return func() lossModel {
		bad := false
		enter, leave := p/(1-p)/burst, 1/burst
		return func(rng *rand.Rand) bool {
			if bad {
				bad = rng.Float64() >= leave
			} else {
				bad = rng.Float64() < enter
			}
			return bad
		}
	}
}

// simulation is a server and its clients.
type simulation struct {
	t        testing.TB
	now      time.Time
	rng      *rand.Rand
	session  *server.Session
	nodes    []*simNode
	uplinks  []lossModel // of the switches that branch clients each are behind
	branch   int
	events   simEvents
	order    uint64
	wakeAt   time.Time // of the server
	turn     simTurn   // of the server
	waiting  []func()  // for its turn
	loading  int       // clients that have not finished
	slowest  int64     // rate, bit/s
	finished time.Time
}

type simNode struct {
	r        *Reception
	at       netip.Addr
	lost     lossModel
	wakeAt   time.Time
	started  bool
	done     bool
	turn     simTurn
	waiting  []func() // what came while it was not its turn
	parities int      // how many of those are not data, but of the parity port
}

// simTurn says when a machine runs: for slice, from the offset on, of every
// round. The zero value always does.
type simTurn struct{ round, slice, offset time.Duration }

// next returns when the machine runs next, now if it does.
func (t simTurn) next(now time.Time) time.Time {
	if t.round == 0 {
		return now
	}
	into := (time.Duration(now.UnixNano()) - t.offset) % t.round
	if into < t.slice {
		return now
	}
	return now.Add(t.round - into)
}

type simEvent struct {
	at    time.Time
	order uint64
	do    func()
}

type simEvents []simEvent

func (e simEvents) Len() int      { return len(e) }
func (e simEvents) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e simEvents) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].order < e[j].order
}
func (e *simEvents) Push(x any) { *e = append(*e, x.(simEvent)) }
func (e *simEvents) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func (s *simulation) after(d time.Duration, do func()) {
	s.order++
	heap.Push(&s.events, simEvent{s.now.Add(d), s.order, do})
}

// simConfig is what a simulation is of.
type simConfig struct {
	clients, chunks int
	loss            func() lossModel
	mode2           func(client int) bool
	serverMode2     bool
	seed            uint64
	// With branch > 0 that many clients each are behind a switch, and what its
	// uplink loses they lose all.
	branch int
	uplink func() lossModel
	// With slice > 0 server and clients share processors: each runs for slice of
	// every round only, one after the other.
	round, slice time.Duration
	// gather is what the server waits for others to join; the clients begin one
	// after the other within spread.
	gather, spread time.Duration
	// dynamic has the rate follow the loss that clients report.
	dynamic bool
}

// newSimulation returns a site whose clients have all joined, unless they
// begin one after the other.
func newSimulation(t testing.TB, c simConfig) *simulation {
	t.Helper()
	s := &simulation{t: t, now: time.Unix(1000, 0), rng: rand.New(rand.NewPCG(c.seed, 1)), loading: c.clients, branch: c.branch, slowest: math.MaxInt64}
	for n := 0; c.branch > 0 && n < c.clients; n += c.branch {
		s.uplinks = append(s.uplinks, c.uplink())
	}
	cfg := server.SessionConfig{
		Self: simServerAt.Addr(), Address: simGroup, FileBytes: int64(c.chunks) * wire.ChunkBytes,
		Pace: server.Pace{BitsPerSec: simBitsPerSec, Dynamic: c.dynamic}, Gather: c.gather,
	}
	if c.serverMode2 {
		cfg.Mode2 = &server.Mode2{Version: wire.Version{ImageID: 5, Epoch: 6}, ParityPort: simParity}
	}
	var err error
	if s.session, err = server.NewSession(cfg, s.now); err != nil {
		t.Fatal(err)
	}
	blank := make([]byte, wire.ChunkBytes)
	for n := range c.clients {
		node := &simNode{at: netip.AddrFrom4([4]byte{10, 1, byte(n >> 8), byte(n)}), lost: c.loss()}
		node.r = NewReception(ReceptionConfig{
			Self: node.at, Address: simGroup, Server: simServerAt.Addr(), ID: uint32(n) + 1, Raw: true, Mode2: c.mode2(n),
			Rand: rand.New(rand.NewPCG(c.seed, uint64(n)+2)), blank: blank,
		}, s.now)
		s.nodes = append(s.nodes, node)
		if c.slice > 0 {
			node.turn = simTurn{c.round, c.slice, c.round * time.Duration(n+1) / time.Duration(c.clients+1)}
		}
		if c.spread > 0 {
			s.after(c.spread*time.Duration(n)/time.Duration(c.clients), func() { s.begin(node) })
			continue
		}
		s.join(node)
		node.started = true
	}
	if c.slice > 0 {
		s.turn = simTurn{round: c.round, slice: c.slice}
	}
	return s
}

// begin starts a client, which has to join by itself.
func (s *simulation) begin(n *simNode) {
	n.started = true
	s.inTurn(n, func() {})
}

// inTurn does something at a client, and what follows from it, when it is its
// turn.
func (s *simulation) inTurn(n *simNode, do func()) {
	at := n.turn.next(s.now)
	if at.Equal(s.now) {
		do()
		s.tend(n)
		return
	}
	if n.waiting = append(n.waiting, do); len(n.waiting) > 1 {
		return
	}
	s.after(at.Sub(s.now), func() {
		for _, do := range n.waiting {
			do()
		}
		n.waiting, n.parities = n.waiting[:0], 0
		if !n.done {
			s.tend(n)
		}
	})
}

// join lets a client in without loss or delay.
func (s *simulation) join(n *simNode) {
	s.t.Helper()
	n.r.Tick(s.now)
	for _, o := range n.r.TakeSends() {
		s.session.Receive(s.now, netip.AddrPortFrom(n.at, simGroup.Port()), o.Datagram)
	}
	for a := s.session.Next(s.now); a.Kind == server.ActSend; a = s.session.Next(s.now) {
		n.r.Receive(s.now, simServerAt, a.Datagram)
	}
	if _, ok := n.r.Joined(); !ok {
		s.t.Fatalf("%v could not join", n.at)
	}
	_, ok := n.r.ParityAddress()
	n.r.SetParityOpen(ok)
}

// run runs until all clients have the image, and returns datagrams with data
// sent per block of the image.
func (s *simulation) run() float64 {
	s.t.Helper()
	start := s.now
	for _, n := range s.nodes {
		if n.started {
			s.tend(n)
		}
	}
	s.serve()
	for s.loading > 0 {
		if len(s.events) == 0 || s.now.Sub(start) > simTimeMax {
			s.t.Fatalf("%d clients hang after %v: %+v", s.loading, s.now.Sub(start), s.session.Stats(s.now))
		}
		e := heap.Pop(&s.events).(simEvent)
		s.now = e.at
		e.do()
	}
	s.finished = s.now
	st := s.session.Stats(s.now)
	return float64(st.BlocksSent+st.ParitySent) / float64(s.session.Geometry().Blocks())
}

// serve does what the server's shell does, in its turn.
func (s *simulation) serve() {
	if at := s.turn.next(s.now); !at.Equal(s.now) {
		if len(s.waiting) == 0 {
			s.serverLater(at, func() {})
		}
		return
	}
	for {
		a := s.session.Next(s.now)
		s.slowest = min(s.slowest, s.session.Stats(s.now).BitsPerSec)
		switch a.Kind {
		case server.ActSend:
			s.spread(nil, [][]byte{append([]byte(nil), a.Datagram...)}, false)
		case server.ActBlocks, server.ActParity:
			s.spread(nil, simFrames(a), a.Kind == server.ActParity)
		case server.ActSleep:
			if !a.Until.IsZero() && !a.Until.Equal(s.wakeAt) {
				s.wakeAt = a.Until
				s.after(a.Until.Sub(s.now), func() {
					if s.now.Equal(s.wakeAt) {
						s.wakeAt = time.Time{}
						s.serve()
					}
				})
			}
			return
		}
	}
}

// serverLater does something at the server when it is its turn.
func (s *simulation) serverLater(at time.Time, do func()) {
	if s.waiting = append(s.waiting, do); len(s.waiting) > 1 {
		return
	}
	s.after(at.Sub(s.now), func() {
		for _, do := range s.waiting {
			do()
		}
		s.waiting = s.waiting[:0]
		s.serve()
	})
}

// simFrames makes datagrams of an action, without data.
func simFrames(a server.Action) [][]byte {
	frames := make([][]byte, a.Count)
	for i := range frames {
		n := wire.BlockDatagramBytes
		if a.Mode2 {
			n = wire.DatagramBytesMax
		}
		frames[i] = make([]byte, n)
		if a.Kind == server.ActParity {
			wire.PutParityHeader(frames[i], uint32(a.Chunk), uint32(a.First+i), simServerAt.Addr().As4())
		} else {
			wire.PutBlockHeader(frames[i], uint32(a.Chunk), uint32(a.First+i), simServerAt.Addr().As4())
		}
		if a.Mode2 {
			t := a.Trailer
			t.Seq += uint32(i)
			t.Left -= uint16(i)
			wire.PutTrailer(frames[i], t, nil)
		}
	}
	return frames
}

// spread brings datagrams to all but their sender (nil: the server), some time
// later.
func (s *simulation) spread(from *simNode, datagrams [][]byte, parity bool) {
	s.after(simLatency, func() {
		at := simServerAt.Addr()
		if from != nil {
			at = from.at
			s.toServer(from, datagrams, parity)
		}
		var lost []bool // by the uplink
		for i, n := range s.nodes {
			if s.branch > 0 && i%s.branch == 0 {
				lost = lost[:0]
				for range datagrams {
					lost = append(lost, s.uplinks[i/s.branch](s.rng))
				}
			}
			if n == from || n.done || !n.started {
				continue
			}
			come := make([][]byte, 0, len(datagrams))
			for k, d := range datagrams {
				if (lost == nil || !lost[k]) && !n.lost(s.rng) {
					come = append(come, d)
				}
			}
			take := func() { n.take(s.now, at, come, parity) }
			if parity && len(n.waiting) > 0 {
				n.waiting = slices.Insert(n.waiting, n.parities, take) // of a socket of its own, which is read first
				n.parities++
				continue
			}
			s.inTurn(n, take)
		}
	})
}

// take hands a client what came to it.
func (n *simNode) take(now time.Time, from netip.Addr, datagrams [][]byte, parity bool) {
	for _, d := range datagrams {
		if parity {
			n.r.ReceiveParity(now, netip.AddrPortFrom(from, simParity), d)
		} else {
			n.r.Receive(now, netip.AddrPortFrom(from, simGroup.Port()), d)
		}
	}
}

func (s *simulation) toServer(from *simNode, datagrams [][]byte, parity bool) {
	if at := s.turn.next(s.now); !at.Equal(s.now) {
		s.serverLater(at, func() { s.toServer(from, datagrams, parity) })
		return
	}
	wake := false
	for _, d := range datagrams {
		if parity {
			wake = s.session.ReceiveParity(s.now, netip.AddrPortFrom(from.at, simParity), d) || wake
		} else {
			wake = s.session.Receive(s.now, netip.AddrPortFrom(from.at, simGroup.Port()), d) || wake
		}
	}
	if wake {
		s.serve()
	}
}

// tend does what a client's shell does.
func (s *simulation) tend(n *simNode) {
	if _, ok := n.r.ParityAddress(); ok {
		n.r.SetParityOpen(true)
	}
	n.r.Tick(s.now)
	for _, c := range n.r.TakeReady() {
		n.r.Release(s.now, c)
	}
	for _, o := range n.r.TakeSends() {
		if !n.lost(s.rng) {
			s.spread(n, [][]byte{append([]byte(nil), o.Datagram...)}, o.ToParity)
		}
	}
	if err := n.r.Err(); err != nil {
		s.t.Fatalf("%v: %v", n.at, err)
	}
	if n.r.Finished() {
		n.done = true
		s.loading--
		return
	}
	due := n.r.Due(s.now)
	if n.wakeAt.IsZero() || due.Before(n.wakeAt) || !n.wakeAt.After(s.now) {
		n.wakeAt = due
		s.after(max(due.Sub(s.now), time.Microsecond), func() {
			if !n.done && !s.now.Before(n.wakeAt) {
				n.wakeAt = time.Time{}
				s.inTurn(n, func() {})
			}
		})
	}
}
