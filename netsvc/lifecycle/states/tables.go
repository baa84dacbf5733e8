package states

import (
	_ "embed"
	"slices"
	"sync"
	"time"
)

//go:embed states.json
var stockJSON []byte

var stock = sync.OnceValue(func() *Tables {
	t, err := Parse(stockJSON)
	if err != nil {
		panic("states: embedded tables: " + err.Error()) // a test loads them
	}
	return t
})

// Stock returns the tables that every site starts from: Emulab's stock rows
// (states.md). They are shared and immutable.
func Stock() *Tables { return stock() }

// Tables is one immutable, validated set of state tables. Its lookups do not
// allocate and may be called from any goroutine.
type Tables struct {
	modes       map[Mode]*modeRows
	anyTriggers map[State][]Trigger
	timeouts    map[timeoutKey]Timeout // stock and site rows; nodeType "" is every type
	policy      Policy
}

type modeRows struct {
	node     bool // a node's op_mode, not another machine kept in the same tables
	states   []State
	to       map[State][]State // by from-state; anyState is a key
	triggers map[State][]Trigger
	exits    map[State][]exitRow
}

type exitRow struct {
	mode  Mode
	state State
}

type timeoutKey struct {
	mode     Mode
	state    State
	nodeType string
}

// Policy is what a site chooses about the machine, beside the tables.
type Policy struct {
	// BootEventsFromDHCP says that dhcpd, not bootinfo, is the source of
	// boot events. A running OS's DHCP client then looks like a boot:
	// NORMALv2 ISUP -> BOOTING is ignored (stated.md section 3, 2a).
	BootEventsFromDHCP bool
	// HardSecViolation powers a violating node off and leaves no way out of
	// SECVIOLATION. The default is soft (stated.md section 3, 3).
	HardSecViolation bool
}

// WithPolicy returns the tables with another policy.
func (t *Tables) WithPolicy(p Policy) *Tables {
	c := *t
	c.policy = p
	return &c
}

// Action is what the end of a state's time does.
type Action string

// The actions of the time-out tables (states.md).
const (
	ActionNone   Action = ""
	ActionReboot Action = "REBOOT"
	ActionNotify Action = "NOTIFY"
	ActionRetry  Action = "CMDRETRY" // rows of commands only
	ActionState  Action = "STATE"    // written STATE:<state>
)

// Timeout is how long a state, or a command, may last.
type Timeout struct {
	After  time.Duration // whole seconds, more than 0
	Action Action
	Next   State // of ActionState
}

// Modes returns the op_modes a node may be in, sorted.
func (t *Tables) Modes() []Mode {
	var modes []Mode
	for name, m := range t.modes {
		if m.node {
			modes = append(modes, name)
		}
	}
	slices.Sort(modes)
	return modes
}

// States returns the states of a mode in the tables' order, nil if the mode
// is unknown.
func (t *Tables) States(mode Mode) []State {
	m := t.modes[mode]
	if m == nil {
		return nil
	}
	return slices.Clone(m.states)
}

// KnownMode reports whether mode is an op_mode a node may be in.
func (t *Tables) KnownMode(mode Mode) bool {
	m := t.modes[mode]
	return m != nil && m.node
}

// Valid reports whether the tables expect from -> to in mode. In an unknown
// mode nothing is expected.
func (t *Tables) Valid(mode Mode, from, to State) bool {
	m := t.modes[mode]
	return m != nil && (slices.Contains(m.to[from], to) || slices.Contains(m.to[anyState], to))
}

// Timeout returns the time limit of a state for nodes of a type. A row for
// the type is taken before the row for all types; false is no limit.
func (t *Tables) Timeout(mode Mode, state State, nodeType string) (Timeout, bool) {
	if nodeType != "" {
		if row, ok := t.timeouts[timeoutKey{mode, state, nodeType}]; ok {
			return row, row.After > 0
		}
	}
	row := t.timeouts[timeoutKey{mode: mode, state: state}]
	return row, row.After > 0
}

// CommandTimeout returns the time limit of a command, the rows of the pseudo
// op_mode TBCOMMAND.
func (t *Tables) CommandTimeout(c CommandKind, nodeType string) (Timeout, bool) {
	return t.Timeout(modeCommand, State(c), nodeType)
}

// GlobalTriggers returns the one global trigger row for a state: the
// op_mode's own if there is one, even an empty one, else the any-mode row.
// The slice is shared: read only.
func (t *Tables) GlobalTriggers(mode Mode, state State) []Trigger {
	if m := t.modes[mode]; m != nil {
		if list, ok := m.triggers[state]; ok {
			return list
		}
	}
	return t.anyTriggers[state]
}

// Triggers appends to dst what entering state in mode runs, in order: the
// node's own rows for the op_mode, its rows for any op_mode, the global row.
func (t *Tables) Triggers(dst []Trigger, own []NodeTrigger, mode Mode, state State) []Trigger {
	for i := range own {
		if own[i].matches(mode, state) && !own[i].anyMode() {
			dst = append(dst, own[i].Triggers...)
		}
	}
	for i := range own {
		if own[i].matches(mode, state) && own[i].anyMode() {
			dst = append(dst, own[i].Triggers...)
		}
	}
	return append(dst, t.GlobalTriggers(mode, state)...)
}

// IsModeExit reports whether a node that arrives in state may leave mode.
func (t *Tables) IsModeExit(mode Mode, state State) bool {
	m := t.modes[mode]
	return m != nil && len(m.exits[state]) > 0
}

// ModeExit returns the state in which a node that leaves mode in state enters
// the op_mode next. Where the tables name two, the last row counts, as in
// upstream; in the stock tables that is SHUTDOWN, the one with a way on.
func (t *Tables) ModeExit(mode Mode, state State, next Mode) (State, bool) {
	m := t.modes[mode]
	if m == nil {
		return "", false
	}
	rows := m.exits[state]
	for i := len(rows) - 1; i >= 0; i-- {
		if rows[i].mode == next {
			return rows[i].state, true
		}
	}
	return "", false
}
