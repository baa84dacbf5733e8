package wait_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hyzer/netsvc/lifecycle/stated/statedtest"
	"hyzer/netsvc/lifecycle/states"
	"hyzer/netsvc/lifecycle/wait"
	"hyzer/storage/kv"
	"hyzer/storage/registry"
)

func site(t *testing.T, nodes int, fn func(s *statedtest.Site)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := statedtest.New(t, nodes)
		defer func() { s.Close() }()
		s.Run()
		fn(s)
	})
}

func start(s *statedtest.Site, req wait.Request) *wait.Waiter {
	s.TB.Helper()
	w, err := wait.Start(context.Background(), s.Reg, req)
	if err != nil {
		s.TB.Fatal(err)
	}
	return w
}

func pattern(t testing.TB, text string) wait.Pattern {
	t.Helper()
	p, err := wait.ParsePattern(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// rest returns the results that come, each as "node outcome MODE/STATE reason".
func rest(w *wait.Waiter) []string {
	var all []string
	for {
		r, ok := w.Next(context.Background())
		if !ok {
			return all
		}
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s %s/%s %s", r.Node, r.Outcome, r.Mode, r.State, r.Reason)))
	}
}

// TestPatterns: what one node reports, and how the wait for it ends.
func TestPatterns(t *testing.T) {
	boot := []string{"SHUTDOWN", "PXEBOOTING", "BOOTING", "TBSETUP", "ISUP"}
	for _, c := range []struct {
		pattern string
		reports []string
		want    string
	}{
		{"ISUP", boot, "reached NORMALv2/ISUP"},
		{"SHUTDOWN > ISUP", boot, "reached NORMALv2/ISUP"},
		{"SHUTDOWN ISUP", []string{"ISUP", "SHUTDOWN", "TBSETUP"}, "timeout /TBSETUP not within 1h0m0s"},
		{"SHUTDOWN > PXEBOOTING > SHUTDOWN > ISUP", append(slices.Clone(boot), boot...), "reached NORMALv2/ISUP"},
		{"ISUP > ISUP", boot, "timeout NORMALv2/ISUP not within 1h0m0s"},
		{"PXEBOOTING > PXEBOOTING", []string{"PXEBOOTING"}, "timeout PXEKERNEL/PXEBOOTING"}, // its change of op_mode is no second arrival
		{"TBSETUP,ISUP > ISUP", boot, "reached NORMALv2/ISUP"},
		{"NORMALv2/ISUP", boot, "reached NORMALv2/ISUP"},
		{"PXEKERNEL/PXEBOOTING", boot, "reached PXEKERNEL/PXEBOOTING"},
		{"*/TBSETUP", boot, "reached NORMALv2/TBSETUP"},
		{"RELOAD/ISUP", boot, "timeout NORMALv2/ISUP not within 1h0m0s"},
		{"ISUP", []string{"SHUTDOWN", "PXEBOOTING", "BOOTING", "TBSETUP", "TBFAILED"}, "failed NORMALv2/TBFAILED"},
		{"TBFAILED", []string{"SHUTDOWN", "PXEBOOTING", "BOOTING", "TBSETUP", "TBFAILED"}, "reached NORMALv2/TBFAILED"},
		{"ISUP > TBFAILED", []string{"TBFAILED"}, "failed"},
		{"ISUP", []string{"RELOADFAILED"}, "failed"},
		{"ISUP", []string{"SECVIOLATION"}, "failed"},
	} {
		t.Run(c.pattern+" of "+strings.Join(c.reports, ","), func(t *testing.T) {
			site(t, 1, func(s *statedtest.Site) {
				w := start(s, wait.Request{Nodes: []string{"pc0"}, Pattern: pattern(t, c.pattern), After: s.Reg.Snapshot().Revision(), Timeout: time.Hour})
				defer w.Close()
				for _, state := range c.reports {
					s.Report("pc0", state)
				}
				got := rest(w)
				if len(got) != 1 || !strings.Contains(got[0], c.want) {
					t.Errorf("got %q, want %q", got, c.want)
				}
			})
		})
	}
}

// TestPromise3 (reliability): a waiter that gives revision N sees every entry
// after N exactly once and in order, or an explicit ErrCompacted.
func TestPromise3EveryEntryOnce(t *testing.T) {
	site(t, 1, func(s *statedtest.Site) {
		s.Report("pc0", "ISUP") // before N: must not count
		after := s.Reg.Snapshot().Revision()
		s.Report("pc0", "SHUTDOWN")
		s.Report("pc0", "TBSETUP")
		s.Report("pc0", "ISUP") // all before the waiter exists
		w := start(s, wait.Request{Nodes: []string{"pc0"}, Pattern: pattern(t, "SHUTDOWN > TBSETUP > ISUP"), After: after})
		defer w.Close()
		if got := rest(w); len(got) != 1 || got[0] != "pc0 reached /ISUP" {
			t.Errorf("got %q", got)
		}
		if err := s.Store.Compact(context.Background(), s.Store.Revision()); err != nil {
			t.Fatal(err)
		}
		_, err := wait.Start(context.Background(), s.Reg, wait.Request{Nodes: []string{"pc0"}, Pattern: pattern(t, "ISUP"), After: after})
		if !errors.Is(err, kv.ErrCompacted) {
			t.Errorf("error %v, want ErrCompacted", err)
		}
		_, err = wait.Start(context.Background(), s.Reg, wait.Request{Nodes: []string{"pc0"}, Pattern: pattern(t, "ISUP"), After: 1 << 40})
		if !errors.Is(err, kv.ErrFutureRevision) {
			t.Errorf("error %v, want ErrFutureRevision", err)
		}
	})
}

// TestPromise4 (reliability): each node gets one result, also one that is named
// twice, was there already, or ends in several ways at once.
func TestPromise4OneResultEach(t *testing.T) {
	site(t, 4, func(s *statedtest.Site) {
		s.Report("pc0", "ISUP")
		w := start(s, wait.Request{Nodes: []string{"pc0", "pc1", "pc0", "pc1", "pc2", "pc3"}, Pattern: pattern(t, "ISUP"), Timeout: time.Minute})
		s.Report("pc1", "TBFAILED")
		s.Report("pc1", "ISUP")
		s.Report("pc0", "ISUP")
		synctest.Wait()
		if !w.Cancel("pc2") || w.Cancel("pc2") || w.Cancel("pc1") || w.Cancel("pc9") {
			t.Error("Cancel does not know who is waited for")
		}
		s.Report("pc2", "ISUP")
		time.Sleep(2 * time.Minute)
		w.Close()
		want := []string{"pc0 reached /ISUP was there already", "pc1 failed /TBFAILED", "pc2 cancelled /", "pc3 timeout / not within 1m0s"}
		if got := rest(w); !slices.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		if r, ok := w.Next(context.Background()); ok {
			t.Errorf("a result after the end: %+v", r)
		}
	})
}

// TestGaveUp: a node that the machine gave up ends as failed, long before the
// wait's own time is over.
func TestGaveUp(t *testing.T) {
	site(t, 1, func(s *statedtest.Site) {
		s.Actor.OnReboot = func(context.Context, string, states.Method) error { return errors.New("no answer") }
		after := s.Reg.Snapshot().Revision()
		w := start(s, wait.Request{Nodes: []string{"pc0"}, Pattern: pattern(t, "SHUTDOWN > ISUP"), After: after, Timeout: 24 * time.Hour})
		defer w.Close()
		begin := time.Now()
		if err := s.Runner.Command(context.Background(), "pc0", "operator", states.CommandReboot, states.ForceAny); err != nil {
			t.Fatal(err)
		}
		if got := rest(w); len(got) != 1 || got[0] != "pc0 failed / gave up: retries are exhausted" {
			t.Errorf("got %q", got)
		}
		if took := time.Since(begin); took > 6*time.Minute {
			t.Errorf("it took %s", took)
		}
	})
}

// TestGaveUpAgain: a node that was given up before fails a second wait too.
func TestGaveUpAgain(t *testing.T) {
	site(t, 1, func(s *statedtest.Site) {
		for range 2 {
			w := start(s, wait.Request{Nodes: []string{"pc0"}, Pattern: pattern(t, "ISUP"), After: s.Reg.Snapshot().Revision(), Timeout: 24 * time.Hour})
			s.Report("pc0", "PXEBOOTING", "BOOTING")
			if got := rest(w); len(got) != 1 || !strings.Contains(got[0], "gave up") {
				t.Errorf("got %q", got)
			}
			w.Close()
		}
	})
}

func TestDeletedNode(t *testing.T) {
	site(t, 1, func(s *statedtest.Site) {
		s.Report("pc0", "SHUTDOWN")
		w := start(s, wait.Request{Nodes: []string{"pc0"}, Pattern: pattern(t, "ISUP")})
		defer w.Close()
		s.Update(func(tx *registry.Tx) error {
			return errors.Join(registry.Delete[registry.Reservation](tx, "pc0"), registry.Delete[registry.Node](tx, "pc0"))
		})
		if got := rest(w); len(got) != 1 || !strings.HasSuffix(got[0], "deleted") {
			t.Errorf("got %q", got)
		}
	})
}

// TestResumeAfterReopen: a revision taken before the appliance restarts is good
// after it.
func TestResumeAfterReopen(t *testing.T) {
	site(t, 2, func(s *statedtest.Site) {
		after := s.Reg.Snapshot().Revision()
		s.Report("pc0", "SHUTDOWN", "TBSETUP", "ISUP")
		s.PowerCut()
		s.Run()
		w := start(s, wait.Request{Nodes: []string{"pc0", "pc1"}, Pattern: pattern(t, "SHUTDOWN > ISUP"), After: after})
		defer w.Close()
		s.Report("pc1", "SHUTDOWN", "ISUP")
		want := []string{"pc0 reached /ISUP", "pc1 reached /ISUP"}
		if got := rest(w); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// TestPartialResults: results come as nodes end, not all at the end.
func TestPartialResults(t *testing.T) {
	site(t, 2, func(s *statedtest.Site) {
		w := start(s, wait.Request{Nodes: []string{"pc0", "pc1"}, Pattern: pattern(t, "ISUP")})
		s.Report("pc1", "ISUP")
		r, ok := w.Next(context.Background())
		if !ok || r.Node != "pc1" || r.Outcome != wait.Reached || r.Seq == 0 || r.Revision == 0 {
			t.Errorf("first result %+v %t", r, ok)
		}
		soon, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if r, ok := w.Next(soon); ok {
			t.Errorf("pc0 ended: %+v", r)
		}
		w.Close()
		if got := rest(w); !slices.Equal(got, []string{"pc0 cancelled /"}) {
			t.Errorf("got %q", got)
		}
	})
}

func TestBootErrno(t *testing.T) {
	site(t, 1, func(s *statedtest.Site) {
		w := start(s, wait.Request{Nodes: []string{"pc0"}, Pattern: pattern(t, "ISUP")})
		defer w.Close()
		s.Update(func(tx *registry.Tx) error { return registry.Put(tx, &registry.Runtime{Node: "pc0", BootErrno: 21}) })
		s.Report("pc0", "TBFAILED")
		if r, _ := w.Next(context.Background()); r.Outcome != wait.Failed || r.Errno != 21 {
			t.Errorf("result %+v, want boot errno 21", r)
		}
	})
}

func TestManyNodes(t *testing.T) {
	const n = 1000
	site(t, n, func(s *statedtest.Site) {
		var nodes []string
		for i := range n {
			nodes = append(nodes, fmt.Sprint("pc", i))
		}
		w := start(s, wait.Request{Nodes: nodes, Pattern: pattern(t, "SHUTDOWN > ISUP"), After: s.Reg.Snapshot().Revision(), Timeout: time.Hour})
		defer w.Close()
		for i := range n {
			s.Report(nodes[i], []string{"SHUTDOWN", "TBFAILED", "PXEWAIT"}[i%3])
		}
		for i := range n {
			s.Report(nodes[i], "ISUP")
		}
		counts := map[wait.Outcome]int{}
		for {
			r, ok := w.Next(context.Background())
			if !ok {
				break
			}
			counts[r.Outcome]++
		}
		if counts[wait.Reached] != 334 || counts[wait.Failed] != 333 || counts[wait.TimedOut] != 333 {
			t.Errorf("outcomes %v", counts)
		}
	})
}

func TestBadRequests(t *testing.T) {
	site(t, 1, func(s *statedtest.Site) {
		_, err := wait.Start(context.Background(), s.Reg, wait.Request{Nodes: []string{"pc0", "pc9"}, Pattern: pattern(t, "ISUP")})
		if !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("unknown node: %v", err)
		}
		if _, err := wait.Start(context.Background(), s.Reg, wait.Request{Nodes: []string{"pc0"}}); err == nil {
			t.Error("an empty pattern is taken")
		}
		if got := rest(start(s, wait.Request{Pattern: pattern(t, "ISUP")})); len(got) != 0 {
			t.Errorf("no nodes: %q", got)
		}
	})
}

func TestParsePattern(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"ISUP", "ISUP"}, {" SHUTDOWN>ISUP ", "SHUTDOWN > ISUP"}, {"RELOAD/RELOADING,ISUP  PXEWAIT", "RELOAD/RELOADING,ISUP > PXEWAIT"},
		{"*/ISUP", "*/ISUP"},
	} {
		p, err := wait.ParsePattern(c.text)
		if err != nil || p.String() != c.want {
			t.Errorf("%q: %q, error %v, want %q", c.text, p, err, c.want)
		}
	}
	for _, bad := range []string{"", " > ", "A,,B", "A/", "A/B/C", "\x00", strings.Repeat("A ", 17), strings.Repeat("A,", 33) + "A"} {
		if p, err := wait.ParsePattern(bad); err == nil {
			t.Errorf("%q gives %q", bad, p)
		}
	}
}
