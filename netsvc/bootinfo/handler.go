package bootinfo

import (
	"net/netip"
	"sync"
	"time"

	"hyzer/netsvc/lifecycle/bootplan"
	"hyzer/storage/registry"
)

// States that a loader's question reports (page bootinfo, "Events").
const (
	statePXEBooting = "PXEBOOTING"
	stateBooting    = "BOOTING"
	statePXEWait    = "PXEWAIT"
	stateRebooting  = "REBOOTING"
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
		out.States = reports(out.Plan)
	}
	return out, true
}

// reports lists the states that go with a plan. Nodes that boot by pxelinux
// report their boot themselves.
func reports(plan bootplan.Plan) []string {
	var states []string
	if plan.Boot != bootplan.PXELinux {
		states = append(states, statePXEBooting)
	}
	switch plan.Kind {
	case bootplan.Fail:
	case bootplan.Wait:
		states = append(states, statePXEWait)
	case bootplan.Reboot:
		states = append(states, stateRebooting)
	default:
		if plan.Boot != bootplan.PXELinux {
			states = append(states, stateBooting)
		}
	}
	return states
}

// Repeats of a loader's datagram within reportInterval are answered but not
// reported again (MINEVENTTIME).
const (
	reportInterval = 10 * time.Second
	recentMax      = 16384 // addresses remembered; known nodes only get in
)

// recent remembers which addresses were reported lately. Time is monotonic, so
// a clock that is set back suppresses nothing.
type recent struct {
	mu    sync.Mutex
	since map[netip.Addr]time.Time
}

// first reports whether addr is due, and marks it.
func (r *recent) first(addr netip.Addr, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, ok := r.since[addr]; ok && now.Sub(at) < reportInterval {
		return false
	}
	if r.since == nil {
		r.since = map[netip.Addr]time.Time{}
	}
	if len(r.since) >= recentMax {
		for a, at := range r.since {
			if now.Sub(at) >= reportInterval {
				delete(r.since, a)
			}
		}
		if len(r.since) >= recentMax {
			clear(r.since) // a repeated report is harmless, memory is not
		}
	}
	r.since[addr] = now
	return true
}

// forget lets the next datagram report again, after a report was lost.
func (r *recent) forget(addr netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.since, addr)
}
