package fuzz

import (
	"math/rand/v2"
	"testing"

	"hyzer/netsvc/lifecycle/states"
	"hyzer/netsvc/lifecycle/states/statestest"
)

// FuzzStatesMachine lets the bytes choose a node and a stream of events. No
// step may panic or break a promise of package states.
func FuzzStatesMachine(f *testing.F) {
	for seed := range byte(8) {
		data := make([]byte, 300)
		rand.NewChaCha8([32]byte{seed}).Read(data)
		f.Add(data, seed&1 != 0, seed&2 != 0)
	}
	const streamBytesMax = 4096
	f.Fuzz(func(t *testing.T, data []byte, dhcp, hard bool) {
		tables := states.Stock().WithPolicy(states.Policy{BootEventsFromDHCP: dhcp, HardSecViolation: hard})
		if err := statestest.NewStream(tables, data[:min(len(data), streamBytesMax)]).Run(); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzStatesReport sends a state name as a stranger would.
func FuzzStatesReport(f *testing.F) {
	for _, name := range []string{"ISUP", "TBSETUP", "", "*", "a b", "\x00", "RELOADDONEV2"} {
		f.Add("NORMALv2", "SHUTDOWN", name, "pc3000")
	}
	f.Fuzz(func(t *testing.T, mode, state, reported, nodeType string) {
		step := statestest.Step{Tables: states.Stock(), Event: states.Report(states.SourceClient, states.State(reported))}
		step.Before = states.Node{Mode: states.Mode(mode), State: states.State(state), Type: nodeType}
		step.Copy = step.Before
		step.After, step.Effects = states.Step(step.Tables, step.Before, step.Event, step.Before.Since)
		if err := statestest.Check(&step); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzStatesParse reads tables and overrides from anyone. What it accepts
// must carry the machine.
func FuzzStatesParse(f *testing.F) {
	f.Add([]byte(`{"modes":{"A":{"kind":"node","states":["ISUP"],"timeouts":[{"state":"ISUP","seconds":5,"action":"REBOOT"}],` +
		`"mode_transitions":[{"state":"ISUP","to_mode":"A","to_state":"ISUP"}]}}}`))
	f.Add([]byte(`{"modes":{"A":{"kind":"node","states":["UP","BOOTING"],"transitions":[{"from":"*","to":"UP"}],` +
		`"triggers":[{"node":"*","state":"UP","triggers":["BOOTING","SCRIPT:x"]}]}},"timeout_overrides":[]}`))
	f.Add([]byte(`{"timeout_overrides":[{"mode":"RELOAD","state":"RELOADING","type":"pc","seconds":9}]}`))
	events := make([]byte, 200)
	rand.NewChaCha8([32]byte{1}).Read(events)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, read := range [...]func([]byte) (*states.Tables, error){states.Parse, states.Stock().Override} {
			tables, err := read(data)
			if err != nil {
				continue
			}
			if err := statestest.NewStream(tables, events).Run(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
