package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hyzer/netsvc/lifecycle/states"
	"hyzer/storage/registry"
)

// attemptsMax is how often a load is tried on one node.
const attemptsMax = 2

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
	f.beats.forget(row.Node)
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
	return f.start(ctx, row)
}

// errNotOpen ends the part of a job that others ended: cancelled, replaced.
var errNotOpen = errors.New("the node's load was ended")

// replan tells the node to load once more and begins its next attempt.
func (f *follower) replan(ctx context.Context, row *registry.LoadNode, images []planned) error {
	snapshot := f.reg.Snapshot()
	next := *row
	next.Attempt++
	next.Ordered = false
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
		f.beats.forget(row.Node)
	}
	return err
}
