package states

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Parse reads a complete table document. It refuses unknown fields, names
// that are not known in the document, unknown triggers and actions, rows that
// come twice, and time limits that are negative or over 30 days.
func Parse(data []byte) (*Tables, error) {
	doc, err := decode(data)
	if err != nil {
		return nil, err
	}
	t := &Tables{
		modes:       make(map[Mode]*modeRows, len(doc.Modes)),
		anyTriggers: map[State][]Trigger{},
		timeouts:    map[timeoutKey]Timeout{},
	}
	if err := t.load(doc); err != nil {
		return nil, fmt.Errorf("states: tables: %w", err)
	}
	return t, nil
}

func (t *Tables) load(doc *document) error {
	if len(doc.Modes) == 0 {
		return errors.New("no modes")
	}
	names := slices.Sorted(maps.Keys(doc.Modes)) // so that the same fault gives the same error
	for _, name := range names {
		rows, err := newModeRows(name, doc.Modes[name])
		if err != nil {
			return fmt.Errorf("mode %q: %w", name, err)
		}
		t.modes[name] = rows
	}
	for _, name := range names { // after all: exits name other modes' states
		if err := t.loadMode(name, doc.Modes[name]); err != nil {
			return fmt.Errorf("mode %q: %w", name, err)
		}
	}
	if err := loadTriggers(t.anyTriggers, doc.AnyModeTriggers, t.knownState); err != nil {
		return fmt.Errorf("any_mode_triggers: %w", err)
	}
	return t.override(doc.TimeoutOverrides)
}

func newModeRows(name Mode, doc *modeDoc) (*modeRows, error) {
	if !validName(string(name)) {
		return nil, errors.New("bad name")
	}
	if doc.Kind != "node" && doc.Kind != "other" {
		return nil, fmt.Errorf("kind %q is neither node nor other", doc.Kind)
	}
	m := &modeRows{node: doc.Kind == "node", to: map[State][]State{},
		triggers: map[State][]Trigger{}, exits: map[State][]exitRow{}}
	for _, s := range doc.States {
		if !validName(string(s)) {
			return nil, fmt.Errorf("bad state name %q", s)
		}
		if slices.Contains(m.states, s) {
			return nil, fmt.Errorf("state %q comes twice", s)
		}
		m.states = append(m.states, s)
	}
	return m, nil
}

func (t *Tables) loadMode(name Mode, doc *modeDoc) error {
	m := t.modes[name]
	if err := m.loadTransitions(doc.Transitions); err != nil {
		return err
	}
	if err := loadTriggers(m.triggers, doc.Triggers, m.has); err != nil {
		return err
	}
	for _, row := range doc.Timeouts {
		if err := t.loadTimeout(name, row); err != nil {
			return fmt.Errorf("timeout of %q: %w", row.State, err)
		}
	}
	for _, row := range doc.ModeTransitions {
		if err := t.loadExit(m, row); err != nil {
			return fmt.Errorf("mode transition %q -> %q/%q: %w", row.State, row.ToMode, row.ToState, err)
		}
	}
	return nil
}

func (m *modeRows) has(s State) bool { return slices.Contains(m.states, s) }

func (t *Tables) knownState(s State) bool {
	for _, m := range t.modes {
		if m.has(s) {
			return true
		}
	}
	return false
}

func (m *modeRows) loadTransitions(rows []transitionDoc) error {
	for _, row := range rows {
		if row.From != anyState && !m.has(row.From) || !m.has(row.To) {
			return fmt.Errorf("transition %q -> %q: unknown state", row.From, row.To)
		}
		if slices.Contains(m.to[row.From], row.To) {
			return fmt.Errorf("transition %q -> %q comes twice", row.From, row.To)
		}
		m.to[row.From] = append(m.to[row.From], row.To)
	}
	return nil
}

func loadTriggers(dst map[State][]Trigger, rows []triggerDoc, known func(State) bool) error {
	for _, row := range rows {
		if row.Node != anyState {
			return fmt.Errorf("trigger of node %q: a node's own triggers belong in its record, not in the tables", row.Node)
		}
		if !known(row.State) {
			return fmt.Errorf("trigger of %q: unknown state", row.State)
		}
		if _, twice := dst[row.State]; twice {
			return fmt.Errorf("trigger of %q comes twice", row.State)
		}
		list := make([]Trigger, len(row.Triggers)) // kept when empty: it hides the any-mode row
		for i, text := range row.Triggers {
			var err error
			if list[i], err = ParseTrigger(text); err != nil {
				return fmt.Errorf("trigger of %q: %w", row.State, err)
			}
		}
		dst[row.State] = list
	}
	return nil
}

func (t *Tables) loadTimeout(mode Mode, row timeoutDoc) error {
	if !t.modes[mode].has(row.State) {
		return errors.New("unknown state")
	}
	key := timeoutKey{mode: mode, state: row.State}
	if _, twice := t.timeouts[key]; twice {
		return errors.New("comes twice")
	}
	limit, err := t.newTimeout(mode, row.Seconds, row.Action)
	if err != nil {
		return err
	}
	t.timeouts[key] = limit
	return nil
}

func (t *Tables) newTimeout(mode Mode, seconds int64, action string) (Timeout, error) {
	if seconds < 0 || seconds > timeoutSecondsMax {
		return Timeout{}, fmt.Errorf("%d seconds is not in 0..%d", seconds, timeoutSecondsMax)
	}
	limit := Timeout{After: time.Duration(seconds) * time.Second}
	if next, ok := strings.CutPrefix(action, string(ActionState)+":"); ok {
		if !t.modes[mode].has(State(next)) {
			return Timeout{}, fmt.Errorf("action %q: unknown state", action)
		}
		limit.Action, limit.Next = ActionState, State(next)
		return limit, nil
	}
	switch limit.Action = Action(action); {
	case limit.Action == ActionNone && seconds == 0,
		limit.Action == ActionReboot, limit.Action == ActionNotify,
		limit.Action == ActionRetry && mode == modeCommand:
		return limit, nil
	}
	return Timeout{}, fmt.Errorf("action %q is not REBOOT, NOTIFY or STATE:<state> (CMDRETRY: commands only)", action)
}

func (t *Tables) loadExit(m *modeRows, row exitDoc) error {
	to := t.modes[row.ToMode]
	if to == nil {
		return errors.New("unknown mode")
	}
	if to.node != m.node {
		return errors.New("leads from a node's modes to another machine's, or back")
	}
	if !m.has(row.State) || !to.has(row.ToState) {
		return errors.New("unknown state")
	}
	exit := exitRow{row.ToMode, row.ToState}
	if slices.Contains(m.exits[row.State], exit) {
		return errors.New("comes twice")
	}
	m.exits[row.State] = append(m.exits[row.State], exit)
	return nil
}
