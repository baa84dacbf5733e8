package wait

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"hyzer/netsvc/lifecycle/states"
	"hyzer/storage/kv"
	"hyzer/storage/registry"
)

// Outcome is how a node's wait ended.
type Outcome string

// Outcomes.
const (
	Reached   Outcome = "reached"
	Failed    Outcome = "failed"
	TimedOut  Outcome = "timeout"
	Cancelled Outcome = "cancelled"
)

// Result is the end of the wait for one node.
type Result struct {
	Node     string      `json:"node"`
	Outcome  Outcome     `json:"outcome"`
	Mode     string      `json:"mode"`  // that ended it, or the last one
	State    string      `json:"state"` // likewise
	Seq      uint64      `json:"seq"`   // of the log entry
	Revision kv.Revision `json:"revision,omitzero"`
	Errno    int         `json:"errno,omitzero"` // boot errno of a failure
	Reason   string      `json:"reason,omitzero"`
}

// Request says what to wait for.
type Request struct {
	Nodes   []string
	Pattern Pattern
	// Fail ends a node's wait at once, unless the pattern's next step names
	// the state. nil is states.DefaultFailSet; empty is none.
	Fail states.FailSet
	// After is a revision taken before the action that is waited for. Zero
	// means now, and that a node that is already where a one-step pattern
	// wants it has reached it.
	After   kv.Revision
	Timeout time.Duration // 0: none
}

// Waiter is one wait in progress. Use Next until it reports the end.
type Waiter struct {
	watcher *registry.LogWatcher
	results chan Result
	stop    context.CancelFunc
	stopped chan struct{}

	mu   sync.Mutex
	open map[string]*node
	req  Request
}

type node struct {
	step int // of the pattern that is due
	last registry.StateLogEntry
}

// Start begins to wait. Unknown nodes are an error before anything happens. A
// node named twice is waited for once.
func Start(ctx context.Context, reg *registry.Registry, req Request) (*Waiter, error) {
	if len(req.Pattern) == 0 {
		return nil, errors.New("wait: nothing to wait for")
	}
	if req.Fail == nil {
		req.Fail = states.DefaultFailSet()
	}
	w := &Waiter{req: req, open: map[string]*node{}, stopped: make(chan struct{})}
	after, done, err := w.begin(ctx, reg)
	if err != nil {
		return nil, err
	}
	if w.watcher, err = reg.WatchLog(ctx, after); err != nil {
		return nil, fmt.Errorf("wait: from revision %d: %w", after, err)
	}
	w.results = make(chan Result, len(w.open)+len(done)) // never blocks
	for _, r := range done {
		w.results <- r
	}
	run, stop := context.WithCancel(ctx)
	w.stop = stop
	go w.run(run)
	return w, nil
}

// begin looks where the nodes are, at one revision.
func (w *Waiter) begin(ctx context.Context, reg *registry.Registry) (after kv.Revision, done []Result, err error) {
	err = reg.Read(ctx, func(tx *registry.Tx) error {
		after = tx.Revision()
		seen := map[string]bool{}
		for _, id := range w.req.Nodes {
			if seen[id] {
				continue
			}
			seen[id] = true
			if _, err := registry.Get[registry.Node](tx, id); err != nil {
				return err
			}
			state, err := registry.Lookup[registry.NodeState](tx, id)
			if err != nil {
				return err
			}
			n := &node{last: registry.StateLogEntry{Node: id}}
			if state != nil {
				n.last = registry.StateLogEntry{Node: id, Mode: state.Mode, To: state.State, Seq: state.Seq}
			}
			w.open[id] = n
			if w.req.After == 0 && len(w.req.Pattern) == 1 && w.req.Pattern[0].has(n.last.Mode, n.last.To) {
				done = append(done, result(n, Reached, "was there already"))
				delete(w.open, id)
			}
		}
		return nil
	})
	if w.req.After != 0 {
		after = w.req.After
	}
	return after, done, err
}

// Next returns the next result, in the order in which nodes end; ok is false
// when every node has its result or the waiter was closed.
func (w *Waiter) Next(ctx context.Context) (r Result, ok bool) {
	select {
	case r, ok = <-w.results:
		return r, ok
	case <-ctx.Done():
		return Result{}, false
	}
}

// Cancel ends the wait for one node, and reports whether it was waited for.
func (w *Waiter) Cancel(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.open[id]
	if n == nil {
		return false
	}
	w.end(id, result(n, Cancelled, ""))
	if len(w.open) == 0 {
		w.stop()
	}
	return true
}

// Close ends the wait; nodes without a result are cancelled. Results that were
// not taken can still be.
func (w *Waiter) Close() {
	w.stop()
	<-w.stopped
}

// run reads the log until no node is left.
func (w *Waiter) run(ctx context.Context) {
	defer close(w.stopped)
	defer close(w.results)
	defer w.watcher.Close()
	defer w.stop()
	if w.req.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, w.req.Timeout, errTimeout)
		defer cancel()
	}
	for w.left() > 0 {
		entries, err := w.watcher.Next(ctx)
		if err != nil {
			w.endAll(ctx, err)
			return
		}
		for _, entry := range entries {
			w.step(entry)
		}
	}
}

var errTimeout = errors.New("wait: time is up")

func (w *Waiter) left() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.open)
}

// step moves one node along its pattern.
func (w *Waiter) step(entry registry.StateLogEntry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.open[entry.Node]
	if n == nil {
		return
	}
	n.last = entry
	switch {
	case entry.Ended != "":
		w.end(entry.Node, result(n, Failed, strings.TrimSuffix(entry.Ended+": "+entry.Note, ": ")))
	case w.req.Pattern[n.step].has(entry.Mode, entry.To):
		if entry.ModeChange && w.req.Pattern[n.step].has(entry.FromMode, entry.From) {
			return // the same arrival, told again for the new op_mode
		}
		n.step++
		if n.step == len(w.req.Pattern) {
			w.end(entry.Node, result(n, Reached, ""))
		}
	case !entry.ModeChange && w.req.Fail.Has(states.State(entry.To)):
		w.end(entry.Node, result(n, Failed, entry.Note))
	}
}

func (w *Waiter) end(id string, r Result) {
	delete(w.open, id)
	w.results <- r
}

// endAll gives every node that is left its result.
func (w *Waiter) endAll(ctx context.Context, err error) {
	outcome, reason := Cancelled, ""
	switch {
	case errors.Is(context.Cause(ctx), errTimeout):
		outcome, reason = TimedOut, fmt.Sprintf("not within %s", w.req.Timeout)
	case ctx.Err() == nil:
		reason = err.Error()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, n := range w.open {
		w.end(id, result(n, outcome, reason))
	}
}

func result(n *node, outcome Outcome, reason string) Result {
	e := n.last
	return Result{Node: e.Node, Outcome: outcome, Mode: e.Mode, State: e.To, Seq: e.Seq, Revision: e.Revision, Errno: e.Errno, Reason: reason}
}
