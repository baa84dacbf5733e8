package stated

import (
	"hyzer/netsvc/lifecycle/bootplan"
	"hyzer/netsvc/lifecycle/states"
	"hyzer/storage/kv"
	"hyzer/storage/registry"
)

// Attributes of nodes and types that steer the machine.
const (
	attrNoReboot   = "stated_noreboot"
	attrPowerCycle = "powercycleafterreload"
)

// records are what the machine needs of one node, read in the transaction.
type records struct {
	node        *registry.Node
	state       *registry.NodeState
	boot        *registry.BootSelection // nil: none
	reservation *registry.Reservation   // nil: free
	command     *registry.Command       // nil: none
	load        *registry.NodeLoad      // nil: none
}

func readRecords(tx *registry.Tx, id string) (r records, err error) {
	if r.node, err = registry.Peek[registry.Node](tx, id); err == nil && r.node == nil {
		r.node, err = registry.Get[registry.Node](tx, id) // says that there is none
	}
	if err != nil {
		return r, err
	}
	if r.state, err = readState(tx, id); err != nil {
		return r, err
	}
	boot, err := registry.Peek[registry.BootSelection](tx, id)
	if err != nil {
		return r, err
	}
	if boot != nil {
		own := *boot // it is changed here
		r.boot = &own
	}
	if r.reservation, err = registry.Peek[registry.Reservation](tx, id); err != nil {
		return r, err
	}
	if r.command, err = registry.Peek[registry.Command](tx, id); err != nil {
		return r, err
	}
	r.load, err = registry.Peek[registry.NodeLoad](tx, id)
	return r, err
}

// readState returns a state record that the caller may change.
func readState(tx *registry.Tx, id string) (*registry.NodeState, error) {
	state, err := registry.Peek[registry.NodeState](tx, id)
	if err != nil || state == nil {
		if err == nil {
			state, err = registry.FirstState(tx, id)
		}
		return state, err
	}
	own := *state
	return &own, nil
}

// machineNode is the machine's picture of the records.
func (r records) machineNode(s *registry.Snapshot) states.Node {
	st := r.state
	n := states.Node{
		ID: r.node.ID, Type: r.node.Type,
		Mode: states.Mode(st.Mode), State: states.State(st.State),
		Since: st.Since, ModeSince: st.ModeSince, Seq: st.Seq, Life: st.Life,
		Asked: uint64(st.Asked), NextMode: states.Mode(st.NextMode),
		Running:  bootOS(s, st.Running),
		TimedOut: st.TimedOut, GaveUp: st.GaveUp, Generation: st.Generation,
		Deadline: states.Deadline{At: st.Deadline.At, Generation: st.Deadline.Generation, Fired: st.Deadline.Fired},
		NoReboot: isSet(s.Attribute(r.node, attrNoReboot)),

		PowerCycleAfterReload: isSet(s.Attribute(r.node, attrPowerCycle)),
	}
	for _, t := range st.Triggers {
		n.Triggers = append(n.Triggers, machineTrigger(t))
	}
	if r.boot != nil {
		n.Default, n.Temp = bootOS(s, r.boot.Def), bootOS(s, r.boot.Temp)
		if bootplan.NextCounts(s, r.node, r.boot, r.load) {
			n.Next = bootOS(s, r.boot.Next)
		}
	}
	if r.load != nil {
		n.CurrentReloads = len(r.load.Images)
	}
	if c := r.command; c != nil {
		n.Command = states.Command{Kind: states.CommandKind(c.Kind), Force: states.Force(c.Force),
			Source: states.Source(c.By), Attempts: c.Attempts, Since: c.Since, At: c.At, Generation: c.Generation,
			After: uint64(c.After), Seq: c.Seq, Failed: c.Failed}
	}
	if r.reservation != nil {
		n.Reservation = states.ReservationUser
		if r.reservation.Experiment == registry.ReloadingExpt {
			n.Reservation = states.ReservationReloading
		}
	}
	return n
}

func isSet(attribute string) bool { return attribute != "" && attribute != "0" }

// bootOS resolves a selection. Versions of one system are one OSID: the machine
// asks whether the default system runs, not which build of it.
func bootOS(s *registry.Snapshot, ref registry.Ref) states.BootOS {
	if ref.IsZero() {
		return states.BootOS{}
	}
	_, version := bootplan.Concrete(s, ref)
	os := states.BootOS{OSID: ref.Key()}
	if version == nil {
		return os
	}
	os.Mode = states.Mode(version.OpMode)
	if version.Has("isup") {
		os.Features |= states.FeatureISUP
	}
	if version.Has("ping") {
		os.Features |= states.FeaturePing
	}
	return os
}

func machineTrigger(t registry.NodeTrigger) states.NodeTrigger {
	own := states.NodeTrigger{Mode: states.Mode(t.Mode), State: states.State(t.State)}
	for _, name := range t.Triggers {
		// A name that this version does not know does nothing.
		if trigger, err := states.ParseTrigger(name); err == nil {
			own.Triggers = append(own.Triggers, trigger)
		}
	}
	return own
}

// stored is the state record for a node that the machine stepped.
func stored(n states.Node, was *registry.NodeState) *registry.NodeState {
	st := *was
	st.Mode, st.State, st.Since, st.ModeSince = string(n.Mode), string(n.State), n.Since, n.ModeSince
	st.Seq, st.Life, st.Asked, st.NextMode = n.Seq, n.Life, kv.Revision(n.Asked), string(n.NextMode)
	st.TimedOut, st.GaveUp, st.Generation = n.TimedOut, n.GaveUp, n.Generation
	st.Deadline = registry.Deadline{At: n.Deadline.At, Generation: n.Deadline.Generation, Fired: n.Deadline.Fired}
	st.Triggers = nil
	for _, t := range n.Triggers {
		row := registry.NodeTrigger{Mode: string(t.Mode), State: string(t.State)}
		for _, name := range t.Triggers {
			row.Triggers = append(row.Triggers, name.String())
		}
		st.Triggers = append(st.Triggers, row)
	}
	return &st
}

func storedCommand(id string, c states.Command) *registry.Command {
	return &registry.Command{Node: id, Kind: string(c.Kind), Force: int(c.Force), By: string(c.Source),
		Attempts: c.Attempts, Since: c.Since, At: c.At, Generation: c.Generation,
		After: kv.Revision(c.After), Seq: c.Seq, Failed: c.Failed}
}

func logEntry(id string, e states.Entry) *registry.StateLogEntry {
	entry := &registry.StateLogEntry{Node: id, Seq: e.Seq, At: e.At, FromMode: string(e.FromMode), Mode: string(e.ToMode),
		From: string(e.From), To: string(e.To), Source: string(e.Source), Invalid: e.Verdict == states.Invalid, ModeChange: e.ModeChange}
	if e.Reported != "" && e.Reported != e.To {
		entry.Reported = string(e.Reported)
	}
	return entry
}
