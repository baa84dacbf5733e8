package stated

import (
	"context"
	"errors"
	"time"

	"hyzer/netsvc/lifecycle/states"
	"hyzer/storage/registry"
)

// errandRetryDelay spaces attempts to record an errand's end while the store
// refuses to write.
const errandRetryDelay = fireRetryDelay

// enqueue hands errands to the workers. Probes have workers of their own: they
// take minutes, and a node's next reboot must not wait for one.
func (r *Runner) enqueue(errands ...*registry.Errand) {
	for _, e := range errands {
		if states.EffectKind(e.Kind) == states.EffectPingUp {
			r.endProbe(e.Node) // the new one takes its place
			r.probes.add(e)
		} else {
			r.pool.add(e)
		}
	}
}

// runErrand does one errand and removes it, together with what its outcome
// does to the node.
func (r *Runner) runErrand(ctx context.Context, e *registry.Errand) {
	r.AwaitReports(ctx, e.Node) // they say where the node is
	if r.cfg.Registry.Snapshot().Errand(e.Key()) == nil {
		return // done before, or its node was deleted
	}
	var outcome []states.Event
	var err error
	if !r.overtaken(e) {
		outcome, err = r.act(ctx, e)
	}
	if ctx.Err() != nil {
		return // stopping: it is done after the restart
	}
	ended := ""
	if err != nil {
		r.cfg.Log.Warn("errand failed", "node", e.Node, "errand", e.Kind, "method", e.Method, "error", err)
		if errors.Is(err, ErrLeftOff) {
			ended = err.Error()
		}
	}
	remove := func(tx *registry.Tx) error { return registry.Delete[registry.Errand](tx, e.Key()) }
	if err == nil && states.EffectKind(e.Kind) == states.EffectStartCommand {
		remove = func(tx *registry.Tx) error { return r.removeWithRetries(tx, e) }
	}
	for !r.endErrand(ctx, e, ended, outcome, remove) {
		select {
		case <-time.After(errandRetryDelay):
		case <-ctx.Done():
			return
		}
	}
}

// endErrand removes an errand and applies its outcome in one transaction. An
// outcome that breaks a rule is dropped: it would break it again. False means
// that it must be tried again.
func (r *Runner) endErrand(ctx context.Context, e *registry.Errand, ended string, outcome []states.Event, remove func(*registry.Tx) error) bool {
	err := r.applyTurn(ctx, e.Node, &turn{ended: ended, extra: remove}, outcome...)
	if errors.Is(err, registry.ErrNotFound) || errors.Is(err, registry.ErrInvalid) || errors.Is(err, registry.ErrConflict) {
		if !errors.Is(err, registry.ErrNotFound) { // else the node was deleted
			r.cfg.Log.Error("outcome of errand is dropped", "node", e.Node, "errand", e.Kind, "error", err)
		}
		_, err = r.cfg.Registry.Update(ctx, remove)
	}
	if err != nil && ctx.Err() == nil {
		r.cfg.Log.Error("end of errand not recorded; trying again", "node", e.Node, "errand", e.Kind, "error", err)
	}
	return err == nil
}

// removeWithRetries removes an errand that did its command, and the retries of
// the command that wait because the errand took longer than the command's time:
// they would reboot the node again.
func (r *Runner) removeWithRetries(tx *registry.Tx, done *registry.Errand) error {
	command, err := registry.Peek[registry.Command](tx, done.Node)
	if err != nil {
		return err
	}
	for _, e := range r.cfg.Registry.Snapshot().Errands() {
		wanted := command != nil && e.Generation == command.Generation
		if e.Node != done.Node || e.Kind != done.Kind || wanted && e.Key() != done.Key() {
			continue
		}
		if err := registry.Delete[registry.Errand](tx, e.Key()); err != nil {
			return err
		}
	}
	return registry.Delete[registry.Errand](tx, done.Key())
}

// overtaken reports whether events have made an errand pointless while it
// waited, or while the appliance was down. A node that has come up since must
// not be rebooted for what it was then. One that is still down must: its power
// may have been off in the middle of this very errand.
func (r *Runner) overtaken(e *registry.Errand) bool {
	snapshot := r.cfg.Registry.Snapshot()
	state := snapshot.State(e.Node)
	switch states.EffectKind(e.Kind) {
	case states.EffectPingUp:
		return state.Life != e.Life
	case states.EffectStartCommand:
		if command := snapshot.Command(e.Node); command != nil {
			return command.Generation != e.Generation // a later errand is for it
		}
	case states.EffectReboot:
	default:
		return false
	}
	return state.Life > e.Life && !down(states.State(state.State))
}

func down(state states.State) bool {
	return state == states.StateShutdown || state == states.StateRebooting || state == states.StatePowerOff
}

// act does the errand and returns the events that its outcome is.
func (r *Runner) act(ctx context.Context, e *registry.Errand) ([]states.Event, error) {
	switch states.EffectKind(e.Kind) {
	case states.EffectStartCommand:
		err := r.cfg.Actor.Reboot(ctx, e.Node, states.Method(e.Method))
		return []states.Event{states.CommandDone(states.SourceReboot, e.Generation, err == nil)}, err
	case states.EffectReboot:
		return nil, r.cfg.Actor.Reboot(ctx, e.Node, states.Method(e.Method))
	case states.EffectPingUp:
		return r.probe(ctx, e)
	case states.EffectRunScript:
		return nil, r.cfg.Actor.RunScript(ctx, e.Node, e.Script)
	}
	return nil, errors.New("errand of a kind that this version does not know")
}

func (r *Runner) probe(ctx context.Context, e *registry.Errand) ([]states.Event, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.mu.Lock()
	r.probing[e.Node] = cancel
	r.mu.Unlock()
	up := r.cfg.Actor.PingUp(ctx, e.Node)
	r.mu.Lock()
	delete(r.probing, e.Node)
	r.mu.Unlock()
	switch {
	case up:
		return []states.Event{states.ReportForLife(states.SourcePing, states.State(e.State), e.Life)}, nil
	case ctx.Err() != nil:
		return nil, nil
	}
	return nil, errors.New("no answer to pings")
}

// endProbe ends the probe of a node, if one runs.
func (r *Runner) endProbe(node string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if cancel := r.probing[node]; cancel != nil {
		cancel()
	}
}
