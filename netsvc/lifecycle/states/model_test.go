package states

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"
)

// model is stated.md section 3 in the fewest words: SQL-like rows and one
// function, with none of the machine's code. It knows no deadlines, commands
// or effects; TestModel compares the rest.
type model struct {
	rows struct {
		Modes map[string]struct {
			Transitions []struct{ From, To string }
			Triggers    []struct {
				State    string
				Triggers []string
			}
			ModeTransitions []struct {
				State   string
				ToMode  string `json:"to_mode"`
				ToState string `json:"to_state"`
			} `json:"mode_transitions"`
		}
		AnyModeTriggers []struct {
			State    string
			Triggers []string
		} `json:"any_mode_triggers"`
	}
	mode, state, pending, osid, def, next, temp string
	reloading                                   bool
}

func (m *model) valid(to string) bool {
	for _, row := range m.rows.Modes[m.mode].Transitions {
		if (row.From == m.state || row.From == "*") && row.To == to {
			return true
		}
	}
	return false
}

func (m *model) triggers(to string) []string {
	for _, row := range m.rows.Modes[m.mode].Triggers {
		if row.State == to {
			return row.Triggers
		}
	}
	for _, row := range m.rows.AnyModeTriggers {
		if row.State == to {
			return row.Triggers
		}
	}
	return nil
}

func (m *model) boots() string {
	for _, os := range []string{m.next, m.temp, m.def} {
		if os != "" {
			return os
		}
	}
	return ""
}

func (m *model) change(to string) {
	if to == m.mode {
		return
	}
	state := m.state
	for _, row := range m.rows.Modes[m.mode].ModeTransitions {
		if row.State == m.state && row.ToMode == to {
			state = row.ToState
		}
	}
	m.mode, m.state, m.pending = to, state, ""
}

func (m *model) clearNext() {
	m.next, m.pending = "", ""
	if mode := string(catalogue[m.boots()].Mode); mode != m.mode {
		m.pending = mode
	}
}

func (m *model) report(to string) (valid bool) {
	from := m.state
	valid = m.valid(to)
	if !valid && (m.mode == "SECUREBOOT" || m.mode == "SECURELOAD") {
		to = "SECVIOLATION"
	} else if from == "SECVIOLATION" && to != "SHUTDOWN" && to != "POWEROFF" && to != "GPXEBOOTING" {
		to = "SECVIOLATION"
	}
	list := m.triggers(to)
	m.state = to
	for _, trigger := range list {
		m.run(trigger, from)
	}
	for _, row := range m.rows.Modes[m.mode].ModeTransitions {
		if row.State == to && m.pending != "" {
			m.change(m.pending)
			m.pending = "" // also where it was in that op_mode already
		}
	}
	return valid
}

func (m *model) run(trigger, from string) {
	switch trigger {
	case "PXEBOOT":
		m.change("PXEKERNEL")
	case "SECUREBOOT":
		if (m.pending == "SECURELOAD" || m.mode == "SECURELOAD") && (from == "SHUTDOWN" || from == "REBOOTING") {
			m.change("SECURELOAD")
		} else {
			m.change("SECUREBOOT")
		}
	case "BOOTING":
		boot := m.boots()
		if boot == "" {
			return
		}
		m.osid = boot
		switch mode := string(catalogue[boot].Mode); {
		case mode == m.mode:
		case m.mode == "PXEKERNEL":
			m.change(mode)
		case from == "ISUP" && m.pending != "":
			m.change(m.pending)
		case mode == "RELOAD":
			m.change(mode)
		}
	case "RESET":
		if m.osid != "" && m.def != "" && (m.osid != m.def || m.mode == "WIMRELOAD") {
			m.clearNext()
		}
	case "POWEROFF": // soft: the one-shot boot is cleared instead
		if m.state == "SECVIOLATION" && m.next != "" {
			m.clearNext()
		}
	case "RELOADDONE", "RELOADDONEV2":
		m.reloading = false
	}
}

func TestModel(t *testing.T) {
	t.Parallel()
	var rows model
	if err := json.Unmarshal(stockJSON, &rows.rows); err != nil {
		t.Fatal(err)
	}
	modes, oses := Stock().Modes(), []string{"", "STD", "FRISBEE", "MFS", "MIN", "MIN-PING"}
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 1))
		pick := func(list []string) string { return list[rng.IntN(len(list))] }
		m := rows
		m.mode = string(modes[rng.IntN(len(modes))])
		m.state = m.anyState(rng)
		m.def, m.next, m.temp, m.osid = pick(oses), pick(oses), pick(oses), pick(oses)
		m.pending, m.reloading = string(modes[rng.IntN(len(modes))]), rng.IntN(2) == 0
		n := Node{Mode: Mode(m.mode), State: State(m.state), NextMode: Mode(m.pending), Default: catalogue[m.def],
			Next: catalogue[m.next], Temp: catalogue[m.temp], Running: catalogue[m.osid]}
		if m.reloading {
			n.Reservation = ReservationReloading
		}
		for range 100 {
			before, to := n, m.likely(rng)
			var effects []Effect
			n, effects = Step(Stock(), n, Report(SourceClient, State(to)), epoch.Add(time.Second))
			valid := m.report(to)
			entry := effects[0].Entry
			if effects[0].Kind != EffectLogState {
				entry = effects[1].Entry // behind the note of an invalid one
			}
			got := [...]any{string(n.Mode), string(n.State), string(n.NextMode), n.Running.OSID, n.Next.OSID,
				n.Reservation == ReservationReloading, entry.Verdict == Valid}
			if want := [...]any{m.mode, m.state, m.pending, m.osid, m.next, m.reloading, valid}; got != want {
				t.Fatalf("seed %d, %s:\nbefore %+v\n got %v\nwant %v", seed, to, before, got, want)
			}
		}
	}
}

// likely is an expected next state most of the time, else any.
func (m *model) likely(rng *rand.Rand) string {
	var to []string
	for _, row := range m.rows.Modes[m.mode].Transitions {
		if row.From == m.state {
			to = append(to, row.To)
		}
	}
	if len(to) > 0 && rng.IntN(10) < 7 {
		return to[rng.IntN(len(to))]
	}
	return m.anyState(rng)
}

func (m *model) anyState(rng *rand.Rand) string {
	mode := Stock().Modes()
	list := Stock().States(mode[rng.IntN(len(mode))])
	return string(list[rng.IntN(len(list))])
}
