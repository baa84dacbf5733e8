package states

import (
	"fmt"
	"strings"
)

// TriggerKind is what entering a state sets off (states.md, trigger
// vocabulary).
type TriggerKind string

// The trigger vocabulary.
const (
	TriggerScript       TriggerKind = "SCRIPT" // written SCRIPT:<name>
	TriggerPXEBoot      TriggerKind = "PXEBOOT"
	TriggerSecureBoot   TriggerKind = "SECUREBOOT"
	TriggerBooting      TriggerKind = "BOOTING"
	TriggerCheckGenISUP TriggerKind = "CHECKGENISUP"
	TriggerCheckPortReg TriggerKind = "CHECKPORTREG"
	TriggerPXEReset     TriggerKind = "PXERESET"
	TriggerReset        TriggerKind = "RESET"
	TriggerReloadDone   TriggerKind = "RELOADDONE"
	TriggerReloadDoneV2 TriggerKind = "RELOADDONEV2"
	TriggerISUP         TriggerKind = "ISUP"
	TriggerReboot       TriggerKind = "REBOOT"
	TriggerPowerCycle   TriggerKind = "POWERCYCLE"
	TriggerPowerOff     TriggerKind = "POWEROFF"
	TriggerEmailNotify  TriggerKind = "EMAILNOTIFY"
	TriggerReloadOldMFS TriggerKind = "RELOADOLDMFS"
)

// scriptBytesMax bounds the name in SCRIPT:<name>.
const scriptBytesMax = 255

// Trigger is one element of a trigger list.
type Trigger struct {
	Kind   TriggerKind
	Script string // of TriggerScript: absolute path, or name in the server's script folder
}

// ParseTrigger reads one trigger as it is written in the tables.
func ParseTrigger(text string) (Trigger, error) {
	if script, ok := strings.CutPrefix(text, string(TriggerScript)+":"); ok {
		if !validScript(script) {
			return Trigger{}, fmt.Errorf("states: trigger %q: bad script name", text)
		}
		return Trigger{Kind: TriggerScript, Script: script}, nil
	}
	switch kind := TriggerKind(text); kind {
	case TriggerPXEBoot, TriggerSecureBoot, TriggerBooting, TriggerCheckGenISUP,
		TriggerCheckPortReg, TriggerPXEReset, TriggerReset, TriggerReloadDone,
		TriggerReloadDoneV2, TriggerISUP, TriggerReboot, TriggerPowerCycle,
		TriggerPowerOff, TriggerEmailNotify, TriggerReloadOldMFS:
		return Trigger{Kind: kind}, nil
	}
	return Trigger{}, fmt.Errorf("states: unknown trigger %q", text)
}

// validScript refuses names that could leave the script folder or carry
// arguments: scripts are run without any.
func validScript(name string) bool {
	if name == "" || len(name) > scriptBytesMax {
		return false
	}
	for part := range strings.SplitSeq(strings.TrimPrefix(name, "/"), "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
	}
	for i := range len(name) {
		if c := name[i]; !nameByte(c) && c != '.' && c != '/' {
			return false
		}
	}
	return true
}

// String is the form that ParseTrigger reads.
func (t Trigger) String() string {
	if t.Kind == TriggerScript {
		return string(TriggerScript) + ":" + t.Script
	}
	return string(t.Kind)
}

// MarshalText writes the form that ParseTrigger reads.
func (t Trigger) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads what MarshalText wrote. It keeps a trigger it does not
// know, which Step notes when it is due: one bad row must not make a node's
// stored record unreadable.
func (t *Trigger) UnmarshalText(text []byte) error {
	trigger, err := ParseTrigger(string(text))
	if err != nil {
		trigger = Trigger{Kind: TriggerKind(text)}
	}
	*t = trigger
	return nil
}

// NodeTrigger is a one-shot trigger row of one node: it runs before the
// tables' own when the node enters State in Mode, and is then removed.
type NodeTrigger struct {
	Mode     Mode // empty or "*": any op_mode
	State    State
	Triggers []Trigger
}

func (r *NodeTrigger) anyMode() bool { return r.Mode == "" || r.Mode == anyState }

func (r *NodeTrigger) matches(mode Mode, state State) bool {
	return r.State == state && (r.anyMode() || r.Mode == mode)
}
