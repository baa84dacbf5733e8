package stated

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"hyzer/netsvc/lifecycle/states"
	"hyzer/storage/kv"
	"hyzer/storage/registry"
)

// ErrRefused is returned for a command that the gatekeeper did not take; the
// error's text says why.
var ErrRefused = errors.New("stated: command refused")

// ErrLeftOff is wrapped by an Actor whose node is without power although it was
// to be rebooted. Nothing more comes from such a node, so the failure is
// written to its log, where waiters see it.
var ErrLeftOff = errors.New("stated: node was left without power")

// Actor does what the machine orders outside the store. Its methods run on
// workers, one at a time for each node, and may run again after a crash.
type Actor interface {
	// Reboot reboots or powers a node by a method. Success means that the
	// node went down or was woken, not that it came up.
	Reboot(ctx context.Context, node string, method states.Method) error
	// PingUp probes a node until it answers, at most states.PingUpFor.
	PingUp(ctx context.Context, node string) bool
	// RunScript runs an operator's script by name, without arguments.
	RunScript(ctx context.Context, node, script string) error
}

// Config is what a Runner needs.
type Config struct {
	Registry *registry.Registry
	Actor    Actor
	Log      *slog.Logger
	Policy   states.Policy
}

// Runner runs the machine for all nodes of a registry.
type Runner struct {
	cfg      Config
	timers   *timers
	pool     *pool // of reboots and scripts
	probes   *pool
	expected expectations

	mu      sync.Mutex // guards the rest
	tables  *states.Tables
	source  *registry.Snapshot            // the tables' time-outs come from its types
	probing map[string]context.CancelFunc // by node
}

// New makes a runner. Reports are taken at once; deadlines and errands run
// while Run does.
func New(cfg Config) *Runner {
	r := &Runner{cfg: cfg, probing: map[string]context.CancelFunc{}}
	r.timers = newTimers()
	r.pool = newPool(workersMax, r.runErrand)
	r.probes = newPool(probesMax, r.runErrand)
	return r
}

// Run fires deadlines and runs errands until ctx ends. It begins with those
// that were left when the appliance last stopped.
func (r *Runner) Run(ctx context.Context) error {
	r.resume(ctx)
	var work sync.WaitGroup
	work.Go(func() { r.timers.run(ctx, r.fire) })
	work.Go(func() { r.pool.run(ctx) })
	work.Go(func() { r.probes.run(ctx) })
	work.Wait()
	return nil
}

// resume loads deadlines, commands and errands, and arms deadlines that are
// missing.
func (r *Runner) resume(ctx context.Context) {
	snapshot := r.cfg.Registry.Snapshot()
	for _, node := range snapshot.Nodes() {
		recs := records{node: node, state: snapshot.State(node.ID), command: snapshot.Command(node.ID)}
		if recs.state.State == "" && recs.command == nil {
			continue
		}
		r.timers.follow(recs.machineNode(snapshot), snapshot.Revision())
		if _, effects := states.Step(r.tablesNow(snapshot), recs.machineNode(snapshot), states.Resume(), r.now()); len(effects) == 0 {
			continue
		}
		if err := r.apply(ctx, node.ID, states.Resume()); err != nil {
			r.cfg.Log.Error("state not resumed", "node", node.ID, "error", err)
		}
	}
	r.enqueue(snapshot.Errands()...)
}

// Report records states that a node has reached, in order, in one transaction.
// It returns when they are durable and in the snapshot.
func (r *Runner) Report(ctx context.Context, node, source string, reached ...string) error {
	events := make([]states.Event, len(reached))
	for i, state := range reached {
		events[i] = states.Report(states.Source(source), states.State(state))
	}
	return r.apply(ctx, node, events...)
}

// Control records a server-side order such as RESET (TBCONTROL).
func (r *Runner) Control(ctx context.Context, node, source string, order states.Control) error {
	return r.apply(ctx, node, states.ControlOrder(states.Source(source), order))
}

// Command asks for a reboot or a change of power. ErrRefused says that the
// node's state does not allow it without force.
func (r *Runner) Command(ctx context.Context, node, by string, kind states.CommandKind, force states.Force) error {
	return r.apply(ctx, node, states.Request(states.Source(by), kind, force))
}

// Boot is Command for a reboot into what the records say since a revision: a
// node that asked what to boot since then is on its way, and left alone. note
// writes down that it was ordered, in the same transaction.
func (r *Runner) Boot(ctx context.Context, node, by string, force states.Force, since kv.Revision, note func(*registry.Tx) error) error {
	r.AwaitReports(ctx, node)
	order := states.RequestBoot(states.Source(by), states.CommandReboot, force, uint64(since))
	return r.applyTurn(ctx, node, &turn{extra: note}, order)
}

// Select changes what a node boots, in the caller's transaction, and what
// follows from it: the op_mode that the node goes to next.
func (r *Runner) Select(tx *registry.Tx, node string, change func(*registry.BootSelection)) error {
	recs, err := readRecords(tx, node)
	if err != nil {
		return err
	}
	if recs.boot == nil {
		recs.boot = &registry.BootSelection{Node: node}
	}
	change(recs.boot)
	if err := registry.Put(tx, recs.boot); err != nil {
		return err
	}
	snapshot := r.cfg.Registry.Snapshot()
	machine := recs.machineNode(snapshot)
	recs.state.NextMode = string(states.PendingMode(r.tablesNow(snapshot), &machine))
	return registry.Put(tx, recs.state)
}

// apply applies events to a node, behind the reports of it that are on their
// way.
func (r *Runner) apply(ctx context.Context, node string, events ...states.Event) error {
	r.AwaitReports(ctx, node)
	return r.applyTurn(ctx, node, &turn{}, events...)
}

// applyTurn is the one way in which a node's state changes.
func (r *Runner) applyTurn(ctx context.Context, node string, t *turn, events ...states.Event) error {
	t.snapshot = r.cfg.Registry.Snapshot()
	t.tables, t.now = r.tablesNow(t.snapshot), r.now()
	revision, err := r.cfg.Registry.Update(ctx, func(tx *registry.Tx) error { return t.run(tx, node, events) })
	if err != nil {
		return fmt.Errorf("stated: node %s: %w", node, err)
	}
	r.timers.follow(t.node, revision)
	r.enqueue(t.errands...)
	for _, stale := range t.stale {
		r.cfg.Log.Warn("report of an older load is ignored", "node", node, "state", stale)
	}
	for _, reason := range t.notices {
		r.cfg.Log.Warn("node needs attention", "node", node, "reason", reason, "mode", t.node.Mode, "state", t.node.State)
	}
	if t.refused != "" {
		return fmt.Errorf("%w: node %s: %s (state %s)", ErrRefused, node, t.refused, t.node.State)
	}
	return nil
}

// fire is called when a deadline or a command's time has come. The machine
// knows a stale one by its generation.
func (r *Runner) fire(ctx context.Context, due timer) {
	event := states.DeadlineExpired(due.generation)
	if due.command {
		event = states.CommandExpired(due.generation)
	}
	err := r.apply(ctx, due.node, event)
	switch {
	case err == nil, ctx.Err() != nil:
	case errors.Is(err, registry.ErrNotFound):
		r.timers.forget(due.node)
	default:
		r.cfg.Log.Error("time-out not recorded; trying again", "node", due.node, "error", err)
		r.timers.again(due, r.now().Add(fireRetryDelay))
	}
}

// fireRetryDelay spaces attempts to record a time-out while the store refuses
// to write (disk full).
const fireRetryDelay = 5 * time.Second

// now is the runner's clock. Tests run in virtual time.
func (r *Runner) now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
