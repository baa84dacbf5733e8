package states

import "time"

// EffectKind tells effects apart.
type EffectKind string

// Effects inside the store. The runner applies them in the transaction that
// writes the Node. Those marked "in Node" are already in the returned record:
// they are there for the log and for what is kept beside it.
const (
	// EffectLogState appends Entry to the node's state log: a report (stated.md
	// section 3, 1 to 4) or a change of op_mode. Waiters read that log.
	EffectLogState EffectKind = "log-state"
	// EffectSetDeadline puts Node.Deadline into the timer queue in place of
	// the node's former one (section 3, 6). In Node. At most one per Step.
	EffectSetDeadline EffectKind = "set-deadline"
	// EffectClearDeadline takes the node's deadline out of the timer queue.
	// In Node.
	EffectClearDeadline EffectKind = "clear-deadline"
	// EffectSetRunning: nodes.osid is now Node.Running (section 3, BOOTING).
	// In Node.
	EffectSetRunning EffectKind = "set-running"
	// EffectClearNextBoot: the one-shot boot selection was used up or voided
	// (section 3, RESET; section 5, soft violation). In Node.
	EffectClearNextBoot EffectKind = "clear-next-boot"
	// EffectSetNextMode: next_op_mode was computed anew as Mode (section 3).
	// In Node.
	EffectSetNextMode EffectKind = "set-next-mode"
	// EffectClearReloads deletes the node's rows of current_reloads (section
	// 3, RELOADDONE). The count is in Node.
	EffectClearReloads EffectKind = "clear-reloads"
	// EffectFreeNode ends the reservation by the reloading experiment: clear
	// taints and scheduled_reloads, allocstate FREE_CLEAN, node_history free,
	// and hand it to a pre-reserve that waits, if any (section 3,
	// RELOADDONE). Node.Reservation is ReservationFree; the runner writes
	// the pre-reserve's over it.
	EffectFreeNode EffectKind = "free-node"
	// EffectRefreshTaint recomputes the node's taints from its partitions
	// (section 3, RELOADDONE of a node that stays reserved).
	EffectRefreshTaint EffectKind = "refresh-taint"
	// EffectClearTriggers: the node's own triggers that ran are gone
	// (section 3, 8). In Node.
	EffectClearTriggers EffectKind = "clear-triggers"
	// EffectClearPXEPath clears next_pxe_boot_path (states.md, PXERESET).
	EffectClearPXEPath EffectKind = "clear-pxe-path"
	// EffectCheckPortReg: if the node is its experiment's sync server and
	// has no port registered, register 16534 (states.md, CHECKPORTREG).
	EffectCheckPortReg EffectKind = "check-port-reg"
	// EffectEndCommand: Command is no longer pending, by Outcome (section
	// 5). In Node.
	EffectEndCommand EffectKind = "end-command"
	// EffectRefuseCommand: the request for Command was not taken, for
	// Reason (section 5, gatekeeper). Tell the requester.
	EffectRefuseCommand EffectKind = "refuse-command"
	// EffectNote is a line for the node's log, by Reason.
	EffectNote EffectKind = "note"
	// EffectIgnore: the event changed nothing, for Reason.
	EffectIgnore EffectKind = "ignore"
)

// Effects outside the store. The runner hands them to workers after the
// transaction is durable; none of them may run in the event loop (section 7, 6).
const (
	// EffectStartCommand runs Command by Method (section 5). Its worker
	// answers with CommandDone for Command.Generation. A set Command.At is
	// put into the timer queue, with that generation.
	EffectStartCommand EffectKind = "start-command"
	// EffectReboot runs Method on the node without a pending command: the
	// state's deadline, or the loader itself, watches over it (section 3,
	// RELOADDONEV2; section 4, PXEWAKEUP).
	EffectReboot EffectKind = "reboot"
	// EffectEmitState reports State for the node at once, as
	// ReportForLife(SourceStated, State, Life) (section 3, CHECKGENISUP;
	// states.md, ISUP).
	EffectEmitState EffectKind = "emit-state"
	// EffectPingUp probes the node each second for up to PingUpFor, and
	// reports State with Life when it answers (section 3, CHECKGENISUP). It
	// takes the place of a probe that still runs for the node.
	EffectPingUp EffectKind = "ping-up"
	// EffectNotify tells the operators, by Reason. Digest and throttle.
	EffectNotify EffectKind = "notify"
	// EffectRunScript runs Script without arguments (states.md, SCRIPT).
	EffectRunScript EffectKind = "run-script"
)

// PingUpFor is how long a PingUp effect tries (stated.md section 3).
const PingUpFor = 600 * time.Second

// External reports whether an effect acts outside the store.
func (k EffectKind) External() bool {
	switch k {
	case EffectStartCommand, EffectReboot, EffectEmitState, EffectPingUp, EffectNotify, EffectRunScript:
		return true
	}
	return false
}

// Effect is one thing to do or to record. Which fields count is said at its
// kind. It is plain data, so that it can be stored until a worker has done it.
type Effect struct {
	Kind    EffectKind
	Reason  Reason
	Entry   Entry
	Command Command
	Outcome Outcome
	Method  Method
	Mode    Mode
	State   State
	Life    uint64
	Script  string
}

// Verdict is the tables' opinion of a transition.
type Verdict string

// The verdicts.
const (
	Valid     Verdict = "valid"
	Invalid   Verdict = "invalid"   // not in the tables
	Unchecked Verdict = "unchecked" // nothing to judge it by, or forced
)

// Entry is one line of the node's state log.
type Entry struct {
	Seq      uint64 // grows by one with each entry of the node
	At       time.Time
	FromMode Mode
	ToMode   Mode // differs from FromMode only in a change of op_mode
	From     State
	To       State
	Reported State // what was reported; differs from To where SECVIOLATION holds
	Verdict  Verdict
	Forced   bool // a change of op_mode that needs no row
	// ModeChange entries follow from a report's entry. A waiter that steps
	// through an ordered list must not count both as two events.
	ModeChange bool
	Source     Source
}

// Method is how a node is rebooted or powered.
type Method string

// The methods.
const (
	MethodLadder     Method = "ladder"     // wakeup or soft reboot, then harder, then power cycle (load.md section 4)
	MethodReal       Method = "real"       // the ladder, and a real reboot where it would wake the node (-b)
	MethodWakeup     Method = "wakeup"     // packet to the waiting loader (-r)
	MethodIPOD       Method = "ipod"       // ping of death
	MethodPowerCycle Method = "powercycle" // (-k)
	MethodPowerOff   Method = "poweroff"
	MethodPowerOn    Method = "poweron"
)

// Outcome is how a command ended.
type Outcome string

// The outcomes.
const (
	OutcomeDone       Outcome = "done"
	OutcomeFailed     Outcome = "failed"     // a power command that its worker could not do
	OutcomeGaveUp     Outcome = "gave-up"    // retries are exhausted
	OutcomeOvertaken  Outcome = "overtaken"  // the stuck node it was for moved on by itself
	OutcomeSuperseded Outcome = "superseded" // by another command, or by a power-off
)

// Reason says why, in a word that logs and tests can match.
type Reason string

// The reasons of notes, notifications, refusals and ignored events.
const (
	ReasonInvalidTransition Reason = "invalid-transition"
	ReasonUnlistedModeExit  Reason = "unlisted-mode-change"
	ReasonUnknownMode       Reason = "unknown-mode"
	ReasonWrongMode         Reason = "wrong-mode"    // runs an OS of another op_mode
	ReasonNoBootOS          Reason = "no-boot-os"    // boots, but should wait in the loader
	ReasonNoOSMode          Reason = "no-os-mode"    // the OS's op_mode is not known
	ReasonOSUnknown         Reason = "os-unknown"    // running or default OS is not set
	ReasonStillPending      Reason = "still-pending" // a report that does not settle the command
	ReasonUnknownTrigger    Reason = "unknown-trigger"
	ReasonOpModeDeprecated  Reason = "opmode-event-deprecated"

	ReasonDeadline      Reason = "state-timeout"
	ReasonStateForced   Reason = "state-forced"     // by its time-out
	ReasonRebootNotDone Reason = "reboot-not-taken" // time-outs of this state are only logged
	ReasonGaveUp        Reason = "gave-up"
	ReasonStateEntered  Reason = "state-entered"
	ReasonLoaderTooOld  Reason = "loader-too-old"
	ReasonSoftViolation Reason = "soft-secviolation" // not powered off; one-shot boot cleared
	ReasonCommandFailed Reason = "command-failed"

	ReasonGate       Reason = "state-refuses-reboot"
	ReasonInProgress Reason = "already-in-progress"
	ReasonOnItsWay   Reason = "already-on-its-way" // it boots what it is wanted to

	ReasonStale          Reason = "stale"
	ReasonBadState       Reason = "bad-state-name"
	ReasonBadEvent       Reason = "bad-event"
	ReasonBadCommand     Reason = "bad-command"
	ReasonDHCPOfRunning  Reason = "dhcp-of-running-os"
	ReasonNoRebootHeld   Reason = "held-by-stated-noreboot"
	ReasonNoDeadline     Reason = "no-deadline"
	ReasonAncientTimeout Reason = "deadline-long-past"
)
