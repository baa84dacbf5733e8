package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"hyzer/netsvc/control"
	"hyzer/storage/registry"
)

func showLog(e *env, args []string) error {
	fs, address := e.flags("log")
	boot := fs.Bool("boot", false, "the newest boot log")
	boots := fs.Bool("boots", false, "list the boot logs that are kept")
	id := fs.String("id", "", "a certain boot `log`")
	ask := fs.Bool("ask", false, "ask the node to send the log of its last boot")
	rest, err := e.parse(fs, address, args)
	if err != nil {
		return err
	}
	if len(rest) != 1 {
		return badUsage("want one node")
	}
	path := "/v1/nodes/" + url.PathEscape(rest[0])
	switch {
	case *ask:
		return askForLog(e, rest[0], path)
	case *boots:
		return bootLogs(e, path)
	case *boot || *id != "":
		return bootLog(e, path+"/boot?id="+url.QueryEscape(*id))
	}
	return stateLog(e, path)
}

// stateLog prints a log however long it is: the appliance sends it in parts.
func stateLog(e *env, path string) error {
	all := []registry.StateLogEntry{}
	for after := uint64(0); ; {
		var entries []registry.StateLogEntry
		if err := e.client.Call(e.ctx, "GET", fmt.Sprintf("%s/log?after=%d", path, after), nil, &entries); err != nil {
			return err
		}
		if len(entries) == 0 {
			break
		}
		after = entries[len(entries)-1].Seq
		if e.json {
			all = append(all, entries...)
			continue
		}
		for i := range entries {
			e.printf("%s\n", entryText(&entries[i]))
		}
	}
	if e.json {
		return e.printJSON(all)
	}
	return nil
}

// bootLog prints a boot log as it is but for control characters: it comes from
// a node's console, and the reader has a terminal.
func bootLog(e *env, path string) error {
	var text strings.Builder
	if err := e.client.Copy(e.ctx, "GET", path, nil, &text); err != nil {
		return err
	}
	if e.json {
		return e.printJSON(map[string]string{"text": text.String()})
	}
	for line := range strings.Lines(text.String()) {
		e.printf("%s\n", printable(strings.TrimRight(line, "\r\n")))
	}
	return nil
}

// askForLog has the node send what it has; it takes as long as the node does.
func askForLog(e *env, node, path string) error {
	if err := e.client.Call(e.ctx, "POST", path+"/boot", nil, nil); err != nil {
		return err
	}
	if e.json {
		return e.printJSON(struct{}{})
	}
	e.printf("%s was asked for its boot log; hyzer log %s --boots shows when it has come\n", node, node)
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
	if n.Ended != "" {
		step += " (" + n.Ended + ")"
	}
	if n.Note != "" {
		step += ": " + n.Note
	}
	return printable(step)
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

// watch follows changes until it is interrupted, which is its usual end, or has
// shown as many as were wanted.
func watch(e *env, args []string) error {
	fs, address := e.flags("watch")
	after := fs.Int64("after", -1, "begin after this `revision`")
	count := fs.Int("count", 0, "end after so many lines; 0 goes on")
	rest, err := e.parse(fs, address, args)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return badUsage("want no arguments")
	}
	path := "/v1/changes"
	if *after >= 0 {
		path += fmt.Sprintf("?after=%d", *after)
	}
	shown := 0
	err = e.client.Stream(e.ctx, "GET", path, nil, func(line []byte) error {
		if err := e.showChange(line); err != nil {
			return err
		}
		if shown++; shown == *count {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) || e.ctx.Err() != nil {
		return nil
	}
	return err
}

// errEnough ends a stream that could go on.
var errEnough = errors.New("enough")

func (e *env) showChange(line []byte) error {
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
}
