package wait

import (
	"fmt"
	"strings"

	"hyzer/storage/registry"
)

// Limits of a pattern written by a user.
const (
	patternStepsMax = 16
	stepStatesMax   = 32
)

// Match is a state, in one op_mode or in any.
type Match struct {
	Mode  string // "" or "*": any
	State string
}

func (m Match) is(mode, state string) bool {
	return m.State == state && (m.Mode == "" || m.Mode == "*" || m.Mode == mode)
}

// Step is a set of states of which one must come.
type Step []Match

func (s Step) has(mode, state string) bool {
	for _, m := range s {
		if m.is(mode, state) {
			return true
		}
	}
	return false
}

// Pattern is the steps that a node must go through in order, with anything in
// between.
type Pattern []Step

// ParsePattern reads steps separated by spaces or '>', each a comma list of
// STATE or MODE/STATE: "SHUTDOWN > ISUP", "ISUP,PXEWAIT", "RELOAD/RELOADING".
func ParsePattern(text string) (Pattern, error) {
	var pattern Pattern
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == '>' }) {
		var step Step
		for _, name := range strings.Split(word, ",") {
			match := Match{State: name}
			if mode, state, ok := strings.Cut(name, "/"); ok {
				match = Match{mode, state}
			}
			if match.State == "" || registry.CheckName(match.State) != nil {
				return nil, fmt.Errorf("state %.40q: want STATE or MODE/STATE", name)
			}
			step = append(step, match)
		}
		if len(step) > stepStatesMax {
			return nil, fmt.Errorf("%d states in one step, at most %d", len(step), stepStatesMax)
		}
		pattern = append(pattern, step)
	}
	if len(pattern) == 0 || len(pattern) > patternStepsMax {
		return nil, fmt.Errorf("%d steps to wait for, want 1 to %d", len(pattern), patternStepsMax)
	}
	return pattern, nil
}

func (p Pattern) String() string {
	steps := make([]string, len(p))
	for i, step := range p {
		names := make([]string, len(step))
		for j, m := range step {
			names[j] = m.State
			if m.Mode != "" {
				names[j] = m.Mode + "/" + m.State
			}
		}
		steps[i] = strings.Join(names, ",")
	}
	return strings.Join(steps, " > ")
}
