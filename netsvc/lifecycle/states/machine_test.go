package states

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestMachine replays testdata/machine/*.txt. Input lines are:
//
//	node key=value...      a new node; keys as in setField
//	policy dhcp|hard       the site's policy, for the rest of the file
//	override mode/state type seconds [action]
//	wait 90s               let time pass
//	revision N             of the records from here on
//	report STATE [source] [life=N] [asked=N]
//	control ORDER | opmode MODE | resume | progress
//	deadline [stale]       the state's deadline passes
//	request COMMAND [force=N] [after=N]
//	retry [stale]          the command's time-out passes
//	done ok|failed [stale] the worker's report
//
// The output is each effect on a line, then the node.
func TestMachine(t *testing.T) {
	t.Parallel()
	for _, path := range dataFiles(t, "testdata/machine/*.txt") {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			t.Parallel()
			m := &script{tables: Stock(), now: epoch}
			runData(t, path, m.block)
		})
	}
}

// script is one file under replay.
type script struct {
	tables *Tables
	node   Node
	now    time.Time
	out    strings.Builder
}

func (m *script) block(input []string) (string, error) {
	m.out.Reset()
	for _, line := range input {
		if err := m.line(strings.Fields(line)); err != nil {
			return "", fmt.Errorf("%q: %w", line, err)
		}
	}
	return m.out.String() + m.describe(), nil
}

func (m *script) line(words []string) error {
	verb, args := words[0], words[1:]
	switch verb {
	case "node":
		return m.newNode(args)
	case "policy":
		m.tables = m.tables.WithPolicy(Policy{BootEventsFromDHCP: args[0] == "dhcp", HardSecViolation: args[0] == "hard"})
		return nil
	case "override":
		return m.override(args)
	case "revision":
		m.node.Revision = number(args[0])
		return nil
	case "wait":
		d, err := time.ParseDuration(args[0])
		m.now = m.now.Add(d)
		return err
	}
	ev, err := m.event(verb, args)
	if err != nil {
		return err
	}
	var effects []Effect
	m.node, effects = Step(m.tables, m.node, ev, m.now)
	for _, e := range effects {
		fmt.Fprintf(&m.out, "  %s\n", effectText(e))
	}
	return nil
}

func (m *script) newNode(args []string) error {
	m.node = Node{ID: "pc1", Since: m.now}
	for _, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		if err := m.setField(key, value); err != nil {
			return err
		}
	}
	return nil
}

func (m *script) setField(key, value string) error {
	n := &m.node
	switch key {
	case "at":
		mode, state, _ := strings.Cut(value, "/")
		n.Mode, n.State = Mode(mode), State(state)
	case "type":
		n.Type = value
	case "def":
		n.Default = catalogue[value]
	case "next":
		n.Next = catalogue[value]
	case "temp":
		n.Temp = catalogue[value]
	case "running":
		n.Running = catalogue[value]
	case "next_op_mode":
		n.NextMode = Mode(value)
	case "reserved":
		n.Reservation = Reservation(value)
	case "reloads":
		n.CurrentReloads, _ = strconv.Atoi(value)
	case "attr":
		n.NoReboot = value == "stated_noreboot"
		n.PowerCycleAfterReload = value == "powercycleafterreload"
	case "trigger":
		return m.addTrigger(value)
	default:
		return fmt.Errorf("unknown field %q", key)
	}
	return nil
}

// addTrigger reads mode/state:TRIGGER+TRIGGER.
func (m *script) addTrigger(value string) error {
	place, list, _ := strings.Cut(value, ":")
	mode, state, _ := strings.Cut(place, "/")
	row := NodeTrigger{Mode: Mode(mode), State: State(state)}
	for text := range strings.SplitSeq(list, "+") {
		trigger, err := ParseTrigger(text)
		if err != nil {
			return err
		}
		row.Triggers = append(row.Triggers, trigger)
	}
	m.node.Triggers = append(m.node.Triggers, row)
	return nil
}

func (m *script) override(args []string) (err error) {
	mode, state, _ := strings.Cut(args[0], "/")
	action := ""
	if len(args) > 3 {
		action = fmt.Sprintf(`, "action": %q`, args[3])
	}
	m.tables, err = m.tables.Override(fmt.Appendf(nil,
		`{"timeout_overrides": [{"mode": %q, "state": %q, "type": %q, "seconds": %s%s}]}`,
		mode, state, args[1], args[2], action))
	return err
}

func (m *script) event(verb string, args []string) (Event, error) {
	stale := uint64(0)
	if len(args) > 0 && args[len(args)-1] == "stale" {
		stale = 1
	}
	switch verb {
	case "report":
		return m.reportEvent(args), nil
	case "control":
		return ControlOrder(SourceOperator, Control(args[0])), nil
	case "opmode":
		return OpMode(SourceOperator, Mode(args[0])), nil
	case "deadline":
		return DeadlineExpired(m.node.Deadline.Generation - stale), nil
	case "request":
		return m.requestEvent(args), nil
	case "retry":
		return CommandExpired(m.node.Command.Generation - stale), nil
	case "done":
		return CommandDone(SourceReboot, m.node.Command.Generation-stale, args[0] == "ok"), nil
	case "resume":
		return Resume(), nil
	case "progress":
		return Progress(SourceLoad), nil
	}
	return Event{}, fmt.Errorf("unknown verb %q", verb)
}

func (m *script) reportEvent(args []string) Event {
	ev := Report(SourceClient, State(args[0]))
	for _, arg := range args[1:] {
		switch key, value, _ := strings.Cut(arg, "="); key {
		case "life":
			ev.Life = number(value)
		case "asked":
			ev.Asked, ev.Source = number(value), SourceBootinfo
		default:
			ev.Source = Source(arg)
		}
	}
	return ev
}

func (m *script) requestEvent(args []string) Event {
	ev := Request(SourceOperator, CommandKind(args[0]), ForceNone)
	for _, arg := range args[1:] {
		switch key, value, _ := strings.Cut(arg, "="); key {
		case "force":
			ev.Force = Force(number(value))
		case "after":
			ev.After = number(value)
		}
	}
	return ev
}

func number(text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func effectText(e Effect) string {
	words := []string{string(e.Kind)}
	add := func(text string) {
		if text != "" {
			words = append(words, text)
		}
	}
	if e.Kind == EffectLogState {
		add(entryText(e.Entry))
	}
	if e.Command.Set() {
		add(commandText(e.Command))
	}
	for _, text := range []string{string(e.Outcome), string(e.Method), string(e.Mode), string(e.State), e.Script, string(e.Reason)} {
		add(text)
	}
	if e.Life != 0 {
		add(fmt.Sprintf("life=%d", e.Life))
	}
	return strings.Join(words, " ")
}

func entryText(e Entry) string {
	text := fmt.Sprintf("#%d %s/%s -> %s/%s %s by %s", e.Seq, e.FromMode, e.From, e.ToMode, e.To, e.Verdict, e.Source)
	if e.Reported != e.To {
		text += " reported " + string(e.Reported)
	}
	if e.Forced {
		text += " forced"
	}
	return text
}

func commandText(c Command) string {
	return fmt.Sprintf("%s force=%d attempts=%d by %s", c.Kind, c.Force, c.Attempts, c.Source)
}

// describe prints what is not at its zero value.
func (m *script) describe() string {
	n := &m.node
	text := fmt.Sprintf("%s/%s", n.Mode, n.State)
	add := func(set bool, format string, args ...any) {
		if set {
			text += fmt.Sprintf(" "+format, args...)
		}
	}
	add(n.NextMode != "", "next_op_mode=%s", n.NextMode)
	add(n.Running.OSID != "", "osid=%s", n.Running.OSID)
	add(n.Next.OSID != "", "next=%s", n.Next.OSID)
	add(n.TimedOut != 0, "timedout=%d", n.TimedOut)
	add(n.GaveUp, "gave-up")
	add(len(n.Triggers) > 0, "triggers=%d", len(n.Triggers))
	add(n.Deadline.Set(), "deadline=+%s fired=%d", n.Deadline.At.Sub(m.now), n.Deadline.Fired)
	add(n.Command.Set(), "command=%s", n.Command.Kind)
	add(!n.Command.At.IsZero(), "retry=+%s", n.Command.At.Sub(m.now))
	return text
}
