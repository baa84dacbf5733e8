package states

// commandTimeoutsMax is how often a command times out before it is given up
// (stated.md section 4, TBCOMMAND:REBOOT).
const commandTimeoutsMax = 4

// request decides whether a command is started (stated.md section 5).
func (s *step) request(ev Event) {
	source, kind, force := ev.Source, ev.Command, ev.Force
	c := Command{Kind: kind, Force: force, Source: source, After: ev.After}
	if source == SourceTrigger {
		c.Attempts = s.n.TimedOut
	}
	switch kind {
	case CommandReboot:
		if ev.After != 0 && s.n.Asked > ev.After && !s.n.State.TakesOrders() {
			s.ignore(ReasonOnItsWay)
			return
		}
		if reason, ok := s.gate(force); !ok {
			s.emit(Effect{Kind: EffectRefuseCommand, Reason: reason, Command: c})
			return
		}
	case CommandPowerOff, CommandPowerOn, CommandPowerCycle:
		if kind == CommandPowerOff && s.softViolation(c) {
			return
		}
	default:
		s.ignore(ReasonBadCommand)
		return
	}
	s.start(c)
}

// gate is the gatekeeper of reboots: unforced ones are for nodes that came to
// rest, and one at a time.
func (s *step) gate(force Force) (Reason, bool) {
	switch {
	case force != ForceNone:
		return "", true
	case s.n.State != StateISUP && s.n.State != StateTBFailed && !s.n.GaveUp:
		return ReasonGate, false
	case s.rebooting():
		return ReasonInProgress, false
	}
	return "", true
}

// rebooting reports whether a reboot is pending that will end by itself. One
// without time limit does not count: it might bar the node for ever.
func (s *step) rebooting() bool {
	return s.n.Command.Kind == CommandReboot && !s.n.Command.At.IsZero()
}

// softViolation takes the power-off of a violating node under the soft
// policy: the one-shot boot is cleared instead (stated.md section 5). An
// operator's forced power-off is obeyed.
func (s *step) softViolation(c Command) bool {
	if s.n.State != StateSecViolation || !s.softPolicy() || c.Force != ForceNone {
		return false
	}
	s.note(ReasonSoftViolation)
	if c.Source != SourceTrigger {
		s.emit(Effect{Kind: EffectRefuseCommand, Reason: ReasonSoftViolation, Command: c})
	}
	if s.n.Next.OSID != "" {
		s.clearNextBoot()
	}
	return true
}

// start makes c the pending command and begins its first attempt.
func (s *step) start(c Command) {
	if s.n.Command.Set() {
		s.endCommand(OutcomeSuperseded)
	}
	c.Since = s.now
	if c.After == 0 {
		c.After = s.n.Revision
	}
	s.attempt(c)
}

func (s *step) attempt(c Command) {
	c.Generation, c.Seq, c.Failed = s.nextGen(), s.n.Seq, false
	if limit, ok := s.t.CommandTimeout(c.Kind, s.n.Type); ok {
		c.At = s.now.Add(limit.After)
	}
	s.n.Command = c
	s.emit(Effect{Kind: EffectStartCommand, Command: c, Method: method(c)})
}

func method(c Command) Method {
	switch c.Kind {
	case CommandPowerOff:
		return MethodPowerOff
	case CommandPowerOn:
		return MethodPowerOn
	case CommandPowerCycle:
		return MethodPowerCycle
	}
	switch c.Force {
	case ForceReboot:
		return MethodReal
	case ForcePowerCycle:
		return MethodPowerCycle
	}
	return MethodLadder
}

func (s *step) endCommand(o Outcome) {
	s.emit(Effect{Kind: EffectEndCommand, Command: s.n.Command, Outcome: o})
	s.n.Command = Command{}
}

// commandExpired tries a pending command again, forced, or gives up.
func (s *step) commandExpired(generation uint64) {
	c := s.n.Command
	if !c.Set() || c.Generation != generation || c.At.IsZero() {
		s.ignore(ReasonStale)
		return
	}
	s.n.TimedOut = countUp(s.n.TimedOut)
	c.Attempts = countUp(c.Attempts)
	if c.Attempts >= commandTimeoutsMax {
		s.n.GaveUp = true
		s.endCommand(OutcomeGaveUp)
		s.notify(ReasonGaveUp) // each time: someone asked for this command
		return
	}
	c.Force = max(c.Force, ForceAny)
	s.attempt(c)
}

// commandDone takes a worker's report. A reboot that failed keeps its time
// limit: the retry is spaced by it.
func (s *step) commandDone(ev Event) {
	c := s.n.Command
	switch {
	case !c.Set() || c.Generation != ev.Generation:
		s.ignore(ReasonStale)
	case ev.OK:
		s.endCommand(OutcomeDone)
	case c.At.IsZero():
		s.endCommand(OutcomeFailed)
		s.notify(ReasonCommandFailed)
	default:
		s.note(ReasonCommandFailed)
		s.n.Command.Failed = true
		if c.Seq < s.n.Seq { // the worker may not have seen where the node is
			s.wakeBehind()
		}
	}
}

// wakeBehind tries a reboot that failed again at once, if the node listens now:
// it was told to wait before it was ordered, but that was recorded behind the
// order. An attempt that has not failed yet will find the node where it is.
func (s *step) wakeBehind() {
	if c := s.n.Command; c.Failed && method(c) == MethodLadder && s.n.State.TakesOrders() {
		s.attempt(c)
	}
}

// settleCommand ends the pending command if what the node reports shows that
// it worked or was overtaken. Any other state leaves its retry alone: it may
// be a late word of the life before (stated.md section 3, 5 has the fault).
//
// What the node was told from records of before the command is no doing of the
// command. A command for a stuck node is settled by that too: it is not stuck.
func (s *step) settleCommand(state State, asked uint64) {
	c := s.n.Command
	if !c.Set() {
		return
	}
	if asked != 0 && asked <= c.After && c.Source != SourceStated {
		s.note(ReasonStillPending)
		s.wakeBehind()
		return
	}
	off := state == StatePowerOff
	down := (endsLife(state) || state == StatePXEWakeup) && !off
	switch {
	case down && c.Kind != CommandPowerOff, off && c.Kind == CommandPowerOff:
		s.endCommand(OutcomeDone)
	case off && c.Kind == CommandReboot:
		s.endCommand(OutcomeSuperseded) // its retry would turn the node on again
	case c.Source == SourceStated:
		s.endCommand(OutcomeOvertaken) // it was for a node that was stuck
	default:
		s.note(ReasonStillPending)
		s.wakeBehind()
	}
}
