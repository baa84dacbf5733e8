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

// attemptsMax is how often a load is tried on one node.
const attemptsMax = 2

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
	f.startNodes(ctx, snapshot)
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

// startNodes reboots every node whose attempt has not been seen to begin. After
// a restart of the appliance a node may be rebooted that has just been: its
// load starts over, none is forgotten.
func (f *follower) startNodes(ctx context.Context, s *registry.Snapshot) {
	var work sync.WaitGroup
	defer work.Wait()
	slots := make(chan struct{}, rebootsMax)
	for _, id := range f.job.Nodes {
		row := f.open[id]
		if row == nil || row.Result != registry.LoadWaiting || begun(s, row) {
			continue
		}
		slots <- struct{}{}
		work.Go(func() {
			defer func() { <-slots }()
			f.start(ctx, id)
		})
	}
}

// start reboots a node into its loader. A node that cannot be rebooted is left
// to its attempt's deadline.
func (f *follower) start(ctx context.Context, node string) {
	if err := f.reboot(ctx, node); err != nil && ctx.Err() == nil {
		f.log.Warn("node not rebooted into its loader", "node", node, "job", f.job.ID, "error", err)
	}
}

// begun reports whether a node has a reboot for a load pending or has left its
// old life since the attempt began.
func begun(s *registry.Snapshot, row *registry.LoadNode) bool {
	if command := s.Command(row.Node); command != nil && command.By == string(states.SourceLoad) {
		return true
	}
	state := s.State(row.Node)
	return state.Life > row.Life && !states.DefaultFailSet().Has(states.State(state.State))
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
	f.follows(row, e)
	switch {
	case e.Ended != "":
		return f.failed(ctx, row, registry.LoadFailed, e, e.Ended+": "+e.Note)
	case e.ModeChange || !f.begun[row.Node]:
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

// follows notes that a node has gone down since its attempt began: until then
// what it says is about its former life, be it a failure or an older load.
func (f *follower) follows(row *registry.LoadNode, e registry.StateLogEntry) {
	switch states.State(e.To) {
	case states.StateShutdown, states.StateRebooting, states.StatePowerOff, states.StatePXEWakeup,
		states.StatePXEBooting, states.StateGPXEBooting, states.StateBooting:
		if e.Ended == "" {
			f.begun[row.Node] = true
		}
	}
}

func (f *follower) loaded(ctx context.Context, row *registry.LoadNode, e registry.StateLogEntry) error {
	row.Loaded = e.At
	free, err := f.isFree(ctx, row.Node)
	if err != nil {
		return err
	}
	if free || !f.job.WaitBoot { // a free node waits in its boot loader
		return f.end(ctx, row, registry.LoadDone, e, "")
	}
	row.Result, row.Deadline = registry.LoadLoaded, e.At.Add(bootTimeBase)
	return f.save(ctx, row)
}

// isFree asks the store: the log may run ahead of the snapshot.
func (f *follower) isFree(ctx context.Context, node string) (free bool, err error) {
	err = f.reg.Read(ctx, func(tx *registry.Tx) error {
		held, err := registry.Lookup[registry.Reservation](tx, node)
		free = held == nil
		return err
	})
	return free, err
}

// failed tries a node's load once more before it is given up.
func (f *follower) failed(ctx context.Context, row *registry.LoadNode, result string, e registry.StateLogEntry, reason string) error {
	if row.Result == registry.LoadLoaded {
		return f.end(ctx, row, result, e, "loaded, but "+reason)
	}
	if row.Attempt >= attemptsMax {
		return f.end(ctx, row, result, e, fmt.Sprintf("%s (%d attempts)", reason, row.Attempt))
	}
	images, err := resolveImages(f.reg.Snapshot(), f.job.Images)
	if err == nil {
		err = f.replan(ctx, row, images)
	}
	switch {
	case errors.Is(err, errNotOpen):
		delete(f.open, row.Node)
		return nil
	case errors.Is(err, registry.ErrNotFound), errors.Is(err, registry.ErrInvalid), errors.Is(err, errNoLoader):
		return f.end(ctx, row, registry.LoadFailed, e, reason+"; cannot be tried again: "+err.Error())
	case err != nil:
		return err
	}
	f.log.Warn("load is tried again", "node", row.Node, "job", f.job.ID, "reason", reason, "state", e.To)
	f.start(ctx, row.Node)
	return nil
}

// errNotOpen ends the part of a job that others ended: cancelled, replaced.
var errNotOpen = errors.New("the node's load was ended")

// replan tells the node to load once more and begins its next attempt.
func (f *follower) replan(ctx context.Context, row *registry.LoadNode, images []planned) error {
	snapshot := f.reg.Snapshot()
	next := *row
	next.Attempt++
	next.Deadline = time.Now().UTC().Add(loadTime(images))
	_, err := f.reg.Update(ctx, func(tx *registry.Tx) error {
		if stored, err := registry.Lookup[registry.LoadNode](tx, registry.LoadNodeKey(row.Job, row.Node)); err != nil {
			return err
		} else if stored == nil || !stored.Open() {
			return errNotOpen
		}
		next.After = tx.Revision()
		req := Request{Images: f.job.Images}
		if old, err := registry.Lookup[registry.NodeLoad](tx, row.Node); err != nil {
			return err
		} else if old != nil && len(old.Images) > 0 {
			req.Prepare, req.ZeroFree = old.Images[0].Prepare, old.Images[0].MustWipe
		}
		load, err := planNode(tx, snapshot, f.runner, row.Node, f.job, req, images)
		if err != nil {
			return err
		}
		next.Life = load.Life
		return registry.Put(tx, &next)
	})
	if err == nil {
		*row = next
		delete(f.begun, row.Node)
	}
	return err
}

// expire ends or retries nodes whose time is over.
func (f *follower) expire(ctx context.Context) error {
	now := time.Now()
	for _, id := range f.openNames() {
		if f.open[id].Deadline.After(now) {
			continue
		}
		row := f.row(id)
		if row == nil {
			continue
		}
		state := f.reg.Snapshot().State(id)
		last := registry.StateLogEntry{Node: id, Mode: state.Mode, To: state.State, At: now.UTC()}
		var err error
		if row.Result == registry.LoadLoaded {
			err = f.failed(ctx, row, registry.LoadTimedOut, last, "not up in time")
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
	if err != nil {
		return err
	}
	return f.forgetOld(ctx)
}

// jobsKeptMax is how many finished jobs are kept for people to look at.
const jobsKeptMax = 1000

// forgetOld deletes the oldest finished jobs beyond jobsKeptMax, each in a
// transaction of its own: one may hold thousands of rows.
func (m *Manager) forgetOld(ctx context.Context) error {
	var finished []*registry.LoadJob
	for _, job := range m.reg.Snapshot().Jobs() { // sorted by name, and so by time
		if !job.Finished.IsZero() {
			finished = append(finished, job)
		}
	}
	for _, job := range finished[:max(len(finished)-jobsKeptMax, 0)] {
		_, err := m.reg.Update(ctx, func(tx *registry.Tx) error {
			for _, node := range job.Nodes {
				if err := registry.Delete[registry.LoadNode](tx, registry.LoadNodeKey(job.ID, node)); err != nil {
					return err
				}
			}
			return registry.Delete[registry.LoadJob](tx, job.ID)
		})
		if err != nil {
			return err
		}
	}
	return nil
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
