package states

import (
	"errors"
	"fmt"
	"maps"
)

// Override returns the tables with a site's own time limits, a document of
// the form {"timeout_overrides": [{"mode", "state", "type", "seconds",
// "action"}]}. Without "type" a row stands for every type that has none of
// its own; without "action" the table's is kept; 0 seconds is no limit.
func (t *Tables) Override(data []byte) (*Tables, error) {
	doc, err := decode(data)
	if err != nil {
		return nil, err
	}
	if doc.Modes != nil || doc.AnyModeTriggers != nil {
		return nil, errors.New("states: overrides: only timeout_overrides may be given; use Parse for whole tables")
	}
	c := *t
	c.timeouts = maps.Clone(t.timeouts)
	if err := c.override(doc.TimeoutOverrides); err != nil {
		return nil, fmt.Errorf("states: overrides: %w", err)
	}
	return &c, nil
}

func (t *Tables) override(rows []overrideDoc) error {
	seen := make(map[timeoutKey]bool, len(rows))
	// Rows for all types first: they are what a type's row falls back to.
	for _, typed := range [...]bool{false, true} {
		for _, row := range rows {
			if (row.Type != "") != typed {
				continue
			}
			if err := t.overrideRow(row, seen); err != nil {
				return fmt.Errorf("timeout override %q/%q type %q: %w", row.Mode, row.State, row.Type, err)
			}
		}
	}
	return nil
}

func (t *Tables) overrideRow(row overrideDoc, seen map[timeoutKey]bool) error {
	m := t.modes[row.Mode]
	switch {
	case m == nil:
		return errors.New("unknown mode")
	case !m.has(row.State):
		return errors.New("unknown state")
	case row.Type != "" && !validName(row.Type):
		return errors.New("bad node type")
	case row.Seconds == nil:
		return errors.New("seconds is missing")
	}
	key := timeoutKey{row.Mode, row.State, row.Type}
	if seen[key] {
		return errors.New("comes twice")
	}
	seen[key] = true
	action := t.inheritedAction(row)
	limit, err := t.newTimeout(row.Mode, *row.Seconds, action)
	if err != nil {
		return err
	}
	t.timeouts[key] = limit
	return nil
}

func (t *Tables) inheritedAction(row overrideDoc) string {
	if row.Action != nil {
		return *row.Action
	}
	switch base := t.timeouts[timeoutKey{mode: row.Mode, state: row.State}]; {
	case base.Action == ActionState:
		return string(ActionState) + ":" + string(base.Next)
	case base.Action != ActionNone:
		return string(base.Action)
	case row.Mode == modeCommand:
		return string(ActionRetry)
	}
	return string(ActionNotify)
}
