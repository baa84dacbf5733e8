package main

import (
	"maps"
	"slices"
	"strconv"

	"hyzer/netsvc/control"
)

func status(e *env, args []string) error {
	if err := e.bare("status", args); err != nil {
		return err
	}
	var s control.Status
	if err := e.client.Call(e.ctx, "GET", "/v1/status", nil, &s); err != nil {
		return err
	}
	if e.json {
		return e.printJSON(s)
	}
	e.printf("hyzer %s, up %s, %d nodes, revision %d\n", s.Version, ago(s.Started), s.Nodes, s.Revision)
	var rows [][]string
	for _, svc := range s.Services {
		rows = append(rows, []string{svc.Name, svc.Addr})
	}
	if err := e.table("SERVICE ADDRESS", rows); err != nil {
		return err
	}
	rows = nil
	for _, name := range slices.Sorted(maps.Keys(s.Counts)) {
		rows = append(rows, []string{name, strconv.FormatInt(s.Counts[name], 10)})
	}
	return e.table("COUNT VALUE", rows)
}
