package states

// runTriggers runs what entering a state sets off. The list is that of the
// op_mode at entry, whatever a trigger makes of the op_mode.
func (s *step) runTriggers(mode Mode, from, to State) {
	var buf [8]Trigger
	for _, trigger := range s.t.Triggers(buf[:0], s.n.Triggers, mode, to) {
		s.run(trigger, from, to)
	}
	s.dropTriggers(mode, to)
}

// run does one trigger (states.md, trigger vocabulary). from and to are the
// reported transition's states; an earlier trigger of the list may have
// changed the op_mode, and the state with it, since.
func (s *step) run(trigger Trigger, from, to State) {
	switch trigger.Kind {
	case TriggerScript:
		s.emit(Effect{Kind: EffectRunScript, Script: trigger.Script})
	case TriggerPXEBoot:
		s.forceMode(ModePXEKernel)
	case TriggerSecureBoot:
		s.secureBoot(from)
	case TriggerBooting:
		s.booting(from)
	case TriggerCheckGenISUP:
		s.checkGenISUP()
	case TriggerCheckPortReg:
		s.emit(Effect{Kind: EffectCheckPortReg})
	case TriggerPXEReset:
		s.emit(Effect{Kind: EffectClearPXEPath})
	case TriggerReset:
		s.reset()
	case TriggerReloadDone:
		s.reloadDone()
	case TriggerReloadDoneV2:
		s.reloadDoneV2()
	case TriggerISUP:
		s.emit(Effect{Kind: EffectEmitState, State: StateISUP, Life: s.n.Life})
	case TriggerReboot, TriggerPowerCycle, TriggerPowerOff:
		s.request(Request(SourceTrigger, CommandKind(trigger.Kind), ForceNone))
	case TriggerEmailNotify:
		s.emit(Effect{Kind: EffectNotify, Reason: ReasonStateEntered, State: to})
	case TriggerReloadOldMFS:
		s.notify(ReasonLoaderTooOld)
	default: // of a node's own row; Parse refuses it in the tables
		s.note(ReasonUnknownTrigger)
	}
}

// dropTriggers removes the node's own triggers that ran: they are one-shot
// (stated.md section 3, 8).
func (s *step) dropTriggers(mode Mode, state State) {
	kept := 0
	for i := range s.n.Triggers {
		if !s.n.Triggers[i].matches(mode, state) {
			kept++
		}
	}
	if kept == len(s.n.Triggers) {
		return
	}
	var rest []NodeTrigger // a new slice: the caller's is not ours to write
	for _, row := range s.n.Triggers {
		if !row.matches(mode, state) {
			rest = append(rest, row)
		}
	}
	s.n.Triggers = rest
	s.emit(Effect{Kind: EffectClearTriggers})
}

// checkGenISUP speaks for an OS that does not report ISUP itself. A loader
// that never sends it must carry the feature all the same, or the synthetic
// ISUP would end the load (stated.md section 3, CHECKGENISUP).
func (s *step) checkGenISUP() {
	switch features := s.n.Running.Features; {
	case s.n.Running.OSID == "":
		s.note(ReasonOSUnknown)
	case features&FeatureISUP != 0:
	case features&FeaturePing != 0:
		s.emit(Effect{Kind: EffectPingUp, State: StateISUP, Life: s.n.Life})
	default:
		s.emit(Effect{Kind: EffectEmitState, State: StateISUP, Life: s.n.Life})
	}
}

// reset marks the boot as good: retries start over, and a one-shot boot that
// was taken is used up (stated.md section 3, RESET). Windows loads always
// clear it: their BOOTING is often lost, so that the running OS is stale.
func (s *step) reset() {
	s.n.TimedOut = 0
	if s.n.GaveUp && !s.n.Deadline.Set() {
		s.armDeadline() // it was spent; the node is watched again
	}
	s.n.GaveUp = false
	switch {
	case s.n.Running.OSID == "" || s.n.Default.OSID == "":
		s.note(ReasonOSUnknown)
	case s.n.Running.OSID != s.n.Default.OSID || s.n.Mode == ModeWIMReload:
		s.clearNextBoot()
	}
}

// reloadDone ends a load, and the reservation with it if the node was only
// held for the load (stated.md section 3, RELOADDONE).
func (s *step) reloadDone() {
	s.n.CurrentReloads = 0
	s.emit(Effect{Kind: EffectClearReloads})
	if s.n.Reservation != ReservationReloading {
		s.emit(Effect{Kind: EffectRefreshTaint})
		return
	}
	s.n.Reservation = ReservationFree
	s.emit(Effect{Kind: EffectFreeNode})
}

// reloadDoneV2 also reboots the node: its loader waits for that, so that it
// cannot ask what to boot before the load is over (stated.md section 7, 3).
func (s *step) reloadDoneV2() {
	s.reloadDone()
	method := MethodIPOD
	if s.n.PowerCycleAfterReload {
		method = MethodPowerCycle
	}
	s.emit(Effect{Kind: EffectReboot, Method: method})
}
