package lab_test

import (
	"net/http"
	"testing"

	"hyzer/bench/lab"
	"hyzer/bench/vnode"
	"hyzer/netsvc/control"
)

// TestWake loads nodes that wait in their loader: they are woken by an order,
// not by power, and everything they report is a step the state machine knows.
func TestWake(t *testing.T) {
	t.Parallel()
	l := start(t, lab.Options{Nodes: 3, Reserved: 2, Image: imageFor(t, false), Node: fast})
	for _, n := range l.Nodes {
		n.PowerOn()
	}
	awaitPhase(t, l.Nodes, vnode.PhaseWait)
	wantDone(t, load(t, l, control.LoadRequest{}), "pc1", "pc2")
	for _, n := range l.Nodes[:2] {
		if orders := l.Chassis.Orders(n.Name()); orders != 2 {
			t.Errorf("%s: %d power orders, want off and on after the load", n.Name(), orders)
		}
	}
	// The third was free: it is loaded, freed and waits again.
	awaitPhase(t, l.Nodes[2:], vnode.PhaseWait)
	if n := nodeNow(t, l, "pc3"); n.Reservation != nil {
		t.Errorf("pc3 is reserved to %s", n.Reservation.Experiment)
	}
	noInvalid(t, l)
}

// noInvalid expects that no node made a step that the tables do not know.
func noInvalid(t *testing.T, l *lab.Lab) {
	t.Helper()
	for _, n := range l.Nodes {
		var entries []struct {
			From, To, Mode string
			Invalid        bool
		}
		if err := l.Control.Call(t.Context(), http.MethodGet, "/v1/nodes/"+n.Name()+"/log", nil, &entries); err != nil {
			t.Fatal(err)
		}
		if len(entries) < 5 {
			t.Errorf("%s: a log of %d entries", n.Name(), len(entries))
		}
		for _, e := range entries {
			if e.Invalid {
				t.Errorf("%s: step from %s to %s/%s is invalid", n.Name(), e.From, e.Mode, e.To)
			}
		}
	}
}
