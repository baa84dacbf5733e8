package states

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"hyzer/bench/shared"
)

// TestStockCounts checks that no row of the embedded document was lost
// (states.json, _meta counts: 29 triggers with the 5 of any mode).
func TestStockCounts(t *testing.T) {
	t.Parallel()
	transitions, triggers, exits := 0, len(Stock().anyTriggers), 0
	for _, m := range Stock().modes {
		triggers += len(m.triggers)
		for _, to := range m.to {
			transitions += len(to)
		}
		for _, rows := range m.exits {
			exits += len(rows)
		}
	}
	got := [...]int{transitions, len(Stock().timeouts), triggers, exits}
	if want := [...]int{274, 64, 29, 100}; got != want {
		t.Errorf("transitions, timeouts, triggers, mode transitions: got %v, want %v", got, want)
	}
}

func TestLookups(t *testing.T) {
	t.Parallel()
	tables := Stock()
	for _, c := range []struct {
		mode     Mode
		from, to State
		want     bool
	}{
		{"NORMALv2", "ISUP", "SHUTDOWN", true},
		{"NORMALv2", "TBFAILED", "POWEROFF", true}, // from any state
		{"NORMALv2", "ISUP", "BOOTING", false},
		{"NORMALv2", "NOSUCH", "POWEROFF", true},
		{"MINIMAL", "SHUTDOWN", "PXEBOOTING", false},
		{"NOSUCH", "ISUP", "SHUTDOWN", false},
		{"", "", "", false},
	} {
		if got := tables.Valid(c.mode, c.from, c.to); got != c.want {
			t.Errorf("Valid(%s, %s, %s) = %t", c.mode, c.from, c.to, got)
		}
	}
	for _, c := range []struct {
		mode  Mode
		state State
		want  string
	}{
		{"NORMALv2", "BOOTING", "[BOOTING CHECKGENISUP]"},
		{"SECUREBOOT", "BOOTING", "[]"}, // an empty row hides the any-mode row
		{"RELOAD", "ISUP", "[REBOOT]"},
		{"OPSNODEBSD", "ISUP", "[SCRIPT:opsreboot]"},
		{"NOSUCH", "ISUP", "[RESET CHECKPORTREG]"},
		{"NORMALv2", "TBSETUP", "[]"},
	} {
		if got := triggerNames(tables.GlobalTriggers(c.mode, c.state)); got != c.want {
			t.Errorf("GlobalTriggers(%s, %s) = %s, want %s", c.mode, c.state, got, c.want)
		}
	}
	for _, c := range []struct {
		mode Mode
		at   State
		to   Mode
		want State
	}{
		{"NORMALv2", "SHUTDOWN", "RELOAD", "SHUTDOWN"},
		{"RELOAD", "RELOADDONEV2", "NORMAL", "REBOOTING"},
		{"ALWAYSUP", "ISUP", "RELOAD-MOTE", "SHUTDOWN"}, // two rows: the last
		{"NORMALv2", "ISUP", "RELOAD", ""},
		{"NOSUCH", "SHUTDOWN", "RELOAD", ""},
	} {
		got, ok := tables.ModeExit(c.mode, c.at, c.to)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("ModeExit(%s, %s, %s) = %q, %t, want %q", c.mode, c.at, c.to, got, ok, c.want)
		}
	}
	if !tables.IsModeExit("NORMALv2", "SHUTDOWN") || tables.IsModeExit("NORMALv2", "ISUP") || tables.IsModeExit("NOSUCH", "ISUP") {
		t.Error("IsModeExit: wrong for NORMALv2/SHUTDOWN, NORMALv2/ISUP or an unknown mode")
	}
	if !tables.KnownMode("RELOAD") || tables.KnownMode("EXPTSTATE") || tables.KnownMode("") {
		t.Error("KnownMode: wrong for RELOAD, EXPTSTATE or the empty name")
	}
}

func triggerNames(list []Trigger) string {
	names := make([]string, len(list))
	for i, trigger := range list {
		names[i] = trigger.String()
	}
	return "[" + strings.Join(names, " ") + "]"
}

// tiny is a table document that the error cases below break.
const tiny = `{"modes": {
 "A": {"kind": "node", "states": ["UP", "DOWN"],
  "transitions": [{"from": "UP", "to": "DOWN"}],
  "timeouts": [{"state": "DOWN", "seconds": 60, "action": "STATE:UP"}],
  "triggers": [{"node": "*", "state": "UP", "triggers": ["RESET"]}],
  "mode_transitions": [{"state": "DOWN", "to_mode": "B", "to_state": "UP"}]},
 "B": {"kind": "node", "states": ["UP"]}},
 "any_mode_triggers": [{"node": "*", "state": "UP", "triggers": []}],
 "timeout_overrides": [{"mode": "B", "state": "UP", "type": "pc", "seconds": 5}]}`

func TestParseErrors(t *testing.T) {
	t.Parallel()
	if _, err := Parse([]byte(tiny)); err != nil {
		t.Fatalf("the sound document: %v", err)
	}
	for _, c := range []struct{ name, old, new, want string }{
		{"not JSON", tiny, "{", "unexpected EOF"},
		{"empty", tiny, "{}", "no modes"},
		{"modes not an object", tiny, `{"modes": []}`, "must be an object"},
		{"text behind", `5}]}`, `5}]} x`, "text after its end"},
		{"unknown field", `"seconds": 60`, `"secs": 60`, `unknown field "secs"`},
		{"mode twice", `"B": {`, `"A": {`, `mode "A" comes twice`},
		{"bad mode name", `"B": {`, `"B c": {`, "bad name"},
		{"kind", `"kind": "node", "states": ["UP"]`, `"kind": "x", "states": ["UP"]`, "neither node nor other"},
		{"state twice", `["UP", "DOWN"]`, `["UP", "DOWN", "UP"]`, `state "UP" comes twice`},
		{"bad state name", `["UP", "DOWN"]`, `["UP", "DOWN", "*"]`, `bad state name "*"`},
		{"unknown from", `"from": "UP"`, `"from": "UPP"`, "unknown state"},
		{"transition twice", `[{"from": "UP", "to": "DOWN"}`, `[{"from": "UP", "to": "DOWN"}, {"from": "UP", "to": "DOWN"}`, `transition "UP" -> "DOWN" comes twice`},
		{"timeout twice", `"timeouts": [`, `"timeouts": [{"state": "DOWN", "seconds": 0, "action": ""}, `, "comes twice"},
		{"negative timeout", `60`, `-1`, "-1 seconds is not in"},
		{"endless timeout", `60`, `99999999`, "seconds is not in"},
		{"fraction", `60`, `0.5`, "cannot unmarshal number 0.5"},
		{"unknown action", `STATE:UP`, `PANIC`, `action "PANIC" is not`},
		{"action to unknown state", `STATE:UP`, `STATE:`, "unknown state"},
		{"command's action", `STATE:UP`, `CMDRETRY`, `action "CMDRETRY" is not`},
		{"timeout without action", `STATE:UP`, ``, `action "" is not`},
		{"unknown trigger", `RESET`, `RESETT`, `unknown trigger "RESETT"`},
		{"script out of its folder", `RESET`, `SCRIPT:../x`, "bad script name"},
		{"script with arguments", `RESET`, `SCRIPT:x y`, "bad script name"},
		{"trigger twice", `"triggers": [{"node": "*", "state": "UP"`, `"triggers": [{"node": "*", "state": "UP", "triggers": []}, {"node": "*", "state": "UP"`, "comes twice"},
		{"trigger of a node", `"node": "*", "state": "UP", "triggers": ["R`, `"node": "pc1", "state": "UP", "triggers": ["R`, `trigger of node "pc1"`},
		{"any-mode trigger of unknown state", `"state": "UP", "triggers": []`, `"state": "NO", "triggers": []`, "any_mode_triggers: trigger of \"NO\": unknown state"},
		{"exit to unknown mode", `"to_mode": "B"`, `"to_mode": "C"`, "unknown mode"},
		{"exit to another machine", `"kind": "node", "states": ["UP"]`, `"kind": "other", "states": ["UP"]`, "another machine"},
		{"exit to unknown state", `"to_mode": "B", "to_state": "UP"`, `"to_mode": "B", "to_state": "DOWN"`, "unknown state"},
		{"override of unknown mode", `"mode": "B"`, `"mode": "C"`, "unknown mode"},
		{"override of unknown state", `"mode": "B", "state": "UP"`, `"mode": "B", "state": "DOWN"`, "unknown state"},
		{"override without seconds", `, "seconds": 5`, ``, "seconds is missing"},
		{"override, bad type", `"type": "pc"`, `"type": "p c"`, "bad node type"},
		{"too large", tiny, strings.Repeat(" ", tablesBytesMax+1), "the limit is"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			text := strings.Replace(tiny, c.old, c.new, 1)
			if text == tiny {
				t.Fatal("the case changes nothing")
			}
			if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestOverride(t *testing.T) {
	t.Parallel()
	const site = `{"timeout_overrides": [
		{"mode": "NORMALv2", "state": "BOOTING", "type": "d820", "seconds": 900},
		{"mode": "NORMALv2", "state": "BOOTING", "seconds": 400, "action": "NOTIFY"},
		{"mode": "NORMALv2", "state": "SHUTDOWN", "seconds": 700},
		{"mode": "RELOAD", "state": "RELOADSETUP", "type": "slow", "seconds": 120},
		{"mode": "RELOAD", "state": "RELOADING", "type": "slow", "seconds": 0},
		{"mode": "TBCOMMAND", "state": "REBOOT", "type": "d820", "seconds": 200}]}`
	tables, err := Stock().Override([]byte(site))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		mode     Mode
		state    State
		nodeType string
		want     Timeout
	}{
		{"NORMALv2", "BOOTING", "d820", Timeout{900 * time.Second, ActionNotify, ""}},
		{"NORMALv2", "BOOTING", "pc", Timeout{400 * time.Second, ActionNotify, ""}},
		{"NORMALv2", "BOOTING", "", Timeout{400 * time.Second, ActionNotify, ""}},
		{"NORMALv2", "SHUTDOWN", "pc", Timeout{700 * time.Second, ActionNotify, ""}},
		{"RELOAD", "RELOADSETUP", "slow", Timeout{120 * time.Second, ActionState, "RELOADFAILED"}},
		{"RELOAD", "RELOADSETUP", "pc", Timeout{60 * time.Second, ActionState, "RELOADFAILED"}},
		{"TBCOMMAND", "REBOOT", "d820", Timeout{200 * time.Second, ActionRetry, ""}},
		{"PCVM", "TBSETUP", "pcvm", Timeout{600 * time.Second, ActionNotify, ""}},
	} {
		if got, ok := tables.Timeout(c.mode, c.state, c.nodeType); !ok || got != c.want {
			t.Errorf("Timeout(%s, %s, %s) = %v, %t, want %v", c.mode, c.state, c.nodeType, got, ok, c.want)
		}
	}
	if got, ok := tables.Timeout("RELOAD", "RELOADING", "slow"); ok {
		t.Errorf("0 seconds gave %v", got)
	}
	if _, ok := Stock().Timeout("NORMALv2", "SHUTDOWN", ""); ok {
		t.Error("an override changed the stock tables")
	}
	for _, bad := range []string{
		`{"modes": {}}`,
		`{"timeout_overrides": [{"mode": "RELOAD", "state": "RELOADING", "seconds": -5}]}`,
		`{"timeout_overrides": [{"mode": "RELOAD", "state": "RELOADING", "seconds": 5}, {"mode": "RELOAD", "state": "RELOADING", "seconds": 6}]}`,
	} {
		if _, err := Stock().Override([]byte(bad)); err == nil {
			t.Errorf("accepted %s", bad)
		}
	}
}

func TestTriggerText(t *testing.T) {
	t.Parallel()
	row := NodeTrigger{State: "ISUP", Triggers: []Trigger{{Kind: TriggerReset}, {Kind: TriggerScript, Script: "/usr/sbin/x.sh"}}}
	data, err := json.Marshal(row)
	if err != nil {
		t.Fatal(err)
	}
	var back NodeTrigger
	if err := json.Unmarshal(data, &back); err != nil || triggerNames(back.Triggers) != triggerNames(row.Triggers) {
		t.Errorf("%s read back as %v, %v", data, back, err)
	}
	var unknown Trigger
	if err := unknown.UnmarshalText([]byte("NEWER")); err != nil || unknown.String() != "NEWER" {
		t.Errorf("an unknown trigger read as %v, %v", unknown, err)
	}
}

// TestCopiesAreFresh compares the embedded and golden copies with the shared
// specs.
func TestCopiesAreFresh(t *testing.T) {
	t.Parallel()
	scenarios, err := os.ReadFile("testdata/state-scenarios.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, own := range map[string][]byte{"data/states.json": stockJSON, "data/state-scenarios.json": scenarios} {
		if !bytes.Equal(own, shared.ReadFile(t, name)) {
			t.Errorf("%s has changed: copy it again", name)
		}
	}
}
