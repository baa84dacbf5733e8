package dhcp

import (
	"strings"
	"sync/atomic"
	"time"

	"net/netip"
)

const typesMax = Inform

// counters are written by every goroutine of the server.
type counters struct {
	received, commits, leases atomic.Uint64
	sent                      [typesMax + 1]atomic.Uint64
	reasons                   [reasonCount]atomic.Uint64
}

// Counts returns the counters since New by name: received, commits, leases
// (records stored), sent offer, sent ack, sent nak, table (addresses known),
// and each Reason's text. Those that are zero are left out.
func (s *Server) Counts() map[string]uint64 {
	counts := map[string]uint64{}
	add := func(name string, n uint64) {
		if n > 0 {
			counts[name] = n
		}
	}
	add("received", s.counts.received.Load())
	add("commits", s.counts.commits.Load())
	add("leases", s.counts.leases.Load())
	for kind := range s.counts.sent {
		add("sent "+strings.ToLower(MessageType(kind).String()), s.counts.sent[kind].Load())
	}
	for r := ReasonReserved; r < reasonCount; r++ {
		add(r.String(), s.counts.reasons[r].Load())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	add("table", uint64(s.table.Len()))
	return counts
}

// Holding is who holds an address now, for people.
type Holding struct {
	IP        netip.Addr
	Client    HardwareAddr
	Node      string
	State     string // offered, bound or declined
	Remaining time.Duration
}

// Holdings lists every address that is offered, leased or in quarantine, in no
// order.
func (s *Server) Holdings() []Holding {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	list := make([]Holding, 0, s.table.Len())
	for _, b := range s.table.byIP {
		if b.live(now) {
			list = append(list, Holding{addrOf(b.ip), b.client, b.node, b.state.String(), b.until - now})
		}
	}
	return list
}

func (s bindingState) String() string {
	return [...]string{"free", "offered", "bound", "declined"}[min(s, bindingDeclined)]
}
