package stated

import (
	"context"
	"slices"
	"sync"
	"time"

	"hyzer/netsvc/lifecycle/states"
	"hyzer/storage/kv"
	"hyzer/storage/registry"
)

// expectedWaitMax is how long what happens to a node waits for a report that is
// on its way. Such a report takes as long as one transaction; when the store
// stalls, what comes behind it goes on without it, and the machine tells by the
// revisions which of the two came first.
const expectedWaitMax = 2 * time.Second

// expectations are the reports that are on their way, of each node in the order
// in which they were announced.
type expectations struct {
	mu     sync.Mutex
	byNode map[string][]chan struct{} // each closed when its report has ended
}

func (e *expectations) add(node string) (before []chan struct{}, end func()) {
	done := make(chan struct{})
	e.mu.Lock()
	defer e.mu.Unlock()
	before = slices.Clone(e.byNode[node])
	if e.byNode == nil {
		e.byNode = map[string][]chan struct{}{}
	}
	e.byNode[node] = append(e.byNode[node], done)
	return before, func() { e.end(node, done) }
}

func (e *expectations) end(node string, done chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	close(done)
	rest := slices.DeleteFunc(e.byNode[node], func(other chan struct{}) bool { return other == done })
	if e.byNode[node] = rest; len(rest) == 0 {
		delete(e.byNode, node)
	}
}

func (e *expectations) of(node string) []chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.byNode[node])
}

// awaitAll waits for reports to end, expectedWaitMax at most.
func awaitAll(ctx context.Context, reports []chan struct{}) {
	if len(reports) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, expectedWaitMax)
	defer cancel()
	for _, done := range reports {
		select {
		case <-done:
		case <-ctx.Done():
			return
		}
	}
}

// Expect announces a report of what a node is told now, before it is told. All
// that happens to the node later, by Report, Command or an errand, comes behind
// that report, so that an order finds a node that was told to wait waiting.
//
// The function returned records the report and ends the wait for it; it must be
// called, once. asked is the revision of the records that the answer was taken
// from. It returns the node's state then. Without states nothing is recorded, and
// it returns nil.
func (r *Runner) Expect(node, source string) func(ctx context.Context, asked kv.Revision, reached ...string) (*registry.NodeState, error) {
	before, end := r.expected.add(node)
	return func(ctx context.Context, asked kv.Revision, reached ...string) (*registry.NodeState, error) {
		defer end()
		if len(reached) == 0 {
			return nil, nil
		}
		awaitAll(ctx, before)
		events := make([]states.Event, len(reached))
		for i, state := range reached {
			events[i] = states.ReportOfAnswer(states.Source(source), states.State(state), uint64(asked))
		}
		var t turn
		err := r.applyTurn(ctx, node, &t, events...)
		return t.state, err
	}
}

// AwaitReports waits until the reports of a node that are on their way have
// ended, or for as long as an order would wait for them.
func (r *Runner) AwaitReports(ctx context.Context, node string) { awaitAll(ctx, r.expected.of(node)) }
