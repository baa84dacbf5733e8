package states

// opMode serves the deprecated request for an op_mode (stated.md section 1).
func (s *step) opMode(ev Event) {
	if !s.t.KnownMode(ev.Mode) {
		s.ignore(ReasonUnknownMode)
		return
	}
	s.note(ReasonOpModeDeprecated)
	s.changeMode(ev.Mode, false, ev.Source)
}

// changeMode takes the node to another op_mode, into the state that the
// tables name for the change, else keeping its state (stated.md section 3,
// mode change). Unforced changes want a row, and are made without one all the
// same. Triggers and mode exits of the new state do not run.
func (s *step) changeMode(to Mode, forced bool, source Source) {
	if to == s.n.Mode {
		s.n.NextMode = ""
		return
	}
	if !s.t.KnownMode(to) {
		s.note(ReasonUnknownMode)
		return
	}
	state, listed := s.t.ModeExit(s.n.Mode, s.n.State, to)
	e := Entry{FromMode: s.n.Mode, ToMode: to, From: s.n.State, To: state, Verdict: Valid,
		Forced: forced, ModeChange: true, Source: source}
	if !listed {
		e.To, e.Verdict = s.n.State, Unchecked
		if !forced {
			e.Verdict = Invalid
			s.note(ReasonUnlistedModeExit)
		}
	}
	e.Reported = e.To
	s.enter(e)
	s.n.NextMode = ""
	s.armDeadline()
}

// forceMode is changeMode for the triggers that need no row. It leaves
// next_op_mode alone if there is nothing to change.
func (s *step) forceMode(to Mode) {
	if to != s.n.Mode {
		s.changeMode(to, true, SourceTrigger)
	}
}

// secureBoot picks which attested op_mode a node that starts its attesting
// loader is in (states.md, SECUREBOOT).
func (s *step) secureBoot(from State) {
	loading := s.n.NextMode == ModeSecureLoad || s.n.Mode == ModeSecureLoad
	if loading && (from == StateShutdown || from == StateRebooting) {
		s.forceMode(ModeSecureLoad)
		return
	}
	s.forceMode(ModeSecureBoot)
}

// booting records what the loader was told to boot and leaves the loader's
// op_mode for that OS's (stated.md section 3, BOOTING). from is the state
// before this one.
func (s *step) booting(from State) {
	os, ok := s.n.Boots()
	switch {
	case !ok:
		s.note(ReasonNoBootOS)
		return
	case !s.t.KnownMode(os.Mode):
		s.note(ReasonNoOSMode)
		return
	}
	s.n.Running = os
	s.emit(Effect{Kind: EffectSetRunning})
	switch {
	case os.Mode == s.n.Mode:
	case s.n.Mode == ModePXEKernel:
		s.forceMode(os.Mode)
	case from == StateISUP && s.n.NextMode != "":
		s.forceMode(s.n.NextMode)
	default:
		s.note(ReasonWrongMode)
		if os.Mode == ModeReload { // else it would get stuck in the loader
			s.forceMode(os.Mode)
		}
	}
}

// pendingMode computes next_op_mode anew after the boot selection changed.
func (s *step) pendingMode() {
	next := PendingMode(s.t, &s.n)
	if next == s.n.NextMode {
		return
	}
	s.n.NextMode = next
	s.emit(Effect{Kind: EffectSetNextMode, Mode: next})
}

func (s *step) clearNextBoot() {
	s.n.Next = BootOS{}
	s.emit(Effect{Kind: EffectClearNextBoot})
	s.pendingMode()
}
