package states_test

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"hyzer/netsvc/lifecycle/states"
	"hyzer/netsvc/lifecycle/states/statestest"
)

// TestPromises feeds random events to random nodes and checks every Step by
// the package's invariants.
func TestPromises(t *testing.T) {
	t.Parallel()
	for name, policy := range map[string]states.Policy{
		"stock": {}, "dhcp": {BootEventsFromDHCP: true}, "hard": {HardSecViolation: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tables := states.Stock().WithPolicy(policy)
			for seed := range uint64(300) {
				rng := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
				data := make([]byte, 400)
				rng.Read(data)
				if err := statestest.NewStream(tables, data).Run(); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
		})
	}
}

// TestCheckFinds shows that the checker is not blind: each broken step must
// be refused.
func TestCheckFinds(t *testing.T) {
	t.Parallel()
	n := states.Node{Mode: "NORMALv2", State: "ISUP", Triggers: []states.NodeTrigger{{State: "TBSETUP"}}}
	now := time.Unix(1e9, 0)
	for name, spoil := range map[string]func(*statestest.Step){
		"log":        func(s *statestest.Step) { s.After.State = "ISUP" },
		"log chain":  func(s *statestest.Step) { s.Effects[1].Entry.From = "X" },
		"mode":       func(s *statestest.Step) { s.After.Mode, s.Effects[1].Entry.ToMode = "X", "X" },
		"deadline":   func(s *statestest.Step) { s.After.Deadline = states.Deadline{} },
		"announced":  func(s *statestest.Step) { s.Effects = s.Effects[:2] },
		"command":    func(s *statestest.Step) { s.After.Command.Kind = "REBOOT" },
		"input":      func(s *statestest.Step) { s.Before.Triggers = nil },
		"generation": func(s *statestest.Step) { s.Copy.Generation = 9; s.Before.Generation = 9 },
		"stale":      func(s *statestest.Step) { s.Event.Life = 99 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := statestest.Step{Tables: states.Stock(), Before: n, Copy: n, Event: states.Report("client", "TBSETUP")}
			s.After, s.Effects = states.Step(s.Tables, n, s.Event, now)
			if err := statestest.Check(&s); err != nil {
				t.Fatalf("the sound step: %v", err)
			}
			if spoil(&s); statestest.Check(&s) == nil {
				t.Error("the spoilt step passed")
			}
		})
	}
}

// TestStepIsPure: the same input gives the same result.
func TestStepIsPure(t *testing.T) {
	t.Parallel()
	n := states.Node{Mode: "NORMALv2", State: "ISUP"}
	now := time.Unix(1e9, 0)
	ev := states.Report(states.SourceClient, states.StateShutdown)
	a, effectsA := states.Step(nil, n, ev, now) // nil tables: the stock ones
	b, effectsB := states.Step(states.Stock(), n, ev, now)
	if !reflect.DeepEqual(a, b) || !reflect.DeepEqual(effectsA, effectsB) {
		t.Errorf("got %+v %+v, then %+v %+v", a, effectsA, b, effectsB)
	}
}
