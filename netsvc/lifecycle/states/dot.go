package states

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Dot draws one mode as a Graphviz digraph: solid arrows are transitions,
// dashed ones lead to other op_modes. Time limits and triggers stand in the
// states' labels. An unknown mode gives an empty graph.
func (t *Tables) Dot(mode Mode) string {
	var b strings.Builder
	fmt.Fprintf(&b, "digraph %q {\n", mode)
	m := t.modes[mode]
	if m == nil {
		return b.String() + "}\n"
	}
	for _, s := range m.states {
		fmt.Fprintf(&b, "  %q [label=%q];\n", s, t.dotLabel(mode, s))
	}
	for _, from := range slices.Sorted(maps.Keys(m.to)) {
		for _, to := range m.to[from] {
			fmt.Fprintf(&b, "  %q -> %q;\n", from, to)
		}
	}
	for _, from := range slices.Sorted(maps.Keys(m.exits)) {
		for _, exit := range m.exits[from] {
			fmt.Fprintf(&b, "  %q -> %q [style=dashed];\n", from, string(exit.mode)+"/"+string(exit.state))
		}
	}
	return b.String() + "}\n"
}

func (t *Tables) dotLabel(mode Mode, s State) string {
	label := string(s)
	if limit, ok := t.Timeout(mode, s, ""); ok {
		label += fmt.Sprintf("\n%s %s %s", limit.After, limit.Action, limit.Next)
	}
	for _, trigger := range t.GlobalTriggers(mode, s) {
		label += "\n+" + trigger.String()
	}
	return label
}
