package bootinfo

import (
	"net/netip"

	"hyzer/netsvc/lifecycle/bootplan"
	"hyzer/storage/registry"
)

// Outcome is what a request leads to.
type Outcome struct {
	Reply  Packet
	Node   string   // "" for an unknown machine
	States []string // to report for Node, in order
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
