package states

import "slices"

// Mode is an op_mode: which state machine the node follows.
type Mode string

// The op_modes that the machine itself names (states.md).
const (
	ModeNormalV2   Mode = "NORMALv2"
	ModePXEKernel  Mode = "PXEKERNEL"
	ModeReload     Mode = "RELOAD"
	ModeSecureBoot Mode = "SECUREBOOT"
	ModeSecureLoad Mode = "SECURELOAD"
	ModeWIMReload  Mode = "WIMRELOAD"

	// modeCommand is the pseudo op_mode whose "states" are commands; its
	// time-out rows are the commands' time-outs.
	modeCommand Mode = "TBCOMMAND"
)

// State is a node's event state within its op_mode.
type State string

// The states that the machine or its callers name (states.md).
const (
	StateISUP         State = "ISUP"
	StateShutdown     State = "SHUTDOWN"
	StateRebooting    State = "REBOOTING"
	StatePowerOff     State = "POWEROFF"
	StateBooting      State = "BOOTING"
	StatePXEBooting   State = "PXEBOOTING"
	StatePXEWait      State = "PXEWAIT"
	StatePXEWakeup    State = "PXEWAKEUP"
	StatePXELimbo     State = "PXELIMBO"
	StateGPXEBooting  State = "GPXEBOOTING"
	StateTBSetup      State = "TBSETUP"
	StateTBFailed     State = "TBFAILED"
	StateReloadFailed State = "RELOADFAILED"
	StatePXEFailed    State = "PXEFAILED"
	StateSecViolation State = "SECVIOLATION"
)

// anyState is the from-state of a transition allowed from everywhere, and the
// op_mode of a per-node trigger for every op_mode.
const anyState = "*"

// nameBytesMax bounds the name of a state, op_mode or node type; tmcd takes
// state names of fewer than 128 bytes (stated.md section 1).
const nameBytesMax = 127

// validName reports whether name is one that tmcd would pass on: 1 to 127
// bytes of [A-Za-z0-9_-].
func validName(name string) bool {
	if name == "" || len(name) > nameBytesMax {
		return false
	}
	for i := range len(name) {
		if !nameByte(name[i]) {
			return false
		}
	}
	return true
}

func nameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}

// FailSet is the set of states that end a wait without success.
type FailSet []State

// DefaultFailSet returns the states that mean a boot or load failed for good
// (statewait.md section 5).
func DefaultFailSet() FailSet {
	return FailSet{StateTBFailed, StateReloadFailed, StatePXEFailed, StateSecViolation}
}

// Has reports whether state is in the set.
func (f FailSet) Has(state State) bool {
	return slices.Contains(f, state)
}
