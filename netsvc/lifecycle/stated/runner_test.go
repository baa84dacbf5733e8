package stated_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hyzer/netsvc/lifecycle/stated"
	"hyzer/netsvc/lifecycle/stated/statedtest"
	"hyzer/netsvc/lifecycle/states"
	"hyzer/storage/registry"
)

// site runs fn on a running site in virtual time.
func site(t *testing.T, nodes int, fn func(s *statedtest.Site)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := statedtest.New(t, nodes)
		defer s.Close()
		s.Run()
		fn(s)
	})
}

func wantOrders(s *statedtest.Site, want ...string) {
	s.TB.Helper()
	synctest.Wait()
	if got := s.Actor.Orders(); !slices.Equal(got, want) {
		s.TB.Errorf("orders %q, want %q", got, want)
	}
}

func TestDeadlineFires(t *testing.T) {
	site(t, 1, func(s *statedtest.Site) {
		s.Report("pc0", "SHUTDOWN", "PXEBOOTING")
		time.Sleep(239 * time.Second)
		wantOrders(s)
		time.Sleep(2 * time.Second) // PXEKERNEL/PXEBOOTING has 240 s
		wantOrders(s, "pc0 ladder")
	})
}

func TestClearedDeadlineDoesNotFire(t *testing.T) {
	site(t, 1, func(s *statedtest.Site) {
		s.Report("pc0", "PXEBOOTING")
		time.Sleep(200 * time.Second)
		s.Report("pc0", "BOOTING", "TBSETUP", "ISUP")
		time.Sleep(time.Hour)
		wantOrders(s)
		if at := s.At("pc0"); at != "NORMALv2/ISUP" {
			t.Errorf("node is %s", at)
		}
	})
}

// TestCommandRetriesThenGivesUp: a reboot that has no effect is tried again
// each 75 s, and its end is an entry of the node's log.
func TestCommandRetriesThenGivesUp(t *testing.T) {
	site(t, 1, func(s *statedtest.Site) {
		s.Actor.OnReboot = func(context.Context, string, states.Method) error { return errors.New("no answer") }
		s.Report("pc0", "PXEBOOTING", "BOOTING", "TBSETUP", "ISUP")
		if err := s.Runner.Command(context.Background(), "pc0", "operator", states.CommandReboot, states.ForceNone); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		wantOrders(s, "pc0 ladder", "pc0 ladder", "pc0 ladder", "pc0 ladder")
		log := s.CheckLog("pc0")
		last := log[len(log)-1]
		if last.Ended != registry.EndedGaveUp || last.To != "ISUP" || last.IsArrival() {
			t.Errorf("last entry %+v, want the end of trying", last)
		}
		if s.Reg.Snapshot().Command("pc0") != nil || len(s.Reg.Snapshot().Errands()) != 0 {
			t.Error("a command or errand is left")
		}
	})
}

func TestRefusedCommand(t *testing.T) {
	site(t, 1, func(s *statedtest.Site) {
		s.Report("pc0", "PXEBOOTING", "BOOTING")
		err := s.Runner.Command(context.Background(), "pc0", "operator", states.CommandReboot, states.ForceNone)
		if !errors.Is(err, stated.ErrRefused) || !strings.Contains(err.Error(), "pc0") {
			t.Errorf("error %v", err)
		}
		wantOrders(s)
	})
}

// TestProbeBlocksNobody: while nodes are probed for minutes, any of them can be
// rebooted, and a new boot's probe takes the place of the old one.
func TestProbeBlocksNobody(t *testing.T) {
	site(t, 200, func(s *statedtest.Site) {
		s.Actor.OnPing = func(ctx context.Context, _ string) bool { <-ctx.Done(); return false }
		for i := range 200 {
			node := fmt.Sprint("pc", i)
			s.Update(func(tx *registry.Tx) error {
				return s.Runner.Select(tx, node, func(b *registry.BootSelection) { b.Def = registry.HeadRef("sys", "MIN-PING") })
			})
			s.Report(node, "PXEBOOTING", "BOOTING")
		}
		synctest.Wait()
		if n := len(s.Actor.Orders()); n != 200 {
			t.Fatalf("%d probes under way, want 200", n)
		}
		for i := range 200 {
			if err := s.Runner.Command(context.Background(), fmt.Sprint("pc", i), "operator", states.CommandReboot, states.ForceAny); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if n := len(s.Actor.Orders()); n != 200 {
			t.Fatalf("%d reboots beside the probes, want 200", n)
		}
		s.Report("pc7", "SHUTDOWN", "BOOTING")
		wantOrders(s, "pc7 ping")
		if n := len(s.Reg.Snapshot().Errands()); n != 200 { // 199 probes and the new one
			t.Errorf("%d errands, want 200", n)
		}
	})
}

func TestPingUpReportsISUP(t *testing.T) {
	site(t, 1, func(s *statedtest.Site) {
		s.Actor.OnPing = func(context.Context, string) bool { return true }
		s.Update(func(tx *registry.Tx) error {
			return s.Runner.Select(tx, "pc0", func(b *registry.BootSelection) { b.Def = registry.HeadRef("sys", "MIN-PING") })
		})
		s.Report("pc0", "PXEBOOTING", "BOOTING")
		synctest.Wait()
		if at := s.At("pc0"); at != "MINIMAL/ISUP" || len(s.Reg.Snapshot().Errands()) != 0 {
			t.Errorf("node is %s, errands %v", at, s.Reg.Snapshot().Errands())
		}
	})
}

// TestSlowRebootBlocksOneNode: nodes that take long keep a worker each, and no
// other node waits behind them.
func TestSlowRebootBlocksOneNode(t *testing.T) {
	site(t, 65, func(s *statedtest.Site) {
		s.Actor.OnReboot = func(ctx context.Context, node string, _ states.Method) error {
			if node != "pc64" {
				select {
				case <-time.After(time.Minute):
				case <-ctx.Done():
				}
			}
			return nil
		}
		for i := range 63 {
			s.Runner.Command(context.Background(), fmt.Sprint("pc", i), "operator", states.CommandPowerCycle, states.ForceAny)
		}
		s.Runner.Command(context.Background(), "pc64", "operator", states.CommandPowerCycle, states.ForceAny)
		synctest.Wait()
		if s.Reg.Snapshot().Command("pc64") != nil {
			t.Error("the quick node waits for the slow ones")
		}
	})
}

// TestLeftWithoutPower: the failure of a node that stays off is in its log.
func TestLeftWithoutPower(t *testing.T) {
	site(t, 1, func(s *statedtest.Site) {
		s.Actor.OnReboot = func(ctx context.Context, node string, _ states.Method) error {
			if err := s.Runner.Report(ctx, node, "power", "SHUTDOWN"); err != nil {
				return err
			}
			return fmt.Errorf("%w: no answer", stated.ErrLeftOff)
		}
		s.Report("pc0", "PXEBOOTING", "BOOTING", "TBSETUP", "ISUP")
		s.Runner.Command(context.Background(), "pc0", "operator", states.CommandPowerCycle, states.ForceNone)
		synctest.Wait()
		log := s.CheckLog("pc0")
		if last := log[len(log)-1]; last.Ended != registry.EndedGaveUp || !strings.Contains(last.Note, "no answer") || last.To != "SHUTDOWN" {
			t.Errorf("last entry %+v", last)
		}
	})
}

// TestDeletedNode: its errands end, its timers fire into nothing, and a node
// made again under its name is watched over.
func TestDeletedNode(t *testing.T) {
	site(t, 1, func(s *statedtest.Site) {
		release := make(chan struct{})
		s.Actor.OnReboot = func(context.Context, string, states.Method) error { <-release; return nil }
		s.Report("pc0", "PXEBOOTING")
		s.Runner.Command(context.Background(), "pc0", "operator", states.CommandReboot, states.ForceAny)
		synctest.Wait()
		node := *s.Reg.Snapshot().Node("pc0")
		s.Update(func(tx *registry.Tx) error {
			return errors.Join(registry.Delete[registry.Reservation](tx, "pc0"), registry.Delete[registry.Node](tx, "pc0"))
		})
		close(release)
		synctest.Wait()
		if n := s.Reg.Snapshot().Errands(); len(n) != 0 {
			t.Errorf("errands left: %v", n)
		}
		s.Actor.Orders()
		s.Update(func(tx *registry.Tx) error { return registry.Put(tx, &node) })
		s.Report("pc0", "PXEBOOTING")
		time.Sleep(241 * time.Second)
		wantOrders(s, "pc0 ladder")
		s.CheckLog("pc0")
	})
}

// TestUnknownNode: nothing is recorded for a node that is not there.
func TestUnknownNode(t *testing.T) {
	site(t, 0, func(s *statedtest.Site) {
		err := s.Runner.Report(context.Background(), "pc9", "client", "ISUP")
		if !errors.Is(err, registry.ErrNotFound) || !strings.Contains(err.Error(), "pc9") {
			t.Errorf("error %v", err)
		}
	})
}

// TestConcurrentReports: reports of one node and of many are each recorded,
// and each node's log is a chain.
func TestConcurrentReports(t *testing.T) {
	t.Parallel()
	s := statedtest.New(t, 8)
	s.Run()
	defer s.Close()
	const reporters, reports = 16, 20
	var work sync.WaitGroup
	for i := range reporters {
		work.Go(func() {
			for k := range reports {
				node := "pc0"
				if i%2 == 0 {
					node = fmt.Sprint("pc", (i+k)%8)
				}
				s.Report(node, []string{"ISUP", "SHUTDOWN", "PXEBOOTING", "BOOTING", "TBSETUP"}[(i+k)%5])
			}
		})
	}
	work.Wait()
	arrivals := 0
	for i := range 8 {
		for _, e := range s.CheckLog(fmt.Sprint("pc", i)) {
			if e.Source == "client" {
				arrivals++
			}
		}
	}
	if arrivals != reporters*reports {
		t.Errorf("%d reports in the logs, want %d", arrivals, reporters*reports)
	}
}

// TestErrandsBeforeRun: what is reported before Run is done once.
func TestErrandsBeforeRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := statedtest.New(t, 1)
		defer s.Close()
		s.Runner.Command(context.Background(), "pc0", "operator", states.CommandPowerOn, states.ForceAny)
		s.Run()
		wantOrders(s, "pc0 poweron")
	})
}

// TestLoaderWithoutLoad: the machine expects the system that bootplan names.
func TestLoaderWithoutLoad(t *testing.T) {
	site(t, 1, func(s *statedtest.Site) {
		// The loader is selected and the load is over: BOOTING was lost.
		s.Update(func(tx *registry.Tx) error {
			return s.Runner.Select(tx, "pc0", func(b *registry.BootSelection) { b.Next = registry.HeadRef("sys", "FRISBEE") })
		})
		s.Report("pc0", "SHUTDOWN", "PXEBOOTING", "BOOTING")
		if at := s.At("pc0"); at != "NORMALv2/BOOTING" {
			t.Errorf("node is %s, want the default system's op_mode", at)
		}
	})
}

// TestSlowRebootIsNotRepeated: a reboot that takes longer than its command's
// time is not done again when it has worked; a later order is.
func TestSlowRebootIsNotRepeated(t *testing.T) {
	site(t, 1, func(s *statedtest.Site) {
		s.Actor.OnReboot = func(ctx context.Context, node string, _ states.Method) error {
			time.Sleep(100 * time.Second)
			return s.Runner.Report(ctx, node, "power", "SHUTDOWN")
		}
		s.Report("pc0", "PXEBOOTING", "BOOTING", "TBSETUP", "ISUP")
		ctx := context.Background()
		if err := s.Runner.Command(ctx, "pc0", "operator", states.CommandReboot, states.ForceNone); err != nil {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Minute)
		wantOrders(s, "pc0 ladder")
		s.Report("pc0", "PXEBOOTING", "BOOTING", "TBSETUP", "ISUP")
		if err := s.Runner.Command(ctx, "pc0", "operator", states.CommandReboot, states.ForceNone); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Second)
		if err := s.Runner.Command(ctx, "pc0", "operator", states.CommandPowerOff, states.ForceAny); err != nil {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Minute)
		wantOrders(s, "pc0 ladder", "pc0 poweroff")
		if left := s.Reg.Snapshot().Errands(); len(left) > 0 {
			t.Errorf("errands left: %+v", left)
		}
	})
}
