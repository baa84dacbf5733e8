package states

import "time"

// effectsUsual is how many effects most events have, at most.
const effectsUsual = 4

// Step applies one event to a node and returns the node's new record with
// what has to be done, in order. It is pure and total.
func Step(t *Tables, n Node, ev Event, now time.Time) (Node, []Effect) {
	return AppendStep(make([]Effect, 0, effectsUsual), t, n, ev, now)
}

// AppendStep is Step with the effects appended to dst, so that a busy caller
// can use one slice again.
func AppendStep(dst []Effect, t *Tables, n Node, ev Event, now time.Time) (Node, []Effect) {
	if t == nil {
		t = Stock()
	}
	s := step{t: t, n: n, now: now, out: dst}
	s.dispatch(ev)
	switch {
	case s.n.Deadline == n.Deadline:
	case s.n.Deadline.Set():
		s.emit(Effect{Kind: EffectSetDeadline})
	case n.Deadline.Set():
		s.emit(Effect{Kind: EffectClearDeadline})
	}
	return s.n, s.out
}

// step is one Step under way. The node is held by value, which keeps it off
// the heap.
type step struct {
	t   *Tables
	n   Node
	now time.Time
	out []Effect
}

func (s *step) emit(e Effect)    { s.out = append(s.out, e) }
func (s *step) note(r Reason)    { s.emit(Effect{Kind: EffectNote, Reason: r}) }
func (s *step) notify(r Reason)  { s.emit(Effect{Kind: EffectNotify, Reason: r}) }
func (s *step) ignore(r Reason)  { s.emit(Effect{Kind: EffectIgnore, Reason: r}) }
func (s *step) nextGen() uint64  { s.n.Generation++; return s.n.Generation }
func (s *step) softPolicy() bool { return !s.t.policy.HardSecViolation }

func (s *step) dispatch(ev Event) {
	switch ev.Kind {
	case EventReport:
		s.report(ev)
	case EventControl:
		s.control(ev)
	case EventOpMode:
		s.opMode(ev)
	case EventDeadline:
		s.deadlineExpired(ev.Generation)
	case EventCommand:
		s.request(ev)
	case EventCommandTimeout:
		s.commandExpired(ev.Generation)
	case EventCommandDone:
		s.commandDone(ev)
	case EventResume:
		s.resume()
	case EventProgress:
		s.progress()
	default:
		s.ignore(ReasonBadEvent)
	}
}

func (s *step) control(ev Event) {
	switch ev.Control {
	case ControlReset:
		s.reset()
	case ControlReloadDone:
		s.reloadDone()
	case ControlReloadDoneV2:
		s.reloadDoneV2()
	case ControlPXEReset:
		s.emit(Effect{Kind: EffectClearPXEPath})
	case ControlTimeout:
		s.fireDeadline()
	default:
		s.ignore(ReasonBadEvent)
	}
}

// report is the state transition algorithm (stated.md section 3) behind the
// checks on what a stranger may send.
func (s *step) report(ev Event) {
	switch {
	case !validName(string(ev.State)):
		s.ignore(ReasonBadState)
	case ev.Life != 0 && ev.Life != s.n.Life, ev.Asked != 0 && ev.Asked < s.n.Asked:
		s.ignore(ReasonStale)
	case ev.Source == SourceReboot && ev.State == StatePXEWakeup && !s.n.State.TakesOrders():
		s.ignore(ReasonOnItsWay) // it left its loader while it was to be woken
	case s.t.policy.BootEventsFromDHCP && s.n.Mode == ModeNormalV2 &&
		s.n.State == StateISUP && ev.State == StateBooting:
		s.ignore(ReasonDHCPOfRunning)
	default:
		s.transition(ev)
	}
}

// transition moves the node to a state and does what follows from that, in
// the order of stated.md section 3.
func (s *step) transition(ev Event) {
	reported, source := ev.State, ev.Source
	from, mode := s.n.State, s.n.Mode
	verdict := s.verdict(from, reported)
	if verdict == Invalid {
		s.note(ReasonInvalidTransition)
	}
	to := reported
	if source != SourceOperator { // who alone may overrule a violation
		to = s.hold(reported, verdict)
	}
	s.enter(Entry{FromMode: mode, ToMode: mode, From: from, To: to,
		Reported: reported, Verdict: verdict, Source: source})
	if ev.Asked != 0 || endsLife(to) {
		s.n.Asked = ev.Asked
	}
	s.settleCommand(reported, ev.Asked)
	s.armDeadline()
	if from == to && to == StateSecViolation && reported == StatePowerOff {
		return // off, as the triggers of the violation asked: do not ask again
	}
	s.runTriggers(mode, from, to)
	if s.n.NextMode != "" && s.t.IsModeExit(s.n.Mode, to) {
		s.changeMode(s.n.NextMode, false, SourceStated)
	}
}

func (s *step) verdict(from, to State) Verdict {
	switch {
	case from == "" || s.n.Mode == "":
		return Unchecked
	case s.t.Valid(s.n.Mode, from, to):
		return Valid
	}
	return Invalid
}

// hold returns the state that is really entered: in the attested op_modes
// whatever is unexpected is a violation, and a violation lasts, except that
// under the soft policy a new boot ends it (stated.md section 3, 2b and 3).
func (s *step) hold(to State, verdict Verdict) State {
	secure := s.n.Mode == ModeSecureBoot || s.n.Mode == ModeSecureLoad
	if secure && verdict == Invalid {
		return StateSecViolation
	}
	if s.n.State != StateSecViolation {
		return to
	}
	if s.softPolicy() && (to == StateShutdown || to == StatePowerOff || to == StateGPXEBooting) {
		return to
	}
	return StateSecViolation
}

// endsLife reports whether whatever OS ran is gone when the node is in state:
// what was started to watch that OS must not speak for the next one.
func endsLife(state State) bool {
	switch state {
	case StateShutdown, StateRebooting, StatePowerOff, StatePXEBooting, StateGPXEBooting, StateBooting:
		return true
	}
	return false
}

// enter writes the node's mode and state and the log entry that says so. It
// is the only place that does either.
func (s *step) enter(e Entry) {
	s.n.Seq++
	e.Seq, e.At = s.n.Seq, s.now
	s.n.Mode, s.n.State, s.n.Since = e.ToMode, e.To, s.now
	if e.ModeChange {
		s.n.ModeSince = s.now
	}
	if endsLife(e.To) && !(e.ModeChange && e.From == e.To) {
		s.n.Life++
	}
	s.emit(Effect{Kind: EffectLogState, Entry: e})
}
