package stated_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"hyzer/netsvc/lifecycle/stated/statedtest"
	"hyzer/netsvc/lifecycle/states"
	"hyzer/storage/kv"
	"hyzer/storage/registry"
)

// TestPowerCuts feeds random events to three nodes and cuts the power after
// each transaction. What was acknowledged is there, every log is a chain that
// ends in its node's state, every errand that was decided and not done is done
// again, and every deadline fires, once for each generation.
func TestPowerCuts(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := &crashes{Site: statedtest.New(t, 3), rng: rand.New(rand.NewPCG(seed, 3))}
				defer func() { c.Close() }()
				for range 40 {
					c.round()
				}
			})
		})
	}
}

type crashes struct {
	*statedtest.Site
	rng *rand.Rand
}

var reported = []string{"SHUTDOWN", "PXEBOOTING", "BOOTING", "TBSETUP", "ISUP", "TBFAILED", "RELOADSETUP", "RELOADING", "RELOADDONE", "RELOADDONEV2", "PXEWAIT", "PXEWAKEUP", "NOSUCH"}

// round does one thing to a node while nothing carries out errands, cuts the
// power, and lets the appliance run again.
func (c *crashes) round() {
	node := fmt.Sprint("pc", c.rng.IntN(3))
	c.event(node)
	before := *c.Reg.Snapshot().State(node)
	errands := len(c.Reg.Snapshot().Errands())
	c.PowerCut()
	if after := *c.Reg.Snapshot().State(node); fmt.Sprint(after) != fmt.Sprint(before) {
		c.TB.Fatalf("node was %+v, after the power cut %+v", before, after)
	}
	c.CheckLog(node)
	if n := len(c.Reg.Snapshot().Errands()); n != errands {
		c.TB.Fatalf("%d errands, after the power cut %d", errands, n)
	}
	c.Run()
	synctest.Wait()
	if left := c.Reg.Snapshot().Errands(); len(left) != 0 {
		c.TB.Fatalf("errands not done: %+v", left)
	}
	if c.rng.IntN(2) == 0 {
		c.deadlineFires(node)
	}
	c.PowerCut() // the runner stops too
	for i := range 3 {
		c.CheckLog(fmt.Sprint("pc", i))
	}
}

func (c *crashes) event(node string) {
	ctx := context.Background()
	switch c.rng.IntN(9) {
	case 0:
		kind := []states.CommandKind{states.CommandReboot, states.CommandPowerCycle, states.CommandPowerOff, states.CommandPowerOn}[c.rng.IntN(4)]
		c.Runner.Command(ctx, node, "operator", kind, states.Force(c.rng.IntN(4)))
	case 1:
		c.Update(func(tx *registry.Tx) error {
			load := &registry.NodeLoad{Node: node, Images: []registry.LoadImage{{Image: registry.HeadRef("sys", "STD")}}}
			return errors.Join(registry.Put(tx, load), c.Runner.Select(tx, node, func(b *registry.BootSelection) {
				b.Next = registry.HeadRef("sys", []string{"FRISBEE", "MIN-PING", "MFS"}[c.rng.IntN(3)])
			}))
		})
	case 2:
		if err := c.Runner.Control(ctx, node, "operator", states.ControlReset); err != nil {
			c.TB.Fatal(err)
		}
	case 3: // an answer of now, or of before what happened last
		asked := c.Reg.Snapshot().Revision() - kv.Revision(c.rng.IntN(8))
		last := []string{"PXEWAIT", "BOOTING"}[c.rng.IntN(2)]
		if _, err := c.Runner.Expect(node, "bootinfo")(ctx, asked, "PXEBOOTING", last); err != nil {
			c.TB.Fatal(err)
		}
	default:
		c.Report(node, reported[c.rng.IntN(len(reported))])
	}
}

// deadlineFires lets the node's deadline pass, if it has one.
func (c *crashes) deadlineFires(node string) {
	was := *c.Reg.Snapshot().State(node)
	if was.Deadline.At.IsZero() {
		return
	}
	time.Sleep(time.Until(was.Deadline.At) + time.Second)
	synctest.Wait()
	is := c.Reg.Snapshot().State(node)
	if is.Deadline.Generation == was.Deadline.Generation && is.Seq == was.Seq {
		c.TB.Fatalf("deadline %+v of %s/%s did not fire", was.Deadline, was.Mode, was.State)
	}
}

// TestCrashInErrand: a reboot that the power cut interrupted is done again,
// and one that the node has survived by itself is not.
func TestCrashInErrand(t *testing.T) {
	for _, c := range []struct {
		name    string
		reports []string // before the cut, while the errand is under way
		want    int
	}{
		{"not begun", nil, 1},
		{"power is off", []string{"SHUTDOWN"}, 1},
		{"up since", []string{"SHUTDOWN", "PXEBOOTING", "BOOTING", "TBSETUP", "ISUP"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := statedtest.New(t, 1)
				defer func() { s.Close() }()
				s.Actor.OnReboot = func(ctx context.Context, _ string, _ states.Method) error { <-ctx.Done(); return ctx.Err() }
				s.Run()
				s.Report("pc0", "PXEBOOTING", "BOOTING", "TBSETUP", "ISUP")
				if err := s.Runner.Command(context.Background(), "pc0", "operator", states.CommandPowerCycle, states.ForceNone); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if len(c.reports) > 0 {
					s.Report("pc0", c.reports...)
				}
				s.PowerCut()
				s.Actor.Orders()
				s.Actor.OnReboot = nil
				s.Run()
				synctest.Wait()
				if got := s.Actor.Orders(); len(got) != c.want {
					t.Errorf("after the restart: %q, want %d", got, c.want)
				}
				if left := s.Reg.Snapshot().Errands(); len(left) != 0 {
					t.Errorf("errands left: %+v", left)
				}
			})
		})
	}
}

// TestNothingFiresTwice: over many restarts, a deadline's generation fires at
// most once.
func TestNothingFiresTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := statedtest.New(t, 1)
		defer func() { s.Close() }()
		s.Report("pc0", "PXEBOOTING", "BOOTING", "TBSETUP") // 600 s, NOTIFY
		fired := map[int]int{}
		for range 200 {
			s.Run()
			time.Sleep(20 * time.Second)
			synctest.Wait()
			fired[s.Reg.Snapshot().State("pc0").Deadline.Fired]++
			s.PowerCut()
		}
		if n := s.Reg.Snapshot().State("pc0").TimedOut; n != 2 { // after 600 s and after 1200 s more
			t.Errorf("%d time-outs in 4000 s, want 2; turns with each count: %v", n, fired)
		}
	})
}
