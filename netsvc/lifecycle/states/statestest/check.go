// Package statestest checks what the node machine promises: Check judges one
// Step by the invariants of package states, and Stream makes nodes and events
// out of bytes. Property tests, fuzz targets and the runner's tests use it.
package statestest

import (
	"fmt"
	"reflect"

	"hyzer/netsvc/lifecycle/states"
)

// Step is one application of the machine, for Check.
type Step struct {
	Tables  *states.Tables
	Before  states.Node // as it is after the call: the machine must not have written to its slices
	Copy    states.Node // deep copy of Before, made before the call
	Event   states.Event
	After   states.Node
	Effects []states.Effect
}

// Check returns the first promise of package states that the step broke.
func Check(s *Step) error {
	for _, check := range [...]func(*Step) error{
		inputUntouched, logFollowed, modeKnown, countersGrow, deadlineKept, deadlineAnnounced, commandFollowed, staleIgnored,
		waitingIsWoken,
	} {
		if err := check(s); err != nil {
			return fmt.Errorf("%w\nevent  %+v\nbefore %+v\nafter  %+v\neffects %+v", err, s.Event, s.Copy, s.After, s.Effects)
		}
	}
	return nil
}

func inputUntouched(s *Step) error {
	if !reflect.DeepEqual(s.Before, s.Copy) {
		return fmt.Errorf("the given node was written to")
	}
	return nil
}

// logFollowed: the log's entries are a chain from the old mode and state to
// the new ones.
func logFollowed(s *Step) error {
	mode, state, seq := s.Copy.Mode, s.Copy.State, s.Copy.Seq
	for _, e := range s.Effects {
		if e.Kind != states.EffectLogState {
			continue
		}
		seq++
		if e.Entry.FromMode != mode || e.Entry.From != state || e.Entry.Seq != seq {
			return fmt.Errorf("log entry %+v does not follow %s/%s #%d", e.Entry, mode, state, seq-1)
		}
		if !e.Entry.ModeChange && e.Entry.FromMode != e.Entry.ToMode {
			return fmt.Errorf("log entry %+v changes the op_mode unsaid", e.Entry)
		}
		mode, state = e.Entry.ToMode, e.Entry.To
	}
	if s.After.Mode != mode || s.After.State != state || s.After.Seq != seq {
		return fmt.Errorf("node is %s/%s #%d, its log ends in %s/%s #%d", s.After.Mode, s.After.State, s.After.Seq, mode, state, seq)
	}
	return nil
}

func modeKnown(s *Step) error {
	if s.After.Mode != s.Copy.Mode && !s.Tables.KnownMode(s.After.Mode) {
		return fmt.Errorf("unknown op_mode %q was entered", s.After.Mode)
	}
	return nil
}

func countersGrow(s *Step) error {
	b, a := &s.Copy, &s.After
	if a.Seq < b.Seq || a.Life < b.Life || a.Generation < b.Generation {
		return fmt.Errorf("seq, life or generation went back")
	}
	return nil
}

// deadlineKept: entering a state arms its deadline if it has one, and a
// deadline goes away otherwise only when the node is given up, no longer has
// a row, or was left alone for days.
func deadlineKept(s *Step) error {
	_, row := s.Tables.Timeout(s.After.Mode, s.After.State, s.After.Type)
	set := s.After.Deadline.Set()
	if entered := s.After.Seq != s.Copy.Seq; entered {
		if set != row {
			return fmt.Errorf("entered %s/%s: row %t, deadline %t", s.After.Mode, s.After.State, row, set)
		}
		return nil
	}
	if s.Copy.Deadline.Set() && !set && row && !s.After.GaveUp && s.Event.Kind != states.EventResume {
		return fmt.Errorf("the deadline is gone")
	}
	return nil
}

func deadlineAnnounced(s *Step) error {
	announced := map[states.EffectKind]int{}
	for _, e := range s.Effects {
		announced[e.Kind]++
	}
	changed := s.After.Deadline != s.Copy.Deadline
	wantSet := changed && s.After.Deadline.Set()
	wantClear := !s.After.Deadline.Set() && s.Copy.Deadline.Set()
	if announced[states.EffectSetDeadline] != count(wantSet) || announced[states.EffectClearDeadline] != count(wantClear) {
		return fmt.Errorf("deadline %+v -> %+v, announced %v", s.Copy.Deadline, s.After.Deadline, announced)
	}
	if wantSet && s.After.Deadline.Generation == s.Copy.Deadline.Generation {
		return fmt.Errorf("a new deadline has the old one's generation")
	}
	return nil
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// commandFollowed: the effects tell each start and end of the command.
func commandFollowed(s *Step) error {
	pending := s.Copy.Command
	for _, e := range s.Effects {
		switch e.Kind {
		case states.EffectEndCommand:
			if !pending.Set() || e.Command != pending {
				return fmt.Errorf("%+v ended, pending was %+v", e.Command, pending)
			}
			pending = states.Command{}
		case states.EffectStartCommand:
			if pending.Set() && pending.Since != e.Command.Since {
				return fmt.Errorf("%+v started over %+v", e.Command, pending)
			}
			pending = e.Command
		}
	}
	if s.Event.Kind == states.EventCommandDone && pending.Generation == s.Copy.Command.Generation {
		pending.Failed = s.After.Command.Failed // what the worker said
	}
	if s.After.Command != pending {
		return fmt.Errorf("pending is %+v, the effects say %+v", s.After.Command, pending)
	}
	return nil
}

// staleIgnored: a time-out or report of another generation changes nothing.
func staleIgnored(s *Step) error {
	stale := false
	switch s.Event.Kind {
	case states.EventDeadline:
		stale = !s.Copy.Deadline.Set() || s.Event.Generation != s.Copy.Deadline.Generation
	case states.EventCommandTimeout, states.EventCommandDone:
		stale = !s.Copy.Command.Set() || s.Event.Generation != s.Copy.Command.Generation
	case states.EventReport:
		stale = s.Event.Life != 0 && s.Event.Life != s.Copy.Life || s.Event.Asked != 0 && s.Event.Asked < s.Copy.Asked
	}
	if !stale {
		return nil
	}
	if len(s.Effects) != 1 || s.Effects[0].Kind != states.EffectIgnore || !reflect.DeepEqual(s.After, s.Copy) {
		return fmt.Errorf("a stale event had an effect")
	}
	return nil
}

// waitingIsWoken: no reboot that failed is left to its time-out by a report
// that the node listens.
func waitingIsWoken(s *Step) error {
	c := s.After.Command
	if s.Event.Kind == states.EventReport && s.After.Seq != s.Copy.Seq && s.After.State.TakesOrders() &&
		c.Kind == states.CommandReboot && c.Failed && c.Force <= states.ForceAny {
		return fmt.Errorf("%+v failed, and the node that listens is not woken", c)
	}
	return nil
}
