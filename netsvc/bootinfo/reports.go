package bootinfo

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"hyzer/netsvc/lifecycle/states"
	"hyzer/storage/kv"
	"hyzer/storage/registry"
)

// Reporter records what nodes are told, durably.
type Reporter interface {
	// Expect announces a report of a node before the node is told what it is
	// about: orders to the node wait for it. The function returned records
	// the states that follow from an answer taken from the records of a
	// revision, and returns the node's state then. It must be called once;
	// without states it records nothing and returns nil.
	Expect(node, source string) (record func(ctx context.Context, asked kv.Revision, reached ...string) (*registry.NodeState, error))
}

// recorder is what Expect returns.
type recorder = func(ctx context.Context, asked kv.Revision, reached ...string) (*registry.NodeState, error)

// How reports are taken to the store.
const (
	reportsInFlightMax = 512             // being written at once; more wait for a retry
	reportRetryDelay   = 5 * time.Second // between attempts while the store refuses
	reportGrace        = 2 * time.Second // for reports under way when the server stops
)

// report is what follows from one answer.
type report struct {
	from   netip.Addr
	turn   uint64 // of the address, see recent
	node   string
	states []string
	asked  kv.Revision // of the records that the answer was taken from
	at     place       // of the node when it asked
}

// reports takes reports to the store, beside the answers or before them.
//
// An answer waits for its report for answerWait at most: on a disk that is well
// the report is durable by then, and an appliance that is killed has not told a
// loader anything that it does not know after its restart. It waits no longer,
// for a loader that hears nothing asks again, gives up, and boots its disk. And
// it does not wait at all while the last report took longer: then waiting would
// buy nothing, and the end of it would be late as well, since what keeps the
// disk busy keeps the processors busy too.
//
// An answer that goes out before its report races with orders. Two things keep
// a node that was told to wait from sleeping through one: Expect, which lets
// orders wait for the report, and the revision that the answer was taken from,
// by which the state machine tells an answer of before the order however late
// its report comes (states.ReportOfAnswer).
//
// A report that the store refuses is tried again until the node has moved on:
// nothing but its report says that a loader waits.
type reports struct {
	to       Reporter
	snapshot func() *registry.Snapshot
	log      *slog.Logger
	counts   *Counters
	wait     time.Duration
	clock    func() time.Time
	recent   recent
	slots    chan struct{}
	work     sync.WaitGroup
	slow     atomic.Bool // the last report took longer than wait

	mu      sync.Mutex
	refused map[string]report // by node, the last one
}

// answer answers a question and takes the report that follows. out is the answer
// by a snapshot. reply is called once: before answer returns, or else later and
// beside it. False means that there is no answer.
//
// The answer of a question that is due for a report is taken again from records
// that are read after the report was announced, so that an order that does not
// wait for the report is in them.
func (r *reports) answer(ctx context.Context, s *registry.Snapshot, req Request, from netip.Addr, out Outcome, reply func(out *Outcome, beside bool)) bool {
	at := placeOf(s.State(out.Node))
	due, turn := len(out.States) > 0, uint64(0)
	if due {
		turn, due = r.recent.first(from, at, out.States, r.clock())
	}
	if !due {
		reply(&out, false)
		return true
	}
	p := report{from: from, turn: turn, node: out.Node, at: at}
	record := r.to.Expect(p.node, string(states.SourceBootinfo))
	s = r.snapshot()
	out, ok := Handle(s, req, from)
	if !ok || out.Node != p.node { // it was deleted or moved this moment: the loader asks again
		_, _ = record(ctx, 0)
		r.recent.forget(from, turn)
		return false
	}
	p.asked, p.states = s.Revision(), out.States
	if r.now() {
		reply(&out, false)
		r.take(ctx, p, record, nil)
		return true
	}
	r.take(ctx, p, record, func() { reply(&out, true) })
	return true
}

// now reports whether an answer goes out without waiting for its report.
func (r *reports) now() bool { return r.wait < 0 || r.slow.Load() }

// take records a report. reply, unless it is nil, is called once, when the
// report has ended or the answer can wait no longer. It does not block.
func (r *reports) take(ctx context.Context, p report, record recorder, reply func()) {
	if reply == nil {
		r.counts.ReportsLate.Add(1)
	}
	select {
	case r.slots <- struct{}{}:
	default:
		_, _ = record(ctx, 0)
		r.keep(p)
		if reply != nil {
			reply()
		}
		return
	}
	var late *time.Timer
	if reply != nil {
		late = time.AfterFunc(r.wait, func() {
			r.slow.Store(true)
			r.counts.ReportsLate.Add(1)
			reply()
		})
	}
	r.work.Go(func() {
		defer func() { <-r.slots }()
		begin := time.Now()
		r.record(ctx, p, record)
		r.slow.Store(time.Since(begin) > r.wait)
		if late != nil && late.Stop() {
			reply()
		}
	})
}

// record makes one attempt.
func (r *reports) record(ctx context.Context, p report, record recorder) {
	state, err := record(ctx, p.asked, p.states...)
	if err == nil && state == nil { // by now there is nothing to say
		r.recent.forget(p.from, p.turn)
		return
	}
	if err == nil {
		r.recent.done(p.from, p.turn, placeOf(state), p.states)
		r.drop(p)
		return
	}
	r.counts.ReportsFailed.Add(1)
	r.recent.forget(p.from, p.turn)
	if errors.Is(err, registry.ErrNotFound) || errors.Is(err, registry.ErrInvalid) || errors.Is(err, registry.ErrConflict) {
		r.lost(p, err)
		return
	}
	r.log.Warn("state not recorded; trying again", "service", "bootinfo", "node", p.node, "states", p.states, "error", err)
	r.keep(p)
}

// keep notes a report for the next retry, unless a later one of its node is.
func (r *reports) keep(p report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refused == nil {
		r.refused = map[string]report{}
	}
	if other, ok := r.refused[p.node]; !ok || other.turn < p.turn {
		r.refused[p.node] = p
	}
}

// drop forgets the refused report that a later one has replaced.
func (r *reports) drop(p report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if other, ok := r.refused[p.node]; ok && other.turn <= p.turn {
		delete(r.refused, p.node)
	}
}

func (r *reports) takeRefused() map[string]report {
	r.mu.Lock()
	defer r.mu.Unlock()
	refused := r.refused
	r.refused = nil
	return refused
}

// retry tries refused reports again until ctx ends.
func (r *reports) retry(ctx context.Context) {
	tick := time.NewTicker(reportRetryDelay)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			for _, p := range r.takeRefused() {
				r.again(ctx, p)
			}
		case <-ctx.Done():
			for _, p := range r.takeRefused() {
				r.lost(p, errStopped)
			}
			return
		}
	}
}

var errStopped = errors.New("bootinfo: stopped before the store took the report")

// again tries one report once more. One that the node has left behind would
// take it back.
func (r *reports) again(ctx context.Context, p report) {
	record := r.to.Expect(p.node, string(states.SourceBootinfo))
	if r.snapshot().State(p.node).Seq != p.at.seq {
		_, _ = record(ctx, 0)
		r.recent.forget(p.from, p.turn)
		r.counts.ReportsLost.Add(1)
		r.log.Info("state not recorded: the node has moved on", "service", "bootinfo", "node", p.node, "states", p.states)
		return
	}
	r.record(ctx, p, record)
}

func (r *reports) lost(p report, err error) {
	r.counts.ReportsLost.Add(1)
	r.log.Error("state lost", "service", "bootinfo", "node", p.node, "states", p.states, "error", err)
}
