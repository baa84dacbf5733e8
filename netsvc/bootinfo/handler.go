package bootinfo

import (
	"net/netip"
	"sync"
	"time"

	"hyzer/netsvc/lifecycle/bootplan"
	"hyzer/storage/registry"
)

// Outcome is what a request leads to.
type Outcome struct {
	Reply  Packet
	Node   string   // "" for an unknown machine
	States []string // to report for Node before answering, in order
	Plan   bootplan.Plan
}

// Handle answers a request from an address. ok is false when the protocol's
// answer is silence.
func Handle(s *registry.Snapshot, req Request, from netip.Addr) (out Outcome, ok bool) {
	var node *registry.Node
	switch req.Opcode {
	case OpRequest, OpInfo:
		if port, known := s.NodeByIP(from); known {
			node = port.Node
		}
	case OpKeyedRequest:
		node = s.NodeByWideAreaKey(req.Key)
	default:
		return Outcome{}, false
	}
	out.Plan = bootplan.Resolve(s, node, bootplan.Asker{LoaderVersion: int(req.Version)})
	out.Reply = Packet{Version: req.Version, Opcode: OpReply, Status: StatusFail}
	if answer, valid := AnswerFor(out.Plan); valid {
		out.Reply.Status, out.Reply.Answer = StatusSuccess, answer
	}
	if node != nil && !out.Plan.NewNode {
		out.Node = node.ID
		out.States = out.Plan.Reports()
	}
	return out, true
}

// Repeats of a loader's datagram within reportInterval are answered but not
// reported again (MINEVENTTIME). A question that comes after the node's state
// has moved on is no repeat: a loader that was just woken asks at once, and its
// boot must be seen.
const (
	reportInterval = 10 * time.Second
	recentMax      = 16384 // addresses remembered; known nodes only get in
)

// recent remembers which addresses were reported lately. Time is monotonic, so
// a clock that is set back suppresses nothing.
type recent struct {
	mu     sync.Mutex
	byAddr map[netip.Addr]reported
}

// reported is one address's last report.
type reported struct {
	at      time.Time
	pending bool   // not durable yet
	seq     uint64 // of the node's log when it was
}

// first reports whether a question from addr is due for a report, and marks it
// as pending. seq is the node's place in its log now.
func (r *recent) first(addr netip.Addr, seq uint64, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	last, ok := r.byAddr[addr]
	if ok && now.Sub(last.at) < reportInterval && (last.pending || last.seq == seq) {
		return false
	}
	if r.byAddr == nil {
		r.byAddr = map[netip.Addr]reported{}
	}
	if !ok && len(r.byAddr) >= recentMax {
		r.makeRoom(now)
	}
	r.byAddr[addr] = reported{at: now, pending: true}
	return true
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

// done notes that a report is durable, and where it left the node's log.
func (r *recent) done(addr netip.Addr, seq uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last, ok := r.byAddr[addr]; ok {
		last.pending, last.seq = false, seq
		r.byAddr[addr] = last
	}
}

// forget lets the next datagram report again, after a report was lost.
func (r *recent) forget(addr netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byAddr, addr)
}
