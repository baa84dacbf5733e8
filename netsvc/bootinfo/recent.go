package bootinfo

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"hyzer/storage/registry"
)

// Repeats of a loader's datagram within reportInterval are answered but not
// reported again (MINEVENTTIME). A question that comes after the node's state
// has moved on is no repeat: a loader that was just woken asks at once, and its
// boot must be seen. Nor is one that gets another answer than the last.
const (
	reportInterval = 10 * time.Second
	recentMax      = 16384 // addresses remembered; known nodes only get in
)

// recent remembers which addresses were reported lately. Time is monotonic, so
// a clock that is set back suppresses nothing.
type recent struct {
	mu     sync.Mutex
	turns  uint64
	byAddr map[netip.Addr]reported
}

// reported is one address's last report.
type reported struct {
	turn    uint64
	at      time.Time
	pending bool // not durable yet
	place   place
	states  []string
}

// place is where a node is in its life. It changes with each state and order.
type place struct{ seq, generation uint64 }

func placeOf(s *registry.NodeState) place { return place{s.Seq, s.Generation} }

// first reports whether a question from addr is due for a report, marks it as
// pending, and gives it a turn. at is where the node is now, states what its
// answer leads to. While a report is pending its like is not due, however long
// the store takes: that bounds what waits for the store.
func (r *recent) first(addr netip.Addr, at place, states []string, now time.Time) (turn uint64, due bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last, ok := r.byAddr[addr]
	repeat := last.place == at && (last.pending || now.Sub(last.at) < reportInterval)
	if ok && repeat && slices.Equal(last.states, states) {
		return 0, false
	}
	if r.byAddr == nil {
		r.byAddr = map[netip.Addr]reported{}
	}
	if !ok && len(r.byAddr) >= recentMax {
		r.makeRoom(now)
	}
	r.turns++
	r.byAddr[addr] = reported{turn: r.turns, at: now, pending: true, place: at, states: states}
	return r.turns, true
}

func (r *recent) makeRoom(now time.Time) {
	for a, last := range r.byAddr {
		if now.Sub(last.at) >= reportInterval {
			delete(r.byAddr, a)
		}
	}
	if len(r.byAddr) >= recentMax {
		clear(r.byAddr) // a repeated report is harmless, memory is not
	}
}

// done notes that the report of a turn is durable, what it said, and where it
// left the node.
func (r *recent) done(addr netip.Addr, turn uint64, left place, states []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last, ok := r.byAddr[addr]; ok && last.turn == turn {
		last.pending, last.place, last.states = false, left, states
		r.byAddr[addr] = last
	}
}

// forget lets the next datagram report again, after the report of a turn failed.
func (r *recent) forget(addr netip.Addr, turn uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byAddr[addr].turn == turn {
		delete(r.byAddr, addr)
	}
}
