package main

import (
	"fmt"
	"strings"

	"hyzer/netsvc/control"
	"hyzer/netsvc/lifecycle/states"
	"hyzer/storage/registry"
)

func reboot(e *env, args []string) error {
	fs, address := e.flags("reboot")
	force := fs.Bool("force", false, "also nodes that are neither up nor failed")
	cycle := fs.Bool("power-cycle", false, "switch the power, ask nothing")
	rest, err := e.parse(fs, address, args)
	if err != nil {
		return err
	}
	req := control.CommandRequest{Nodes: list(rest), Kind: string(states.CommandReboot)}
	switch {
	case *cycle:
		req.Force = int(states.ForcePowerCycle)
	case *force:
		req.Force = int(states.ForceAny)
	}
	return command(e, req)
}

// bootinfosend is Emulab's program of this name, with its flags.
func bootinfosend(e *env, args []string) error {
	fs, address := e.flags("bootinfosend")
	wakeup := fs.Bool("q", false, "wake up: ask again what to boot")
	restart := fs.Bool("R", false, "start the boot program again")
	reset := fs.Bool("r", false, "reboot")
	force := fs.Bool("force", false, "also nodes that do not wait for orders")
	rest, err := e.parse(fs, address, args)
	if err != nil {
		return err
	}
	req := control.OrderRequest{Nodes: list(rest), Order: states.OrderAnswer, Force: *force, By: e.getenv("USER")}
	chosen := 0
	for o, set := range map[states.LoaderOrder]bool{states.OrderWakeup: *wakeup, states.OrderReboot: *reset, states.OrderRestart: *restart} {
		if set {
			req.Order = o
			chosen++
		}
	}
	if chosen > 1 {
		return badUsage("-q, -r and -R are three orders; want one")
	}
	if len(req.Nodes) == 0 {
		return badUsage("want nodes")
	}
	return order(e, "/v1/orders", req)
}

func power(e *env, args []string) error {
	rest, err := e.simple("power", args, 2, -1, "on, off or cycle, and nodes")
	if err != nil {
		return err
	}
	kinds := map[string]states.CommandKind{"on": states.CommandPowerOn, "off": states.CommandPowerOff, "cycle": states.CommandPowerCycle}
	if kinds[rest[0]] == "" {
		return badUsage("power %q: want on, off or cycle", rest[0])
	}
	return command(e, control.CommandRequest{Nodes: list(rest[1:]), Kind: string(kinds[rest[0]]), Force: int(states.ForceAny)})
}

func command(e *env, req control.CommandRequest) error {
	if len(req.Nodes) == 0 {
		return badUsage("want nodes")
	}
	req.By = e.getenv("USER")
	return order(e, "/v1/commands", req)
}

// order sends a request and shows what became of it for each node.
func order(e *env, path string, req any) error {
	var results []control.CommandResult
	if err := e.client.Call(e.ctx, "POST", path, req, &results); err != nil {
		return err
	}
	status := exitOK
	for _, r := range results {
		if r.Error != "" {
			status = exitFailed
		}
		if !e.json {
			e.printf("%s %s\n", r.Node, accepted(r.Error))
		}
	}
	if e.json {
		if err := e.printJSON(results); err != nil {
			return err
		}
	}
	return ended(nil, status)
}

func accepted(failure string) string {
	if failure == "" {
		return "accepted"
	}
	return "refused: " + failure
}

func selectOS(e *env, args []string) error {
	fs, address := e.flags("os")
	once := fs.Bool("once", false, "for the next boot only")
	temp := fs.Bool("temp", false, "until cleared")
	clearIt := fs.Bool("clear", false, "clear the selection instead")
	cmdline := fs.String("cmdline", "", "command `line` for the system")
	rest, err := e.parse(fs, address, args)
	if err != nil {
		return err
	}
	if *once && *temp {
		return badUsage("--once and --temp are two ways; want one")
	}
	req := control.SelectRequest{Slot: "def", Cmdline: *cmdline, Clear: *clearIt}
	if *once {
		req.Slot = "next"
	} else if *temp {
		req.Slot = "temp"
	}
	if !*clearIt {
		if len(rest) == 0 {
			return badUsage("want a system and nodes")
		}
		if req.OS, err = registry.ParseRef(rest[0]); err != nil {
			return badUsage("%v", err)
		}
		rest = rest[1:]
	}
	if req.Nodes = list(rest); len(req.Nodes) == 0 {
		return badUsage("want nodes")
	}
	if err := e.client.Call(e.ctx, "POST", "/v1/select", req, nil); err != nil {
		return err
	}
	if e.json {
		return e.printJSON(req)
	}
	e.printf("%s\n", selected(req))
	return nil
}

func selected(req control.SelectRequest) string {
	slot := map[string]string{"def": "default", "temp": "temporary", "next": "next"}[req.Slot]
	nodes := strings.Join(req.Nodes, ", ")
	if req.Clear {
		return fmt.Sprintf("%s: no %s system", nodes, slot)
	}
	return fmt.Sprintf("%s: %s system is %s", nodes, slot, req.OS)
}
