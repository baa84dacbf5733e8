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

func load(e *env, args []string) error {
	fs, address := e.flags("load")
	noWait := fs.Bool("no-wait", false, "return when the load has begun")
	boot := fs.Bool("boot", false, "wait until the loaded systems are up")
	zero := fs.Int("zero", 0, "0 leave free blocks, 1 zero them, 2 zero the disk first")
	prepare := fs.Bool("prepare", false, "invalidate old metadata on the disks")
	rest, err := e.parse(fs, address, args)
	if err != nil {
		return err
	}
	if len(rest) == 0 {
		return badUsage("want an image and nodes")
	}
	if *zero < 0 || *zero > 2 {
		return badUsage("--zero %d: want 0, 1 or 2", *zero)
	}
	switch rest[0] {
	case "list":
		if len(rest) != 1 {
			return badUsage("want no arguments")
		}
		return loadList(e)
	case "show", "follow", "cancel":
		if len(rest) != 2 {
			return badUsage("want the id of a load")
		}
		return loadVerb(e, rest[0], rest[1])
	}
	req := control.LoadRequest{Nodes: list(rest[1:]), WaitBoot: *boot, ZeroFree: *zero, Prepare: *prepare, By: e.getenv("USER")}
	for _, name := range strings.Split(rest[0], ",") {
		ref, err := registry.ParseRef(name)
		if err != nil {
			return badUsage("%v", err)
		}
		req.Images = append(req.Images, ref)
	}
	if len(req.Nodes) == 0 {
		return badUsage("want nodes")
	}
	var state control.LoadState
	if err := e.client.Call(e.ctx, "POST", "/v1/loads", req, &state); err != nil {
		return err
	}
	if *noWait {
		if e.json {
			return e.printJSON(state)
		}
		e.printf("%s\n", state.Job.ID)
		return nil
	}
	if !e.json {
		fmt.Fprintf(e.errs, "%s: %d nodes\n", state.Job.ID, len(state.Nodes))
	}
	err = loadFollow(e, state.Job.ID)
	if status := exitStatus(0); err != nil && !errors.As(err, &status) {
		fmt.Fprintf(e.errs, "the load goes on: hyzer load follow %s\n", state.Job.ID)
	}
	return err
}

func loadList(e *env) error {
	var jobs []registry.LoadJob
	if err := e.client.Call(e.ctx, "GET", "/v1/loads", nil, &jobs); err != nil {
		return err
	}
	if e.json {
		return e.printJSON(jobs)
	}
	var rows [][]string
	for _, j := range jobs {
		images := make([]string, len(j.Images))
		for i, ref := range j.Images {
			images[i] = ref.String()
		}
		state := "open"
		if !j.Finished.IsZero() {
			state = "finished " + ago(j.Finished) + " ago"
		}
		rows = append(rows, []string{j.ID, strings.Join(images, ","), fmt.Sprint(len(j.Nodes)), ago(j.Created), state})
	}
	return e.table("LOAD IMAGE NODES AGE STATE", rows)
}

func loadVerb(e *env, verb, id string) error {
	switch verb {
	case "follow":
		return loadFollow(e, id)
	case "cancel":
		return loadCancel(e, id)
	}
	var state control.LoadState
	if err := e.client.Call(e.ctx, "GET", "/v1/loads/"+url.PathEscape(id), nil, &state); err != nil {
		return err
	}
	if e.json {
		return e.printJSON(state)
	}
	var rows [][]string
	for _, n := range state.Nodes {
		rows = append(rows, []string{n.Node, n.Result, fmt.Sprint(n.Attempt), dash(n.State), dash(n.Reason)})
	}
	return e.table("NODE RESULT ATTEMPT STATE REASON", rows)
}

func loadCancel(e *env, id string) error {
	if err := e.client.Call(e.ctx, "DELETE", "/v1/loads/"+url.PathEscape(id), nil, nil); err != nil {
		return err
	}
	if e.json {
		return e.printJSON(map[string]string{"cancelled": id})
	}
	e.printf("cancelled %s; the disks hold what was written so far\n", id)
	return nil
}

// loadFollow prints each node's fate and ends with the worst of them.
func loadFollow(e *env, id string) error {
	worst := exitOK
	err := e.client.Stream(e.ctx, "GET", "/v1/loads/"+url.PathEscape(id)+"/follow", nil, func(line []byte) error {
		var n registry.LoadNode
		if err := json.Unmarshal(line, &n); err != nil {
			return err
		}
		worst = worse(worst, map[string]int{registry.LoadDone: exitOK, registry.LoadTimedOut: exitTimeout}, n.Result)
		if e.json {
			e.printf("%s\n", line)
			return nil
		}
		e.printf("%s %s%s\n", n.Node, n.Result, detail(n.State, n.Errno, n.Reason))
		return nil
	})
	return ended(err, worst)
}

// worse keeps the exit status that says most: failures before time-outs.
func worse(sofar int, known map[string]int, outcome string) int {
	status, ok := known[outcome]
	if !ok {
		status = exitFailed
	}
	if sofar == exitFailed || status == exitOK {
		return sofar
	}
	return status
}

func detail(state string, errno int, reason string) string {
	text := ""
	if state != "" {
		text = " (" + state
		if errno != 0 {
			text += fmt.Sprintf(", errno %d", errno)
		}
		text += ")"
	}
	if reason != "" {
		text += ": " + reason
	}
	return printable(text)
}

func ended(err error, status int) error {
	if err == nil && status != exitOK {
		return exitStatus(status)
	}
	return err
}
