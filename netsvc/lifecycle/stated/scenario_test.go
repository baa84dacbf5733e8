package stated_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"hyzer/bench/shared"
	"hyzer/netsvc/lifecycle/stated"
	"hyzer/netsvc/lifecycle/stated/statedtest"
	"hyzer/netsvc/lifecycle/states"
	"hyzer/storage/registry"
)

type scenario struct {
	Name string
	Init struct {
		Mode, State    string
		Def, Next      string
		Temp, OSID     string
		NextOpMode     string `json:"next_op_mode"`
		Reserved       string
		CurrentReloads int `json:"current_reloads"`
	}
	Steps []struct {
		In         string
		Mode       string
		State      string
		NextOpMode string  `json:"next_op_mode"`
		OSID       string  `json:"osid"`
		NextOSID   *string `json:"next_boot_osid"`
		Actions    []string
	}
}

// differs lists where the store's records differ from the scenarios on
// purpose, by scenario and step: a report that the machine makes itself is part
// of the transaction that led to it.
var differs = map[string]string{
	"always-up device, step 1":               `ALWAYSUP/ISUP next_op_mode="" osid=STD next_boot_osid="" orders=[]`,
	"OS that never reports, no ping, step 2": `MINIMAL/ISUP next_op_mode="" osid=MIN next_boot_osid="" orders=[]`,
}

// TestScenarios replays the shared specs' scenarios through a Runner, and
// compares what is stored and what the Actor was ordered.
func TestScenarios(t *testing.T) {
	t.Parallel()
	var file struct{ Scenarios []scenario }
	if err := json.Unmarshal(shared.ReadFile(t, "data/state-scenarios.json"), &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Scenarios) != 18 {
		t.Fatalf("%d scenarios, want 18", len(file.Scenarios))
	}
	for _, sc := range file.Scenarios {
		t.Run(sc.Name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := statedtest.New(t, 1)
				defer s.Close()
				s.Actor.OnReboot = func(ctx context.Context, _ string, _ states.Method) error { return errors.New("no effect") }
				sc.setUp(s)
				s.Run()
				for i, step := range sc.Steps {
					time.Sleep(time.Second)
					sc.feed(s, step.In)
					synctest.Wait()
					want := fmt.Sprintf("%s/%s next_op_mode=%q osid=%s next_boot_osid=%q orders=%q", step.Mode, step.State,
						step.NextOpMode, step.OSID, deref(step.NextOSID), ordersOf(step.Actions))
					if other, ok := differs[fmt.Sprintf("%s, step %d", sc.Name, i+1)]; ok {
						want = other
					}
					if got := stored(s); got != want {
						t.Fatalf("%s, step %d, %s:\n got %s\nwant %s", sc.Name, i+1, step.In, got, want)
					}
				}
				s.CheckLog("pc0")
			})
		})
	}
}

func ref(name string) registry.Ref {
	if name == "" {
		return registry.Ref{}
	}
	return registry.HeadRef("sys", name)
}

func (sc *scenario) setUp(s *statedtest.Site) {
	i := sc.Init
	s.Update(func(tx *registry.Tx) error {
		boot := &registry.BootSelection{Node: "pc0", Def: ref(i.Def), Next: ref(i.Next), Temp: ref(i.Temp)}
		state := &registry.NodeState{Node: "pc0", Mode: i.Mode, State: i.State, NextMode: i.NextOpMode, Running: ref(i.OSID), Since: time.Now().UTC()}
		err := errors.Join(registry.Put(tx, boot), registry.Put(tx, state))
		if i.CurrentReloads > 0 {
			err = errors.Join(err, registry.Put(tx, &registry.NodeLoad{Node: "pc0", Images: []registry.LoadImage{{Image: ref("STD")}}}))
		}
		switch i.Reserved {
		case "reloading":
			err = errors.Join(err, registry.Put(tx, &registry.Reservation{Node: "pc0", Experiment: registry.ReloadingExpt}))
		case "user":
		default:
			err = errors.Join(err, registry.Delete[registry.Reservation](tx, "pc0"))
		}
		return err
	})
}

// feed gives the runner one input; "!timeout" lets the time pass that the
// command, else the state, has left.
func (sc *scenario) feed(s *statedtest.Site, in string) {
	switch in {
	case "!cmd:REBOOT", "!cmd:POWEROFF", "!cmd:POWERON", "!cmd:POWERCYCLE":
		err := s.Runner.Command(context.Background(), "pc0", "operator", states.CommandKind(in[len("!cmd:"):]), states.ForceNone)
		if err != nil && !errors.Is(err, stated.ErrRefused) {
			s.TB.Fatal(err)
		}
	case "!timeout":
		at := s.Reg.Snapshot().State("pc0").Deadline.At
		if c := s.Reg.Snapshot().Command("pc0"); c != nil && !c.At.IsZero() {
			at = c.At
		}
		time.Sleep(time.Until(at))
	default:
		s.Report("pc0", in)
	}
}

func stored(s *statedtest.Site) string {
	snapshot := s.Reg.Snapshot()
	state, boot := snapshot.State("pc0"), snapshot.Boot("pc0")
	return fmt.Sprintf("%s/%s next_op_mode=%q osid=%s next_boot_osid=%q orders=%q", state.Mode, state.State, state.NextMode,
		state.Running.Name, boot.Next.Name, s.Actor.Orders())
}

// ordersOf are the scenarios' actions that are orders to the Actor.
func ordersOf(actions []string) []string {
	var orders []string
	for _, a := range actions {
		order := map[string]string{"run:node_reboot": "pc0 ladder", "run:wakeup": "pc0 wakeup", "run:powercycle": "pc0 powercycle",
			"apod-or-powercycle": "pc0 ipod", "spawn:pinger": "pc0 ping"}[a]
		if order != "" {
			orders = append(orders, order)
		}
	}
	return slices.Clip(orders)
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
