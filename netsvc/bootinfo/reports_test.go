package bootinfo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hyzer/storage/kv"
	"hyzer/storage/registry"
)

// store is a Reporter whose reports take as long as they are told to, and fail.
type store struct {
	mu    sync.Mutex
	takes time.Duration
	fails map[string]error // by node
	got   []string
	seq   uint64
}

func (s *store) Expect(node, _ string) recorder {
	return func(ctx context.Context, _ kv.Revision, reached ...string) (*registry.NodeState, error) {
		if len(reached) == 0 {
			return nil, nil
		}
		s.mu.Lock()
		takes := s.takes
		s.mu.Unlock()
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if err := s.fails[node]; err != nil {
			return nil, err
		}
		s.seq++
		s.got = append(s.got, node+" "+strings.Join(reached, ","))
		return &registry.NodeState{Node: node, Seq: s.seq}, nil
	}
}

func (s *store) set(takes time.Duration, fails map[string]error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.takes, s.fails = takes, fails
}

func (s *store) reports() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

// counter is reports on a site of free nodes pc1 and up, and when each answer
// came.
type counter struct {
	*reports
	store    *store
	snap     atomic.Pointer[registry.Snapshot]
	mu       sync.Mutex
	answered []time.Duration
	stop     func()
}

func newCounter(t *testing.T, nodes int) *counter {
	file := &registry.SiteFile{Types: []registry.NodeType{{Name: "pc"}}}
	for i := range nodes {
		file.Nodes = append(file.Nodes, registry.Node{ID: fmt.Sprint("pc", i), Type: "pc",
			Interfaces: []registry.Interface{{Name: "eth0", Role: registry.InterfaceControl, IP: counterNode(i)}}})
	}
	c := &counter{store: &store{}}
	c.snap.Store(registry.NewSnapshot(file))
	c.reports = &reports{to: c.store, snapshot: c.snap.Load, log: slog.New(slog.DiscardHandler),
		counts: &Counters{}, wait: answerWaitMax, clock: time.Now, slots: make(chan struct{}, reportsInFlightMax)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.retry(ctx)
	}()
	c.stop = func() {
		c.work.Wait()
		cancel()
		<-done
	}
	return c
}

func counterNode(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)}) }

// ask asks for a node, and notes how long its answer took.
func (c *counter) ask(t *testing.T, i int) {
	t.Helper()
	req, begin := Request{Version: 1, Opcode: OpRequest}, time.Now()
	out, _ := Handle(c.snap.Load(), req, counterNode(i))
	if !c.answer(t.Context(), c.snap.Load(), req, counterNode(i), out, func(*Outcome, bool) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.answered = append(c.answered, time.Since(begin))
	}) {
		t.Error("no answer")
	}
}

func (c *counter) answers() []time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.answered)
}

// TestAnswersDoNotWaitForTheStore: while reports hang for minutes, the first
// answer waits its time and those after it not at all; each comes once. When
// reports are quick again, answers come behind them.
func TestAnswersDoNotWaitForTheStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCounter(t, 700)
		defer c.stop()
		c.store.set(3*time.Minute, nil)
		c.ask(t, 0)
		time.Sleep(answerWaitMax)
		synctest.Wait()
		for i := 1; i < 700; i++ { // more than may be under way
			c.ask(t, i)
		}
		for i := range 700 { // and again: that is no other report
			c.ask(t, i)
		}
		want := append([]time.Duration{answerWaitMax}, make([]time.Duration, 1399)...)
		if got := c.answers(); !slices.Equal(got, want) {
			t.Errorf("%d answers, the first after %v", len(got), got[:min(3, len(got))])
		}
		if n := c.counts.ReportsLate.Load(); n != 700 {
			t.Errorf("%d late reports, want 700", n)
		}
		c.store.set(time.Millisecond, nil)
		time.Sleep(4 * time.Minute)
		if got := c.store.reports(); len(got) != 700 {
			t.Errorf("%d reports, want all of 700", len(got))
		}
		time.Sleep(time.Minute)
		before := len(c.answers())
		for i := range 2 { // the first finds that reports are quick again
			c.ask(t, i)
			time.Sleep(time.Second)
		}
		if got := c.answers()[before:]; !slices.Equal(got, []time.Duration{0, time.Millisecond}) {
			t.Errorf("answered after %v, want the second when its report was recorded", got)
		}
	})
}

// TestRefusedReports are tried again until the store takes them; those that can
// never be taken are counted.
func TestRefusedReports(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCounter(t, 3)
		full := fmt.Errorf("store: %w", kv.ErrDiskFull)
		c.store.set(0, map[string]error{"pc0": full, "pc1": registry.ErrNotFound, "pc2": full})
		for i := range 3 {
			c.ask(t, i)
		}
		synctest.Wait()
		if n := len(c.answers()); n != 3 {
			t.Errorf("%d answers, want 3", n)
		}
		time.Sleep(2 * reportRetryDelay)
		c.ask(t, 0) // it asks again, and takes the place of its first question
		synctest.Wait()
		c.store.set(0, map[string]error{"pc2": full})
		time.Sleep(reportRetryDelay)
		synctest.Wait()
		if got := c.store.reports(); !slices.Equal(got, []string{"pc0 PXEBOOTING,PXEWAIT"}) {
			t.Errorf("reports %q", got)
		}
		if n := c.counts.ReportsLost.Load(); n != 1 {
			t.Errorf("%d lost, want that of pc1", n)
		}
		c.stop()
		if failed, lost := c.counts.ReportsFailed.Load(), c.counts.ReportsLost.Load(); failed < 8 || lost != 2 {
			t.Errorf("%d failed, %d lost; want those of each attempt, and that of pc2 when it was stopped", failed, lost)
		}
	})
}

// TestRefusedReportOfNodeThatMovedOn would take the node back.
func TestRefusedReportOfNodeThatMovedOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCounter(t, 1)
		defer c.stop()
		c.store.set(0, map[string]error{"pc0": errors.New("no")})
		c.ask(t, 0)
		synctest.Wait()
		c.store.set(0, nil)
		file := &registry.SiteFile{Types: []registry.NodeType{{Name: "pc"}}, Nodes: []registry.Node{{ID: "pc0", Type: "pc"}},
			States: []registry.NodeState{{Node: "pc0", State: "TBSETUP", Seq: 7}}}
		c.snap.Store(registry.NewSnapshot(file))
		time.Sleep(reportRetryDelay)
		synctest.Wait()
		if got := c.store.reports(); len(got) > 0 || c.counts.ReportsLost.Load() != 1 {
			t.Errorf("reports %q, %d lost", got, c.counts.ReportsLost.Load())
		}
	})
}

// TestRecent: what is a repeat within ten seconds, and what is not.
func TestRecent(t *testing.T) {
	t.Parallel()
	var r recent
	addr, now := counterNode(1), time.Unix(1e9, 0)
	wait, boot := []string{"PXEBOOTING", "PXEWAIT"}, []string{"PXEBOOTING", "BOOTING"}
	due := func(what string, after time.Duration, at place, states []string, want bool) uint64 {
		t.Helper()
		now = now.Add(after)
		turn, got := r.first(addr, at, states, now)
		if got != want {
			t.Errorf("%s: due %t", what, got)
		}
		return turn
	}
	first := due("the first", 0, place{1, 1}, wait, true)
	due("a repeat that is under way", time.Minute, place{1, 1}, wait, false)
	other := due("another answer while one is under way", 0, place{1, 1}, boot, true)
	r.done(addr, first, place{3, 2}, wait)
	due("a repeat of the later one", time.Second, place{1, 1}, boot, false)
	r.done(addr, other, place{5, 4}, boot)
	due("a repeat", time.Second, place{5, 4}, boot, false)
	due("a repeat after an order", time.Second, place{5, 5}, boot, true)
	due("the same after ten seconds", 20*time.Second, place{5, 5}, boot, false) // still under way
	r.forget(addr, other)
	due("after an older one failed", 0, place{5, 5}, boot, false)
}
