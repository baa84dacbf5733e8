package states

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// scenarioFile is the shared specs' data/state-scenarios.json.
type scenarioFile struct {
	Scenarios []struct {
		Name string
		Init struct {
			Mode           Mode
			State          State
			Def, Next      string
			Temp, OSID     string
			NextOpMode     Mode `json:"next_op_mode"`
			Reserved       Reservation
			CurrentReloads int `json:"current_reloads"`
		}
		Steps []scenarioStep
	}
}

type scenarioStep struct {
	In         string
	Valid      *bool
	Mode       Mode
	State      State
	NextOpMode Mode    `json:"next_op_mode"`
	OSID       string  `json:"osid"`
	NextOSID   *string `json:"next_boot_osid"`
	Timer      *struct {
		Tag     string
		Seconds int
		Action  string
	}
	Actions []string
}

// catalogue is the OS catalogue named in the scenarios' _meta.
var catalogue = map[string]BootOS{
	"":         {},
	"STD":      {OSID: "STD", Mode: "NORMALv2", Features: FeatureISUP | FeaturePing},
	"FRISBEE":  {OSID: "FRISBEE", Mode: "RELOAD", Features: FeatureISUP},
	"MFS":      {OSID: "MFS", Mode: "PXEFBSD", Features: FeatureISUP | FeaturePing},
	"MIN-PING": {OSID: "MIN-PING", Mode: "MINIMAL", Features: FeaturePing},
	"MIN":      {OSID: "MIN", Mode: "MINIMAL"},
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// TestScenarios replays the specs' scenarios. They describe one timer per
// node, which the machine replaces by two records; timerView gives the old
// view of them.
func TestScenarios(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/state-scenarios.json")
	if err != nil {
		t.Fatal(err)
	}
	var file scenarioFile
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Scenarios) != 18 {
		t.Fatalf("%d scenarios, want 18", len(file.Scenarios))
	}
	for _, sc := range file.Scenarios {
		t.Run(sc.Name, func(t *testing.T) {
			t.Parallel()
			i := sc.Init
			n := Node{Mode: i.Mode, State: i.State, NextMode: i.NextOpMode, Reservation: i.Reserved,
				CurrentReloads: i.CurrentReloads, Default: catalogue[i.Def], Next: catalogue[i.Next],
				Temp: catalogue[i.Temp], Running: catalogue[i.OSID]}
			now := epoch
			for k, step := range sc.Steps {
				now = now.Add(time.Second)
				var effects []Effect
				n, effects = Step(Stock(), n, scenarioEvent(t, &n, step.In), now)
				if got, want := outcome(&n, effects, now), step.want(); got != want {
					t.Fatalf("step %d, %s:\n got %s\nwant %s", k+1, step.In, got, want)
				}
			}
		})
	}
}

func scenarioEvent(t *testing.T, n *Node, in string) Event {
	t.Helper()
	switch command, isCommand := strings.CutPrefix(in, "!cmd:"); {
	case isCommand:
		return Request(SourceOperator, CommandKind(command), ForceNone)
	case in == "!timeout" && n.Command.Set():
		return CommandExpired(n.Command.Generation)
	case in == "!timeout":
		return DeadlineExpired(n.Deadline.Generation)
	case strings.HasPrefix(in, "!"):
		t.Fatalf("unknown input %q", in)
	}
	return Report(SourceClient, State(in))
}

func (s *scenarioStep) want() string {
	valid, next, timer := "null", "", "null"
	if s.Valid != nil {
		valid = fmt.Sprint(*s.Valid)
	}
	if s.NextOSID != nil {
		next = *s.NextOSID
	}
	if s.Timer != nil {
		timer = fmt.Sprintf("%s %ds %s", s.Timer.Tag, s.Timer.Seconds, s.Timer.Action)
	}
	return render(s.Mode, s.State, valid, s.NextOpMode, s.OSID, next, timer, s.Actions)
}

func outcome(n *Node, effects []Effect, now time.Time) string {
	return render(n.Mode, n.State, validView(effects), n.NextMode, n.Running.OSID, n.Next.OSID,
		timerView(n, now), actionView(effects))
}

func render(mode Mode, state State, valid string, next Mode, osid, nextOSID, timer string, actions []string) string {
	return fmt.Sprintf("%s/%s valid=%s next_op_mode=%q osid=%s next_boot_osid=%q timer=%s actions=%q",
		mode, state, valid, next, osid, nextOSID, timer, actions)
}

// validView is the verdict on what the node reported; null where the change
// was not a report.
func validView(effects []Effect) string {
	for _, e := range effects {
		if e.Kind == EffectLogState && !e.Entry.ModeChange && e.Entry.Source != SourceStated {
			return fmt.Sprint(e.Entry.Verdict == Valid)
		}
	}
	return "null"
}

// timerView is upstream's one timer: the pending command's if there is one,
// else the state's, which upstream does not arm again after it fired.
func timerView(n *Node, now time.Time) string {
	tag, at := fmt.Sprintf("%s:%s", n.Mode, n.State), n.Deadline.At
	limit, _ := Stock().Timeout(n.Mode, n.State, n.Type)
	switch {
	case n.Command.Set() && !n.Command.At.IsZero():
		tag, at = "TBCOMMAND:"+string(n.Command.Kind), n.Command.At
		limit, _ = Stock().CommandTimeout(n.Command.Kind, n.Type)
	case !n.Deadline.Set() || n.Deadline.Fired > 0:
		return "null"
	}
	action := string(limit.Action)
	if limit.Action == ActionState {
		action += ":" + string(limit.Next)
	}
	return fmt.Sprintf("%s %ds %s", tag, int(at.Sub(now).Seconds()), action)
}

func actionView(effects []Effect) []string {
	actions := []string{}
	for _, e := range effects {
		if text := actionText(e); text != "" {
			actions = append(actions, text)
		}
	}
	return actions
}

// actionText says an effect in the scenarios' words; empty where they are
// silent.
func actionText(e Effect) string {
	switch e.Kind {
	case EffectLogState:
		return modeChangeText(e.Entry)
	case EffectNote:
		return map[Reason]string{
			ReasonInvalidTransition: "log:invalid-transition",
			ReasonWrongMode:         "log:wrong-mode",
			ReasonStateForced:       "force-state",
			ReasonSoftViolation:     "soft-secviolation: no power-off, clear-next_boot_osid",
		}[e.Reason]
	case EffectNotify:
		if e.Reason == ReasonStateEntered {
			return "trigger:EMAILNOTIFY"
		}
	case EffectStartCommand:
		return map[CommandKind]string{CommandReboot: "run:node_reboot"}[e.Command.Kind]
	case EffectEndCommand:
		return map[Outcome]string{
			OutcomeDone:   "command-" + string(e.Command.Kind) + "-done",
			OutcomeGaveUp: "announce:reboot-gave-up",
		}[e.Outcome]
	case EffectReboot:
		return map[Method]string{
			MethodWakeup: "run:wakeup", MethodPowerCycle: "run:powercycle", MethodIPOD: "apod-or-powercycle",
		}[e.Method]
	}
	return map[EffectKind]string{
		EffectClearNextBoot: "clear-next_boot_osid",
		EffectClearReloads:  "clear-current_reloads",
		EffectFreeNode:      "free-node",
		EffectRefuseCommand: strings.ToLower(string(e.Command.Kind)) + "-refused",
		EffectEmitState:     "emit:" + string(e.State),
		EffectPingUp:        "spawn:pinger",
	}[e.Kind]
}

func modeChangeText(e Entry) string {
	if !e.ModeChange {
		return ""
	}
	text := fmt.Sprintf("mode %s->%s", e.FromMode, e.ToMode)
	if e.Forced {
		text += " forced"
	}
	return text
}

func TestDefaultFailSet(t *testing.T) {
	t.Parallel()
	set := DefaultFailSet()
	if want := (FailSet{"TBFAILED", "RELOADFAILED", "PXEFAILED", "SECVIOLATION"}); !slices.Equal(set, want) {
		t.Errorf("got %v, want %v", set, want)
	}
	if !set.Has(StateTBFailed) || set.Has(StateISUP) {
		t.Errorf("Has: TBFAILED %t, ISUP %t", set.Has(StateTBFailed), set.Has(StateISUP))
	}
}
