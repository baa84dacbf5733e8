package stated_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"hyzer/netsvc/lifecycle/stated"
	"hyzer/netsvc/lifecycle/stated/statedtest"
	"hyzer/netsvc/lifecycle/states"
	"hyzer/storage/registry"
)

// steps are the reports in a node's log.
func steps(s *statedtest.Site, node string) (to []string) {
	for _, e := range s.CheckLog(node) {
		if !e.ModeChange {
			to = append(to, e.To)
		}
	}
	return to
}

// TestExpect: what happens to a node comes behind the reports of it that were
// announced before, in their order; other nodes do not wait.
func TestExpect(t *testing.T) {
	site(t, 2, func(s *statedtest.Site) {
		ctx := context.Background()
		first := s.Runner.Expect("pc0", "bootinfo")
		second := s.Runner.Expect("pc0", "bootinfo")
		s.Report("pc1", "SHUTDOWN")
		begin := time.Now()
		var third time.Duration
		go func() {
			s.Report("pc0", "TBSETUP")
			third = time.Since(begin)
		}()
		go func() {
			if state, err := second(ctx, 7, "BOOTING"); err != nil || state.State != "BOOTING" || state.Asked != 7 {
				s.TB.Errorf("%+v, %v", state, err)
			}
		}()
		synctest.Wait()
		time.Sleep(time.Second)
		if state, err := first(ctx, 6, "PXEBOOTING"); err != nil || state.State != "PXEBOOTING" {
			s.TB.Errorf("%+v, %v", state, err)
		}
		synctest.Wait()
		if got := steps(s, "pc0"); !slices.Equal(got, []string{"PXEBOOTING", "BOOTING", "TBSETUP"}) || third != time.Second {
			s.TB.Errorf("steps %q, the last after %s", got, third)
		}
	})
}

// TestExpectNothing: a report that turns out to have nothing to say, or cannot be
// recorded, is waited for no longer; one that does not come, for two seconds.
func TestExpectNothing(t *testing.T) {
	site(t, 1, func(s *statedtest.Site) {
		ctx := context.Background()
		for _, c := range []struct {
			node   string
			states []string
			err    error
		}{{"pc0", nil, nil}, {"pc9", []string{"PXEBOOTING"}, registry.ErrNotFound}} {
			begin, record := time.Now(), s.Runner.Expect(c.node, "bootinfo")
			if state, err := record(ctx, 1, c.states...); !errors.Is(err, c.err) || state != nil {
				s.TB.Errorf("%s: %+v, %v", c.node, state, err)
			}
			s.Runner.AwaitReports(ctx, c.node)
			if waited := time.Since(begin); waited != 0 {
				s.TB.Errorf("%s: waited for %s", c.node, waited)
			}
		}
		record := s.Runner.Expect("pc0", "bootinfo")
		begin := time.Now()
		s.Report("pc0", "SHUTDOWN")
		if waited := time.Since(begin); waited != 2*time.Second {
			s.TB.Errorf("waited for %s", waited)
		}
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := s.Runner.Report(short, "pc0", "client", "SHUTDOWN"); err == nil {
			s.TB.Error("a report is recorded although its caller has gone")
		}
		if _, err := record(ctx, 0); err != nil {
			s.TB.Error(err)
		}
	})
}

// TestOrderSeesWhatIsExpected: the gatekeeper of an unforced reboot decides by
// the state that is on its way.
func TestOrderSeesWhatIsExpected(t *testing.T) {
	site(t, 1, func(s *statedtest.Site) {
		s.Report("pc0", "PXEBOOTING", "BOOTING", "TBSETUP", "ISUP")
		record := s.Runner.Expect("pc0", "bootinfo")
		go func() {
			time.Sleep(time.Second)
			if _, err := record(context.Background(), 1<<40, "PXEBOOTING", "PXEWAIT"); err != nil {
				s.TB.Error(err)
			}
		}()
		err := s.Runner.Command(context.Background(), "pc0", "operator", states.CommandReboot, states.ForceNone)
		if !errors.Is(err, stated.ErrRefused) {
			s.TB.Errorf("error %v, want that the node waits and is not up", err)
		}
	})
}
