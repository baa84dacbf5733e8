package load

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"sync"
	"time"

	"hyzer/netsvc/lifecycle/states"
	"hyzer/storage/kv"
	"hyzer/storage/registry"
)

// follower takes one job to its end. All it knows is in the job's records; what
// it keeps in memory is a copy of its open rows.
type follower struct {
	*Manager
	job   *registry.LoadJob
	open  map[string]*registry.LoadNode
	begun map[string]bool // nodes that went down since their attempt began
}

func (f *follower) run(ctx context.Context) error {
	f.open, f.begun = map[string]*registry.LoadNode{}, map[string]bool{}
	after := kv.Revision(0)
	snapshot := f.reg.Snapshot()
	for _, id := range f.job.Nodes {
		row := snapshot.LoadNode(f.job.ID, id)
		if row == nil || !row.Open() {
			continue
		}
		copied := *row
		f.open[id] = &copied
		if after == 0 || row.After < after {
			after = row.After
		}
	}
	if err := f.startNodes(ctx); err != nil {
		return err
	}
	for len(f.open) > 0 {
		err := f.read(ctx, after)
		if !errors.Is(err, kv.ErrCompacted) && err != nil {
			return err
		}
		if err == nil {
			break
		}
		if after, err = f.catchUp(ctx); err != nil {
			return err
		}
	}
	return f.finish(ctx)
}

// read follows the log from a revision until no node is open.
func (f *follower) read(ctx context.Context, after kv.Revision) error {
	watcher, err := f.reg.WatchLog(ctx, after)
	if err != nil {
		return err
	}
	defer watcher.Close()
	for len(f.open) > 0 {
		entries, err := f.next(ctx, watcher)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if row := f.row(e.Node); row != nil && e.Revision > row.After {
				if err := f.step(ctx, row, e); err != nil {
					return err
				}
			}
		}
		if err := f.expire(ctx); err != nil {
			return err
		}
	}
	return nil
}

// row is a node's open row; nil if it was ended here or by others (cancelled,
// replaced).
func (f *follower) row(node string) *registry.LoadNode {
	row := f.open[node]
	if row == nil {
		return nil
	}
	if stored := f.reg.Snapshot().LoadNode(f.job.ID, node); stored == nil || !stored.Open() {
		delete(f.open, node)
		return nil
	}
	return row
}

// rebootsMax bounds the reboot orders written at once; they share fsyncs.
const rebootsMax = 64

// startNodes reboots every node whose attempt's reboot was not ordered yet.
func (f *follower) startNodes(ctx context.Context) error {
	var work sync.WaitGroup
	slots, failures := make(chan struct{}, rebootsMax), make(chan error, len(f.open))
	for _, id := range f.job.Nodes {
		row := f.open[id]
		if row == nil || row.Result != registry.LoadWaiting || row.Ordered {
			continue
		}
		slots <- struct{}{}
		work.Go(func() {
			defer func() { <-slots }()
			failures <- f.start(ctx, row)
		})
	}
	work.Wait()
	close(failures)
	for err := range failures {
		if err != nil {
			return err
		}
	}
	return nil
}

// start orders a node into its loader, once for each attempt, unless it has asked
// since the attempt was planned. It was planned, so force is right: the
// gatekeeper protects nodes from casual reboots. A node that is gone is left to
// its log, which says so.
func (f *follower) start(ctx context.Context, row *registry.LoadNode) error {
	ordered := *row
	ordered.Ordered = true
	err := f.runner.Boot(ctx, row.Node, string(states.SourceLoad), states.ForceAny, row.After, func(tx *registry.Tx) error {
		if stored, err := registry.Lookup[registry.LoadNode](tx, registry.LoadNodeKey(row.Job, row.Node)); err != nil {
			return err
		} else if stored == nil || !stored.Open() {
			return errNotOpen
		}
		return registry.Put(tx, &ordered)
	})
	switch {
	case err == nil:
		row.Ordered = true
	case !errors.Is(err, errNotOpen) && !errors.Is(err, registry.ErrNotFound):
		return fmt.Errorf("node not ordered into its loader: %w", err)
	}
	return nil
}

// next waits for log entries, at most until the next deadline.
func (f *follower) next(ctx context.Context, watcher *registry.LogWatcher) ([]registry.StateLogEntry, error) {
	var first time.Time
	for _, row := range f.open {
		if at := f.endsAt(row); first.IsZero() || at.Before(first) {
			first = at
		}
	}
	until, cancel := context.WithDeadline(ctx, first)
	defer cancel()
	defer f.beats.onBegin(f, cancel)()
	entries, err := watcher.Next(until)
	if err != nil && ctx.Err() == nil && until.Err() != nil {
		return nil, nil // a deadline came, or there is a new one
	}
	return entries, err
}

// expire ends or retries nodes whose time is over.
func (f *follower) expire(ctx context.Context) error {
	now := time.Now()
	for _, id := range f.openNames() {
		if f.endsAt(f.open[id]).After(now) {
			continue
		}
		row := f.row(id)
		if row == nil {
			continue
		}
		state := f.reg.Snapshot().State(id)
		last := registry.StateLogEntry{Node: id, Mode: state.Mode, To: state.State, At: now.UTC()}
		if err := f.failed(ctx, row, registry.LoadTimedOut, last, lateness(row, now)); err != nil {
			return err
		}
	}
	return nil
}

// endsAt is when a row is given up unless something is heard of its node.
func (f *follower) endsAt(row *registry.LoadNode) time.Time {
	if last, known := f.beats.of(row.Node); known && row.Result == registry.LoadWaiting {
		return last.endsAt(row.Deadline)
	}
	return row.Deadline
}

// lateness says why a row is given up.
func lateness(row *registry.LoadNode, now time.Time) string {
	switch {
	case row.Result == registry.LoadLoaded:
		return "not up in time"
	case row.Deadline.After(now):
		return fmt.Sprintf("the loader stopped writing for %v", silenceMax)
	}
	return "the load took too long"
}

// catchUp judges the open nodes by what they are now, after the log was not
// kept as history as far back as needed, and returns where to read on.
func (f *follower) catchUp(ctx context.Context) (kv.Revision, error) {
	snapshot := f.reg.Snapshot()
	for _, id := range f.openNames() {
		row := f.row(id)
		if row == nil {
			continue
		}
		state := snapshot.State(id)
		last := registry.StateLogEntry{Node: id, Mode: state.Mode, To: state.State, At: state.Since}
		f.begun[id] = state.Life > row.Life
		if load := snapshot.Load(id); row.Result == registry.LoadWaiting && (load == nil || load.Job != f.job.ID) {
			if err := f.loaded(ctx, row, last); err != nil { // RELOADDONE removed it
				return 0, err
			}
		}
		if f.open[id] == nil {
			continue
		}
		if err := f.step(ctx, row, last); err != nil {
			return 0, err
		}
	}
	return snapshot.Revision(), nil
}

func (f *follower) openNames() []string {
	names := make([]string, 0, len(f.open))
	for id := range f.open {
		names = append(names, id)
	}
	sort.Strings(names)
	return names
}
