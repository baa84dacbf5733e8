package statestest

import (
	"slices"
	"time"

	"hyzer/netsvc/lifecycle/states"
)

// Stream makes a node and a sequence of events out of bytes, so that a fuzzer
// or a random source can steer both. Where the bytes end it yields zeroes.
type Stream struct {
	data   []byte
	tables *states.Tables
	modes  []states.Mode
	states []states.State
}

// NewStream returns a stream over data. Names are mostly those of the tables,
// sometimes ones they do not know.
func NewStream(tables *states.Tables, data []byte) *Stream {
	s := &Stream{data: data, tables: tables, modes: append(tables.Modes(), "", "NOSUCH", "EXPTSTATE")}
	for _, mode := range tables.Modes() {
		s.states = append(s.states, tables.States(mode)...)
	}
	slices.Sort(s.states)
	s.states = append(slices.Compact(s.states), "", "PXEFAILED", "bad name\x00", "*")
	return s
}

// More reports whether bytes are left.
func (s *Stream) More() bool { return len(s.data) > 0 }

func (s *Stream) next() byte {
	if len(s.data) == 0 {
		return 0
	}
	b := s.data[0]
	s.data = s.data[1:]
	return b
}

func pick[T any](s *Stream, from []T) T { return from[int(s.next())%len(from)] }

// Node returns a node in any mode and state, with anything else in it.
func (s *Stream) Node() states.Node {
	flags := s.next()
	n := states.Node{
		Mode: pick(s, s.modes), State: pick(s, s.states), Since: epoch,
		NextMode: pick(s, s.modes), Running: s.os(), Default: s.os(), Next: s.os(), Temp: s.os(),
		Reservation:    pick(s, []states.Reservation{"", "user", "reloading", "?"}),
		CurrentReloads: int(int8(s.next())), TimedOut: int(int8(s.next())),
		NoReboot: flags&1 != 0, PowerCycleAfterReload: flags&2 != 0,
	}
	if flags&4 != 0 {
		n.Deadline = states.Deadline{At: epoch, Generation: 7, Fired: int(int8(s.next()))}
		n.Generation = 8
	}
	if flags&8 != 0 {
		n.Command = states.Command{Kind: s.command(), At: epoch, Generation: 8, Attempts: int(int8(s.next()))}
		n.Command.After, n.Command.Failed = uint64(flags>>6), flags&16 != 0
		n.Generation = 8
	}
	for range s.next() % 4 {
		n.Triggers = append(n.Triggers, s.trigger())
	}
	return n
}

func (s *Stream) os() states.BootOS {
	b := s.next()
	if b&1 != 0 {
		return states.BootOS{}
	}
	return states.BootOS{OSID: string(pick(s, s.modes)), Mode: pick(s, s.modes), Features: states.Features(b >> 1)}
}

func (s *Stream) command() states.CommandKind {
	return pick(s, []states.CommandKind{states.CommandReboot, states.CommandPowerOff,
		states.CommandPowerOn, states.CommandPowerCycle, "", "NOSUCH"})
}

func (s *Stream) trigger() states.NodeTrigger {
	row := states.NodeTrigger{Mode: pick(s, s.modes), State: pick(s, s.states)}
	for range s.next() % 4 {
		row.Triggers = append(row.Triggers, states.Trigger{Kind: pick(s, []states.TriggerKind{
			states.TriggerScript, states.TriggerPXEBoot, states.TriggerSecureBoot, states.TriggerBooting,
			states.TriggerCheckGenISUP, states.TriggerCheckPortReg, states.TriggerPXEReset, states.TriggerReset,
			states.TriggerReloadDone, states.TriggerReloadDoneV2, states.TriggerISUP, states.TriggerReboot,
			states.TriggerPowerCycle, states.TriggerPowerOff, states.TriggerEmailNotify, states.TriggerReloadOldMFS,
			"", "NOSUCH"})})
	}
	return row
}

// Event returns an event for n: mostly state reports, and mostly time-outs of
// the right generation.
func (s *Stream) Event(n *states.Node) states.Event {
	b := s.next()
	wrong := uint64(count(b&0x80 != 0))
	switch b % 16 {
	case 0:
		return states.ControlOrder(s.source(), pick(s, []states.Control{states.ControlReset, states.ControlReloadDone,
			states.ControlReloadDoneV2, states.ControlPXEReset, states.ControlTimeout, "NOSUCH"}))
	case 1:
		return states.OpMode(s.source(), pick(s, s.modes))
	case 2, 3:
		return states.DeadlineExpired(n.Deadline.Generation + wrong)
	case 4, 5:
		return states.Request(s.source(), s.command(), states.Force(s.next()))
	case 6:
		return states.CommandExpired(n.Command.Generation + wrong)
	case 7:
		return states.CommandDone(s.source(), n.Command.Generation+wrong, s.next()&1 != 0)
	case 8:
		return pick(s, []states.Event{states.Resume(), states.Progress(states.SourceLoad)})
	case 9:
		return states.Event{Kind: states.EventKind(pick(s, s.states))}
	case 10:
		return states.ReportForLife(s.source(), pick(s, s.states), n.Life+wrong)
	case 11:
		return states.ReportOfAnswer(states.SourceBootinfo, pick(s, []states.State{states.StatePXEBooting, states.StatePXEWait,
			states.StateBooting, states.StateRebooting}), uint64(s.next()%8))
	case 12:
		return states.RequestBoot(states.SourceLoad, states.CommandReboot, states.Force(s.next()), uint64(s.next()%8))
	}
	return states.Report(s.source(), pick(s, s.states))
}

func (s *Stream) source() states.Source {
	return pick(s, []states.Source{states.SourceClient, states.SourceBootinfo, states.SourcePower,
		states.SourcePing, states.SourceOperator, states.SourceStated, states.SourceTrigger, ""})
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Run feeds the stream's events to the stream's node until the bytes end, and
// returns the first broken promise.
func (s *Stream) Run() error {
	n, now := s.Node(), epoch
	for s.More() {
		now = now.Add(time.Duration(s.next()) * time.Second)
		ev := s.Event(&n)
		step := Step{Tables: s.tables, Before: n, Copy: clone(n), Event: ev}
		step.After, step.Effects = states.Step(s.tables, n, ev, now)
		if err := Check(&step); err != nil {
			return err
		}
		n = step.After
	}
	return nil
}

func clone(n states.Node) states.Node {
	n.Triggers = slices.Clone(n.Triggers)
	for i := range n.Triggers {
		n.Triggers[i].Triggers = slices.Clone(n.Triggers[i].Triggers)
	}
	return n
}
