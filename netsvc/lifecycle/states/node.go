package states

import "time"

// Features are what an OS says of itself, as far as the machine asks.
type Features uint8

// The OS features (os_info.osfeatures).
const (
	FeatureISUP Features = 1 << iota // reports ISUP itself
	FeaturePing                      // answers pings when up
)

// BootOS is one of a node's boot selections, resolved to what the machine
// needs of the OS's current version.
type BootOS struct {
	OSID     string // opaque; empty: not set
	Mode     Mode   // op_mode of the OS; empty: not known
	Features Features
}

// Reservation says who holds the node.
type Reservation string

// The kinds of holder that the machine tells apart.
const (
	ReservationFree      Reservation = ""
	ReservationUser      Reservation = "user"
	ReservationReloading Reservation = "reloading" // the reloading experiment (load.md section 7)
)

// Node is what the machine knows of a node. The runner stores it; a field
// marked input is written by others (OS selection, load, reservation) and
// read here, the rest only Step writes.
type Node struct {
	ID   string // input
	Type string // input: node type, for its own time-outs

	Mode      Mode      // nodes.op_mode
	State     State     // nodes.eventstate
	Since     time.Time // nodes.state_timestamp
	ModeSince time.Time // nodes.op_mode_timestamp
	Seq       uint64    // number of the last LogState entry
	Life      uint64    // number of the present boot; grows when an OS's life ends

	// Revision is that of the records before the event, which orders and
	// answers are told apart by. 0: not known.
	Revision uint64 // input
	// Asked is the revision of the records that the present boot's answer was
	// taken from, 0 until the loader has asked.
	Asked uint64

	// NextMode is nodes.next_op_mode: set by OS selection (see
	// PendingMode), cleared by a change of op_mode. Also input.
	NextMode Mode

	Running BootOS // nodes.osid: what the last BOOTING said
	Default BootOS // input: def_boot_osid
	Next    BootOS // next_boot_osid, one-shot; set by OS selection. Also input
	Temp    BootOS // input: temp_boot_osid

	Reservation    Reservation // also input
	CurrentReloads int         // rows of current_reloads; also input

	// Triggers are the node's own one-shot rows. Also input.
	Triggers []NodeTrigger

	// NoReboot is the attribute stated_noreboot: a time-out with the action
	// REBOOT leaves it alone.
	NoReboot bool // input
	// PowerCycleAfterReload is the attribute of that name: the node does
	// not heed the ping of death (stated.md section 3, RELOADDONEV2).
	PowerCycleAfterReload bool // input

	TimedOut int  // time-outs since the last RESET (timedout)
	GaveUp   bool // retries are exhausted, until RESET (noretry)

	Deadline   Deadline
	Command    Command
	Generation uint64 // last one given to a deadline or a command
}

// Deadline is the end of the time of the node's present state. What it does
// is looked up in the tables when it fires.
type Deadline struct {
	At         time.Time // zero: none
	Generation uint64
	Fired      int // how often it fired in this stay
}

// Set reports whether there is a deadline.
func (d Deadline) Set() bool { return !d.At.IsZero() }

// CommandKind is a server-side command (stated.md section 5).
type CommandKind string

// The commands.
const (
	CommandReboot     CommandKind = "REBOOT"
	CommandPowerOff   CommandKind = "POWEROFF"
	CommandPowerOn    CommandKind = "POWERON"
	CommandPowerCycle CommandKind = "POWERCYCLE"
)

// Force says how hard a command is (stated.md section 5).
type Force uint8

// The levels of force.
const (
	ForceNone       Force = iota // passes the gatekeeper
	ForceAny                     // past the gatekeeper
	ForceReboot                  // real reboot, also of a node that waits in its loader (-b)
	ForcePowerCycle              // power cycle (-k)
)

// Command is the node's pending command, apart from its state's deadline.
type Command struct {
	Kind       CommandKind // empty: none
	Force      Force
	Source     Source
	Attempts   int       // time-outs so far; a command that escalates a state's time-out starts from the node's
	Since      time.Time // when it was first started
	At         time.Time // when this attempt times out; zero: never
	Generation uint64    // of this attempt
	After      uint64    // boots answered from records up to this revision are not its doing
	Seq        uint64    // of the node's log when this attempt began
	Failed     bool      // this attempt's worker could not do it
}

// Set reports whether there is a pending command.
func (c Command) Set() bool { return c.Kind != "" }

// Boots returns what the node boots next: the one-shot selection, else the
// temporary, else the default (load.md section 1). False: none, it waits in
// the loader.
func (n *Node) Boots() (BootOS, bool) {
	for _, os := range [...]*BootOS{&n.Next, &n.Temp, &n.Default} {
		if os.OSID != "" {
			return *os, true
		}
	}
	return BootOS{}, false
}

// PendingMode returns what next_op_mode must be after an OS selection changed
// n: the op_mode of what it boots now, or empty if it is in that already. A
// node without op_mode keeps its value (stated.md section 3).
func PendingMode(t *Tables, n *Node) Mode {
	if n.Mode == "" {
		return n.NextMode
	}
	os, ok := n.Boots()
	if !ok || os.Mode == n.Mode || !t.KnownMode(os.Mode) {
		return ""
	}
	return os.Mode
}
