package stated

import (
	"fmt"
	"reflect"
	"time"

	"hyzer/netsvc/lifecycle/states"
	"hyzer/storage/registry"
)

// reactionsMax bounds the reports that follow from one event by themselves
// (EmitState). The tables chain at most two.
const reactionsMax = 4

// turn is one transaction on one node: the events in, what came of them out.
// The transaction may run again, so it starts from nothing each time.
type turn struct {
	tables   *states.Tables
	snapshot *registry.Snapshot // for what is configured, not for state
	now      time.Time
	ended    string                   // not empty: why the node will not go on by itself
	extra    func(*registry.Tx) error // nil, or what else the transaction does

	node    states.Node         // after the events
	state   *registry.NodeState // likewise
	stale   []states.State
	errands []*registry.Errand
	notices []states.Reason // for operators
	refused states.Reason   // why a command was not taken
}

// run applies events to a node inside a transaction.
func (t *turn) run(tx *registry.Tx, id string, events []states.Event) error {
	t.errands, t.notices, t.refused, t.stale = nil, nil, "", nil
	recs, err := readRecords(tx, id)
	if err != nil {
		return err
	}
	t.node = recs.machineNode(t.snapshot)
	t.node.Revision = uint64(tx.Revision())
	before := t.node
	effects := t.step(t.current(recs, events))
	for i, e := range effects {
		if err := t.effect(tx, &recs, e, i); err != nil {
			return fmt.Errorf("%s of %s: %w", e.Kind, id, err)
		}
	}
	if err := t.logEnd(tx, before, effects); err != nil {
		return err
	}
	if err := t.save(tx, recs, before); err != nil || t.extra == nil {
		return err
	}
	return t.extra(tx)
}

// current leaves out reports that a load is done when the node has not begun a
// boot since its present load was planned: an older load ended, and the disk
// does not hold what the records say.
func (t *turn) current(recs records, events []states.Event) []states.Event {
	if recs.load == nil || recs.load.Job == "" || recs.load.Life != recs.state.Life {
		return events
	}
	var kept []states.Event
	for _, e := range events {
		if e.Kind == states.EventReport && (e.State == "RELOADDONE" || e.State == "RELOADDONEV2") {
			t.stale = append(t.stale, e.State)
			continue
		}
		kept = append(kept, e)
	}
	return kept
}

// logEnd writes a log entry when the machine gives a node up: waiters read the
// log, and nothing else will come there.
func (t *turn) logEnd(tx *registry.Tx, before states.Node, effects []states.Effect) error {
	reason := t.ended
	if reason == "" && gaveUp(&before, &t.node, effects) {
		reason = "retries are exhausted"
	}
	if reason == "" {
		return nil
	}
	t.node.Seq++
	mode, state := string(t.node.Mode), string(t.node.State)
	return registry.AppendLog(tx, &registry.StateLogEntry{Node: t.node.ID, Seq: t.node.Seq, At: t.now, FromMode: mode, Mode: mode,
		From: state, To: state, Source: string(states.SourceStated), Ended: registry.EndedGaveUp, Note: reason})
}

// gaveUp reports whether the machine stopped trying: it said so, or it let the
// last deadline of a node lapse that was given up before.
func gaveUp(before, after *states.Node, effects []states.Effect) bool {
	for _, e := range effects {
		if e.Kind == states.EffectNotify && e.Reason == states.ReasonGaveUp ||
			e.Kind == states.EffectEndCommand && e.Outcome == states.OutcomeGaveUp {
			return true
		}
	}
	return after.GaveUp && before.Deadline.Set() && !after.Deadline.Set() && before.Seq == after.Seq
}

// step runs the machine over the events and over the reports that follow from
// them by themselves.
func (t *turn) step(events []states.Event) (effects []states.Effect) {
	queue := append([]states.Event(nil), events...)
	for i := 0; i < len(queue); i++ {
		at := len(effects)
		t.node, effects = states.AppendStep(effects, t.tables, t.node, queue[i], t.now)
		for _, e := range effects[at:] {
			if e.Kind == states.EffectEmitState && len(queue) < len(events)+reactionsMax {
				queue = append(queue, states.ReportForLife(states.SourceStated, e.State, e.Life))
			}
		}
	}
	return effects
}

func (t *turn) save(tx *registry.Tx, recs records, before states.Node) error {
	next := stored(t.node, recs.state)
	t.state = next
	if t.node.Running.OSID != before.Running.OSID && t.node.Running.OSID != "" {
		ref, err := registry.ParseRef(t.node.Running.OSID)
		if err != nil {
			return err
		}
		next.Running = ref
	}
	if !reflect.DeepEqual(next, recs.state) { // a stale event changes nothing
		if err := registry.Put(tx, next); err != nil {
			return err
		}
	}
	switch {
	case t.node.Command == before.Command:
		return nil
	case t.node.Command.Set():
		return registry.Put(tx, storedCommand(t.node.ID, t.node.Command))
	}
	return registry.Delete[registry.Command](tx, t.node.ID)
}

// effect applies one effect inside the store, or writes the errand for one
// outside it. Those that are already in the machine's node need nothing.
func (t *turn) effect(tx *registry.Tx, recs *records, e states.Effect, index int) error {
	id := recs.node.ID
	switch e.Kind {
	case states.EffectLogState:
		return t.logState(tx, id, e.Entry)
	case states.EffectClearNextBoot:
		if recs.boot == nil {
			return nil
		}
		recs.boot.Next, recs.boot.NextCmdline = registry.Ref{}, ""
		return registry.Put(tx, recs.boot)
	case states.EffectClearPXEPath:
		if recs.boot == nil {
			return nil
		}
		recs.boot.NextPXEPath = ""
		return registry.Put(tx, recs.boot)
	case states.EffectClearReloads:
		return t.loadDone(tx, id)
	case states.EffectFreeNode:
		return freeNode(tx, id)
	case states.EffectRefreshTaint:
		return refreshTaint(tx, id)
	case states.EffectRefuseCommand:
		t.refused = e.Reason
	case states.EffectNotify:
		t.notices = append(t.notices, e.Reason)
	case states.EffectStartCommand, states.EffectReboot, states.EffectPingUp, states.EffectRunScript:
		errand := &registry.Errand{Node: id, After: tx.Revision(), Index: index, Kind: string(e.Kind), Method: string(e.Method),
			State: string(e.State), Life: t.lifeOf(e), Script: e.Script, Reason: string(e.Reason),
			Generation: e.Command.Generation, Created: t.now}
		t.errands = append(t.errands, errand)
		return registry.Put(tx, errand)
	}
	return nil
}

// lifeOf is the boot that an errand is for.
func (t *turn) lifeOf(e states.Effect) uint64 {
	if e.Life != 0 {
		return e.Life
	}
	return t.node.Life
}

// logState writes an entry, with the boot errno that a node reported before it
// reported its failure.
func (t *turn) logState(tx *registry.Tx, id string, e states.Entry) error {
	entry := logEntry(id, e)
	if states.DefaultFailSet().Has(e.To) {
		runtime, ok, err := registry.Find[registry.Runtime](tx, id)
		if err != nil {
			return err
		}
		if ok {
			entry.Errno = runtime.BootErrno
		}
	}
	return registry.AppendLog(tx, entry)
}

// loadDone drops the node's load and confirms what it wrote: until now the
// partition table was a plan.
func (t *turn) loadDone(tx *registry.Tx, id string) error {
	table, ok, err := registry.Find[registry.PartitionTable](tx, id)
	if err != nil {
		return err
	}
	if ok {
		for i := range table.Slots {
			if table.Slots[i].Confirmed.IsZero() {
				table.Slots[i].Confirmed = t.now
			}
		}
		if err := registry.Put(tx, table); err != nil {
			return err
		}
	}
	return registry.Delete[registry.NodeLoad](tx, id)
}

func freeNode(tx *registry.Tx, id string) error {
	if err := refreshTaint(tx, id); err != nil {
		return err
	}
	return registry.Delete[registry.Reservation](tx, id)
}

// refreshTaint drops the taints of what was on the disk before the load.
func refreshTaint(tx *registry.Tx, id string) error {
	runtime, ok, err := registry.Find[registry.Runtime](tx, id)
	if err != nil || !ok || len(runtime.Taints) == 0 {
		return err
	}
	runtime.Taints = nil
	return registry.Put(tx, runtime)
}
