package states

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Limits of a table document.
const (
	tablesBytesMax    = 1 << 20
	timeoutSecondsMax = 30 * 24 * 3600
)

// document is the JSON form of the tables (states.md, data/states.json). The
// raw fields are notes for people.
type document struct {
	Meta             json.RawMessage `json:"_meta"`
	ValueHistory     json.RawMessage `json:"value_history"`
	AnyModeTriggers  []triggerDoc    `json:"any_mode_triggers"`
	Modes            modesDoc        `json:"modes"`
	TimeoutOverrides []overrideDoc   `json:"timeout_overrides"`
}

type modeDoc struct {
	Kind            string          `json:"kind"` // "node", or "other" for machines that are not a node's
	Description     string          `json:"description"`
	States          []State         `json:"states"`
	Transitions     []transitionDoc `json:"transitions"`
	Timeouts        []timeoutDoc    `json:"timeouts"`
	Triggers        []triggerDoc    `json:"triggers"`
	ModeTransitions []exitDoc       `json:"mode_transitions"`
}

type transitionDoc struct {
	From  State  `json:"from"`
	To    State  `json:"to"`
	Label string `json:"label"`
	Since string `json:"since"`
}

type timeoutDoc struct {
	State   State  `json:"state"`
	Seconds int64  `json:"seconds"`
	Action  string `json:"action"`
	Since   string `json:"since"`
}

type triggerDoc struct {
	Node     string   `json:"node"`
	State    State    `json:"state"`
	Triggers []string `json:"triggers"`
	Since    string   `json:"since"`
}

type exitDoc struct {
	State   State  `json:"state"`
	ToMode  Mode   `json:"to_mode"`
	ToState State  `json:"to_state"`
	Label   string `json:"label"`
	Since   string `json:"since"`
}

// overrideDoc is a site's own time limit: for one node type, or for all of
// them if Type is empty.
type overrideDoc struct {
	Mode    Mode    `json:"mode"`
	State   State   `json:"state"`
	Type    string  `json:"type"`
	Seconds *int64  `json:"seconds"`
	Action  *string `json:"action"` // absent: as for all types, or NOTIFY
}

// modesDoc decodes the object of op_modes and, unlike a map, refuses a name
// that comes twice.
type modesDoc map[Mode]*modeDoc

// UnmarshalJSON implements json.Unmarshaler.
func (m *modesDoc) UnmarshalJSON(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return errors.Join(errors.New("modes must be an object"), err)
	}
	*m = modesDoc{}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return err
		}
		name, _ := tok.(string) // keys are strings
		if _, twice := (*m)[Mode(name)]; twice {
			return fmt.Errorf("mode %q comes twice", name)
		}
		var mode modeDoc
		if err := dec.Decode(&mode); err != nil {
			return fmt.Errorf("mode %q: %w", name, err)
		}
		(*m)[Mode(name)] = &mode
	}
	return nil
}

// decode reads a table document strictly: a misspelt field must not silently
// leave a site with other time limits than it wrote.
func decode(data []byte) (*document, error) {
	if len(data) > tablesBytesMax {
		return nil, fmt.Errorf("states: table document of %d bytes, the limit is %d", len(data), tablesBytesMax)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var doc document
	if err := dec.Decode(&doc); err != nil {
		return nil, fmt.Errorf("states: table document, near offset %d: %w", dec.InputOffset(), err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("states: table document: text after its end at offset %d", dec.InputOffset())
	}
	return &doc, nil
}
