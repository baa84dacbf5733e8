package load

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"time"

	"hyzer/netsvc/lifecycle/states"
	"hyzer/storage/kv"
	"hyzer/storage/registry"
)

// attemptsMax is how often a load is tried on one node.
const attemptsMax = 2

// follower takes one job to its end. All it knows is in the job's records; what
// it keeps in memory is a copy of its open rows.
type follower struct {
	*Manager
	job  *registry.LoadJob
	open map[string]*registry.LoadNode
}

func (f *follower) run(ctx context.Context) error {
	f.open = map[string]*registry.LoadNode{}
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
	watcher, err := f.reg.WatchLog(ctx, after)
	if errors.Is(err, kv.ErrCompacted) {
		return f.lostHistory(ctx)
	}
	if err != nil {
		return err
	}
	defer watcher.Close()
	f.startNodes(ctx, snapshot)
	for len(f.open) > 0 {
		entries, err := f.next(ctx, watcher)
		if errors.Is(err, kv.ErrCompacted) {
			return f.lostHistory(ctx)
		}
		if err != nil {
			return err
		}
		for _, e := range entries {
			if row := f.open[e.Node]; row != nil && e.Revision > row.After {
				if err := f.step(ctx, row, e); err != nil {
					return err
				}
			}
		}
		if err := f.expire(ctx); err != nil {
			return err
		}
	}
	return f.finish(ctx)
}

// startNodes reboots every node whose attempt has not been seen to begin. After
// a restart of the appliance a node may be rebooted that has just been: its
// load starts over, none is forgotten.
func (f *follower) startNodes(ctx context.Context, s *registry.Snapshot) {
	for _, id := range f.job.Nodes {
		row := f.open[id]
		if row == nil || row.Result != registry.LoadWaiting || begun(s, row) {
			continue
		}
		if err := f.reboot(ctx, id); err != nil && ctx.Err() == nil {
			f.log.Warn("node not rebooted into its loader", "node", id, "job", f.job.ID, "error", err)
		}
	}
}

// begun reports whether a node has a reboot pending or has left its old life
// since the attempt began.
func begun(s *registry.Snapshot, row *registry.LoadNode) bool {
	if s.Command(row.Node) != nil {
		return true
	}
	state := s.State(row.Node)
	if states.DefaultFailSet().Has(states.State(state.State)) {
		return false
	}
	return state.Mode == string(states.ModeReload) || state.Mode == string(states.ModePXEKernel) && state.State != "PXEWAIT"
}

// next waits for log entries, at most until the next deadline.
func (f *follower) next(ctx context.Context, watcher *registry.LogWatcher) ([]registry.StateLogEntry, error) {
	var first time.Time
	for _, row := range f.open {
		if first.IsZero() || row.Deadline.Before(first) {
			first = row.Deadline
		}
	}
	until, cancel := context.WithDeadline(ctx, first)
	defer cancel()
	entries, err := watcher.Next(until)
	if err != nil && ctx.Err() == nil && until.Err() != nil {
		return nil, nil // a deadline came
	}
	return entries, err
}

// step follows one node by one entry of its log.
func (f *follower) step(ctx context.Context, row *registry.LoadNode, e registry.StateLogEntry) error {
	state := states.State(e.To)
	switch {
	case e.ModeChange:
		return nil
	case row.Result == registry.LoadWaiting && (e.To == "RELOADDONE" || e.To == "RELOADDONEV2"):
		return f.loaded(ctx, row, e)
	case row.Result == registry.LoadWaiting && states.DefaultFailSet().Has(state):
		return f.failed(ctx, row, registry.LoadFailed, e, "the load failed")
	case row.Result == registry.LoadLoaded && state == states.StateISUP:
		return f.end(ctx, row, registry.LoadDone, e, "")
	case row.Result == registry.LoadLoaded && states.DefaultFailSet().Has(state):
		// The image is what was asked for and it does not boot: loading it
		// again would not help.
		return f.end(ctx, row, registry.LoadFailed, e, "loaded, but the system did not boot")
	}
	return nil
}

func (f *follower) loaded(ctx context.Context, row *registry.LoadNode, e registry.StateLogEntry) error {
	row.Loaded = e.At
	if !f.job.WaitBoot {
		return f.end(ctx, row, registry.LoadDone, e, "")
	}
	row.Result, row.Deadline = registry.LoadLoaded, e.At.Add(bootTimeBase)
	return f.save(ctx, row)
}

// failed tries a node's load once more before it is given up.
func (f *follower) failed(ctx context.Context, row *registry.LoadNode, result string, e registry.StateLogEntry, reason string) error {
	if row.Attempt >= attemptsMax {
		return f.end(ctx, row, result, e, fmt.Sprintf("%s (%d attempts)", reason, row.Attempt))
	}
	row.Attempt++
	images, err := resolveImages(f.reg.Snapshot(), f.job.Images)
	if err == nil {
		row.Deadline = time.Now().UTC().Add(loadTime(images))
		err = f.replan(ctx, row, images)
	}
	if err != nil {
		return f.end(ctx, row, registry.LoadFailed, e, "cannot be tried again: "+err.Error())
	}
	f.log.Warn("load is tried again", "node", row.Node, "job", f.job.ID, "reason", reason, "state", e.To)
	return f.reboot(ctx, row.Node)
}

// replan tells the node to load once more and begins its next attempt.
func (f *follower) replan(ctx context.Context, row *registry.LoadNode, images []planned) error {
	snapshot := f.reg.Snapshot()
	_, err := f.reg.Update(ctx, func(tx *registry.Tx) error {
		row.After = tx.Revision()
		req := Request{Images: f.job.Images}
		if old, err := registry.Lookup[registry.NodeLoad](tx, row.Node); err != nil {
			return err
		} else if old != nil && len(old.Images) > 0 {
			req.Prepare, req.ZeroFree = old.Images[0].Prepare, old.Images[0].MustWipe
		}
		if err := planNode(tx, snapshot, f.runner, row.Node, f.job, req, images); err != nil {
			return err
		}
		return registry.Put(tx, row)
	})
	return err
}

// expire ends or retries nodes whose time is over.
func (f *follower) expire(ctx context.Context) error {
	now := time.Now()
	for _, id := range f.openNames() {
		row := f.open[id]
		if row.Deadline.After(now) {
			continue
		}
		state := f.reg.Snapshot().State(id)
		last := registry.StateLogEntry{Node: id, Mode: state.Mode, To: state.State, At: now.UTC()}
		var err error
		if row.Result == registry.LoadLoaded {
			err = f.end(ctx, row, registry.LoadTimedOut, last, "loaded, but not up in time")
		} else {
			err = f.failed(ctx, row, registry.LoadTimedOut, last, "the load took too long")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *follower) end(ctx context.Context, row *registry.LoadNode, result string, e registry.StateLogEntry, reason string) error {
	row.Result, row.State, row.Errno, row.Reason, row.Ended = result, e.To, e.Errno, reason, e.At
	delete(f.open, row.Node)
	return f.save(ctx, row)
}

// save writes a row unless it was ended by others (cancelled, replaced).
func (f *follower) save(ctx context.Context, row *registry.LoadNode) error {
	_, err := f.reg.Update(ctx, func(tx *registry.Tx) error {
		stored, err := registry.Get[registry.LoadNode](tx, registry.LoadNodeKey(row.Job, row.Node))
		if err != nil {
			return err
		}
		if !stored.Open() {
			return nil
		}
		return registry.Put(tx, row)
	})
	return err
}

func (f *follower) finish(ctx context.Context) error {
	_, err := f.reg.Update(ctx, func(tx *registry.Tx) error {
		job, err := registry.Get[registry.LoadJob](tx, f.job.ID)
		if err != nil || !job.Finished.IsZero() {
			return err
		}
		job.Finished = time.Now().UTC().Truncate(time.Millisecond)
		return registry.Put(tx, job)
	})
	return err
}

// lostHistory ends a job whose log is no longer kept as history: what the nodes
// are now is known, how they came there is not.
func (f *follower) lostHistory(ctx context.Context) error {
	snapshot := f.reg.Snapshot()
	for _, id := range f.openNames() {
		row := f.open[id]
		state := snapshot.State(id)
		last := registry.StateLogEntry{Node: id, Mode: state.Mode, To: state.State, At: state.Since}
		result, reason := registry.LoadFailed, "the appliance was down too long to know"
		if load := snapshot.Load(id); load == nil || load.Job != f.job.ID {
			result, reason = registry.LoadDone, "" // RELOADDONE removed it
		}
		if err := f.end(ctx, row, result, last, reason); err != nil {
			return err
		}
	}
	return f.finish(ctx)
}

func (f *follower) openNames() []string {
	names := make([]string, 0, len(f.open))
	for id := range f.open {
		names = append(names, id)
	}
	sort.Strings(names)
	return names
}
