package stated

import (
	"encoding/json"
	"sort"
	"strings"

	"hyzer/netsvc/lifecycle/states"
	"hyzer/storage/registry"
)

// tablesNow is the stock tables with the time-outs of the site's node types.
func (r *Runner) tablesNow(s *registry.Snapshot) *states.Tables {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tables != nil && r.source.SameTypes(s) {
		return r.tables
	}
	r.source = s
	tables, err := siteTables(s)
	if err != nil {
		// Import checks nothing of the state tables; a type with a time-out
		// that makes no sense must not stop every node.
		r.cfg.Log.Error("time-outs of node types are ignored; correct timeout_secs", "error", err)
		tables = states.Stock()
	}
	r.tables = tables.WithPolicy(r.cfg.Policy)
	return r.tables
}

type override struct {
	Mode    string `json:"mode"`
	State   string `json:"state"`
	Type    string `json:"type"`
	Seconds int    `json:"seconds"`
}

func siteTables(s *registry.Snapshot) (*states.Tables, error) {
	var rows []override
	for _, t := range s.Types() {
		for key, secs := range t.TimeoutSecs {
			mode, state, _ := strings.Cut(key, "/")
			rows = append(rows, override{mode, state, t.Name, secs})
		}
	}
	if len(rows) == 0 {
		return states.Stock(), nil
	}
	sort.Slice(rows, func(i, j int) bool {
		return rows[i].Type+rows[i].Mode+rows[i].State < rows[j].Type+rows[j].Mode+rows[j].State
	})
	doc, err := json.Marshal(map[string]any{"timeout_overrides": rows})
	if err != nil {
		return nil, err
	}
	return states.Stock().Override(doc)
}
