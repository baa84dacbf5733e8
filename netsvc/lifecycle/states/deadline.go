package states

import "time"

const (
	// deadlineFiringsMax is how often the deadline of one stay fires, each
	// time after twice the wait, before the node is left to the operators.
	deadlineFiringsMax = 4
	// rebootTimeoutsMax is how many time-outs a node may have since its last
	// good boot and still be rebooted by one (stated.md section 4).
	rebootTimeoutsMax = 3
	// wakeupTimeoutsMax is how many lost wakeups are answered with another,
	// before a power cycle (stated.md section 4, PXEWAKEUP).
	wakeupTimeoutsMax = 2
	// deadlineAgeMax is how long after its time a deadline still counts when
	// the runner starts (stated.md section 4).
	deadlineAgeMax = 7 * 24 * time.Hour
)

// armDeadline replaces the deadline by that of the node's present state.
func (s *step) armDeadline() { s.setDeadline(s.now, 0) }

func (s *step) setDeadline(since time.Time, fired int) {
	limit, ok := s.t.Timeout(s.n.Mode, s.n.State, s.n.Type)
	if !ok {
		s.n.Deadline = Deadline{}
		return
	}
	s.n.Deadline = Deadline{At: since.Add(limit.After << fired), Generation: s.nextGen(), Fired: fired}
}

// progress starts the time of the node's state again.
func (s *step) progress() {
	if !s.n.Deadline.Set() {
		s.ignore(ReasonNoDeadline)
		return
	}
	s.armDeadline()
}

func (s *step) deadlineExpired(generation uint64) {
	if !s.n.Deadline.Set() || s.n.Deadline.Generation != generation {
		s.ignore(ReasonStale)
		return
	}
	s.fireDeadline()
}

// fireDeadline does what the end of the state's time does (stated.md section
// 4). The deadline is armed again unless the action moves the node: a lost
// wakeup or a failed reboot must not leave the node without anyone watching.
func (s *step) fireDeadline() {
	limit, ok := s.t.Timeout(s.n.Mode, s.n.State, s.n.Type)
	if !ok || !s.n.Deadline.Set() {
		s.n.Deadline = Deadline{}
		s.ignore(ReasonNoDeadline)
		return
	}
	fired := countUp(s.n.Deadline.Fired)
	s.rearm(fired)
	s.n.TimedOut = countUp(s.n.TimedOut)
	s.act(limit)
	if fired >= deadlineFiringsMax {
		s.giveUp()
	}
}

func (s *step) act(limit Timeout) {
	switch {
	case s.n.State == StatePXEWakeup:
		s.wakeupLost()
	case limit.Action == ActionReboot:
		s.rebootStuck()
	case limit.Action == ActionState:
		s.note(ReasonStateForced)
		s.transition(Report(SourceStated, limit.Next))
	default:
		s.notify(ReasonDeadline)
	}
}

// countUp adds one to a count of the record, whatever was stored there.
func countUp(n int) int { return min(max(n, 0), 1<<20) + 1 }

func (s *step) rearm(fired int) {
	if fired >= deadlineFiringsMax {
		s.n.Deadline = Deadline{}
		return
	}
	s.setDeadline(s.now, fired)
}

// giveUp leaves the node to the operators, who are told once until RESET.
func (s *step) giveUp() {
	if !s.n.GaveUp {
		s.n.GaveUp = true
		s.notify(ReasonGaveUp)
	}
}

func (s *step) wakeupLost() {
	method := MethodWakeup
	if s.n.TimedOut > wakeupTimeoutsMax {
		method = MethodPowerCycle
	}
	s.emit(Effect{Kind: EffectReboot, Method: method})
}

// rebootStuck reboots a node that is stuck between its BIOS and its OS. In
// all other states a REBOOT row is only noted, as in production since 2003.
func (s *step) rebootStuck() {
	stuck := s.n.State == StatePXEBooting || s.n.Mode == ModeNormalV2 && s.n.State == StateBooting
	switch {
	case s.n.NoReboot:
		s.ignore(ReasonNoRebootHeld)
	case s.n.TimedOut > rebootTimeoutsMax:
		s.n.Deadline = Deadline{}
		s.giveUp()
	case s.rebooting():
		s.note(ReasonInProgress) // it has its own retries
	case stuck:
		s.start(Command{Kind: CommandReboot, Force: ForceAny, Source: SourceStated, Attempts: s.n.TimedOut})
	default:
		s.note(ReasonRebootNotDone)
	}
}

// resume sets a node's deadline and command right after the runner was down.
func (s *step) resume() {
	if c := s.n.Command; !c.At.IsZero() && s.now.Sub(c.At) > deadlineAgeMax {
		s.endCommand(OutcomeGaveUp)
	}
	d := s.n.Deadline
	switch {
	case d.Set() && s.now.Sub(d.At) > deadlineAgeMax:
		s.n.Deadline = Deadline{}
		s.note(ReasonAncientTimeout)
	case !d.Set() && d.Fired == 0 && s.n.State != "" && !s.n.GaveUp:
		s.setDeadline(s.n.Since, 0)
		if s.n.Deadline.Set() && s.now.Sub(s.n.Deadline.At) > deadlineAgeMax {
			s.n.Deadline = Deadline{}
		}
	}
}
