package main

import (
	"encoding/json"
	"strings"
	"time"

	"hyzer/netsvc/control"
	"hyzer/netsvc/lifecycle/wait"
	"hyzer/storage/kv"
)

// wait's exit status: 0 all reached, 1 some failed, 2 some timed out, 3 usage.
func waitVerb(e *env, args []string) error {
	fs, address := e.flags("wait")
	pattern := fs.String("state", "", "states to wait for: `S[,S...][ > S...]`; MODE/STATE names one mode's")
	timeout := fs.Duration("timeout", 0, "give up after this `time`")
	after := fs.Uint64("after", 0, "count only what comes after this `revision`")
	noFail := fs.Bool("no-fail", false, "do not end at failure states")
	rest, err := e.parse(fs, address, args)
	if err != nil {
		return err
	}
	if *timeout < 0 {
		return badUsage("--timeout %s is negative", *timeout)
	}
	if *pattern == "" && len(rest) > 0 {
		*pattern, rest = rest[0], rest[1:]
		for len(rest) > 1 && rest[0] == ">" { // SHUTDOWN '>' ISUP as separate words
			*pattern += " > " + rest[1]
			rest = rest[2:]
		}
	}
	if _, err := wait.ParsePattern(*pattern); err != nil {
		return badUsage("%v", err)
	}
	req := control.WaitRequest{Nodes: list(rest), Pattern: *pattern, After: kv.Revision(*after), TimeoutSecs: timeout.Seconds(), NoFail: *noFail}
	if len(req.Nodes) == 0 {
		return badUsage("want nodes")
	}
	return waitFor(e, req)
}

func waitFor(e *env, req control.WaitRequest) error {
	worst := exitOK
	known := map[string]int{string(wait.Reached): exitOK, string(wait.TimedOut): exitTimeout}
	began := time.Now()
	err := e.client.Stream(e.ctx, "POST", "/v1/wait", req, func(line []byte) error {
		var r control.WaitResult
		if err := json.Unmarshal(line, &r); err != nil {
			return err
		}
		worst = worse(worst, known, string(r.Outcome))
		if e.json {
			e.printf("%s\n", line)
			return nil
		}
		where := strings.TrimPrefix(r.Mode+"/"+r.State, "/")
		e.printf("%s %s after %s%s\n", r.Node, r.Outcome, time.Since(began).Round(time.Millisecond), detail(where, r.Errno, r.Reason))
		return nil
	})
	return ended(err, worst)
}
