package states

// Source is who an event comes from. The runner's callers say it by what they
// are; it is never read from the wire, for an operator's word overrules a
// violation.
type Source string

// The sources in practice (stated.md section 1).
const (
	SourceClient   Source = "client"       // the node itself, through tmcd
	SourceBootinfo Source = "bootinfo"     // the boot loader's question
	SourceOrder    Source = "bootinfosend" // an order to a boot loader that waits
	SourceDHCP     Source = "dhcp"
	SourceReboot   Source = "reboot" // the reboot ladder
	SourcePower    Source = "power"  // a power driver
	SourcePing     Source = "ping"   // answers pings, so it is up
	SourceLoad     Source = "load"
	SourceOperator Source = "operator"
	SourceStated   Source = "stated"  // the machine: a deadline, a synthetic ISUP
	SourceTrigger  Source = "trigger" // the machine: a trigger row
)

// EventKind tells events apart.
type EventKind string

// The kinds of event; each names its constructor.
const (
	EventReport         EventKind = "report"
	EventControl        EventKind = "control"
	EventOpMode         EventKind = "opmode"
	EventDeadline       EventKind = "deadline"
	EventCommand        EventKind = "command"
	EventCommandTimeout EventKind = "command-timeout"
	EventCommandDone    EventKind = "command-done"
	EventResume         EventKind = "resume"
	EventProgress       EventKind = "progress"
)

// Event is one input of the machine.
type Event struct {
	Kind       EventKind
	Source     Source
	State      State       // report
	Life       uint64      // report: of a synthetic ISUP; 0: any
	Asked      uint64      // report: revision of the records that the node was answered from; 0: it speaks of now
	After      uint64      // command: boots answered from later records are what it wants; 0: those of after it
	Control    Control     // control
	Mode       Mode        // opmode
	Generation uint64      // deadline, command-timeout, command-done
	Command    CommandKind // command
	Force      Force       // command
	OK         bool        // command-done
}

// Control is a server-side order about the node's record (stated.md section
// 1, TBCONTROL).
type Control string

// The control orders.
const (
	ControlReset        Control = "RESET"
	ControlReloadDone   Control = "RELOADDONE"
	ControlReloadDoneV2 Control = "RELOADDONEV2"
	ControlPXEReset     Control = "PXERESET"
	ControlTimeout      Control = "TIMEOUT"
)

// Report is a node's new state (TBNODESTATE).
func Report(source Source, state State) Event {
	return Event{Kind: EventReport, Source: source, State: state}
}

// ReportForLife is Report for one boot only, that of an EmitState or PingUp
// effect: it is ignored if the node has begun another boot since.
func ReportForLife(source Source, state State, life uint64) Event {
	return Event{Kind: EventReport, Source: source, State: state, Life: life}
}

// ReportOfAnswer is Report of what a node was told when it asked what to boot,
// from the records of a revision. Orders may have come since.
func ReportOfAnswer(source Source, state State, asked uint64) Event {
	return Event{Kind: EventReport, Source: source, State: state, Asked: asked}
}

// ControlOrder is a TBCONTROL event.
func ControlOrder(source Source, control Control) Event {
	return Event{Kind: EventControl, Source: source, Control: control}
}

// OpMode asks for an op_mode (TBNODEOPMODE, deprecated).
func OpMode(source Source, mode Mode) Event {
	return Event{Kind: EventOpMode, Source: source, Mode: mode}
}

// DeadlineExpired says that the deadline armed as generation has passed.
func DeadlineExpired(generation uint64) Event {
	return Event{Kind: EventDeadline, Source: SourceStated, Generation: generation}
}

// Request asks for a command (TBCOMMAND). Permission was checked before.
func Request(source Source, command CommandKind, force Force) Event {
	return Event{Kind: EventCommand, Source: source, Command: command, Force: force}
}

// RequestBoot is Request for a node that is to boot what the records of later
// than a revision say. Nothing is started if that is what it was told already.
func RequestBoot(source Source, command CommandKind, force Force, after uint64) Event {
	return Event{Kind: EventCommand, Source: source, Command: command, Force: force, After: after}
}

// CommandExpired says that the attempt of that generation took too long.
func CommandExpired(generation uint64) Event {
	return Event{Kind: EventCommandTimeout, Source: SourceStated, Generation: generation}
}

// CommandDone is a worker's report on the attempt of that generation. A
// reboot that failed stays pending, and is tried again when it times out.
func CommandDone(source Source, generation uint64, ok bool) Event {
	return Event{Kind: EventCommandDone, Source: source, Generation: generation, OK: ok}
}

// Progress says that the node gets on with what its state is about, as a
// loader's heartbeat does: the state's time starts again (pitfalls.md, rule 3).
func Progress(source Source) Event { return Event{Kind: EventProgress, Source: source} }

// Resume is fed once for each node when the runner starts: it drops a
// deadline or command whose time passed long ago and arms a deadline that is
// missing. The runner then queues Node.Deadline and Node.Command.At, changed
// or not.
func Resume() Event { return Event{Kind: EventResume, Source: SourceStated} }
