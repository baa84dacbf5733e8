package main

import (
	"encoding/json"
	"fmt"
	"net/url"

	"hyzer/netsvc/control"
	"hyzer/storage/registry"
)

func showLog(e *env, args []string) error {
	fs, address := e.flags("log")
	boot := fs.Bool("boot", false, "the newest boot log")
	boots := fs.Bool("boots", false, "list the boot logs that are kept")
	id := fs.String("id", "", "a certain boot `log`")
	rest, err := e.parse(fs, address, args)
	if err != nil {
		return err
	}
	if len(rest) != 1 {
		return badUsage("want one node")
	}
	path := "/v1/nodes/" + url.PathEscape(rest[0])
	switch {
	case *boots:
		return bootLogs(e, path)
	case *boot || *id != "":
		return e.client.Copy(e.ctx, "GET", path+"/boot?id="+url.QueryEscape(*id), nil, e.out)
	}
	var entries []registry.StateLogEntry
	if err := e.client.Call(e.ctx, "GET", path+"/log", nil, &entries); err != nil {
		return err
	}
	if e.json {
		return e.printJSON(entries)
	}
	for i := range entries {
		e.printf("%s\n", entryText(&entries[i]))
	}
	return nil
}

// entryText is one step of a node's life on a line.
func entryText(n *registry.StateLogEntry) string {
	step := fmt.Sprintf("%s %-10s %s/%s -> %s/%s", n.At.Format("2006-01-02 15:04:05.000"), n.Source, n.FromMode, n.From, n.Mode, n.To)
	if n.Errno != 0 {
		step += fmt.Sprintf(" errno %d", n.Errno)
	}
	if n.Invalid {
		step += " (not in the state tables)"
	}
	if n.Note != "" {
		step += ": " + n.Note
	}
	return step
}

func bootLogs(e *env, path string) error {
	var logs []control.BootLog
	if err := e.client.Call(e.ctx, "GET", path+"/boots", nil, &logs); err != nil {
		return err
	}
	if e.json {
		return e.printJSON(logs)
	}
	var rows [][]string
	for _, l := range logs {
		rows = append(rows, []string{l.ID, l.Began.Format("2006-01-02 15:04:05"), fmt.Sprint(l.Bytes)})
	}
	return e.table("ID BEGAN BYTES", rows)
}

func watch(e *env, args []string) error {
	fs, address := e.flags("watch")
	after := fs.Int64("after", -1, "begin after this `revision`")
	if _, err := e.parse(fs, address, args); err != nil {
		return err
	}
	path := "/v1/changes"
	if *after >= 0 {
		path += fmt.Sprintf("?after=%d", *after)
	}
	return e.client.Stream(e.ctx, "GET", path, nil, func(line []byte) error {
		var c control.Change
		if err := json.Unmarshal(line, &c); err != nil {
			return err
		}
		switch {
		case e.json:
			e.printf("%s\n", line)
		case c.Entry != nil:
			e.printf("%-12s %s\n", c.Node, entryText(c.Entry))
		case c.Progress != nil:
			e.printf("%-12s %s %s\n", c.Node, c.Progress.Image, progressText(c.Progress))
		}
		return nil
	})
}
