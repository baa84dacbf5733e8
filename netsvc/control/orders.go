package control

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"hyzer/netsvc/lifecycle/states"
	"hyzer/storage/registry"
)

// commandsInFlightMax bounds the transactions of one request that are under
// way at once; they share the store's fsyncs.
const commandsInFlightMax = 64

// command starts a command on each node, and says for each what became of it.
func (s *Server) command(req *http.Request, out *reply) error {
	in, err := body[CommandRequest](req, out)
	if err != nil {
		return err
	}
	kind := states.CommandKind(strings.ToUpper(in.Kind))
	known := []states.CommandKind{states.CommandReboot, states.CommandPowerOff, states.CommandPowerOn, states.CommandPowerCycle}
	if !slices.Contains(known, kind) {
		return badRequest(fmt.Errorf("command %.40q: want one of %v", in.Kind, known))
	}
	force := states.Force(in.Force)
	if in.Force < int(states.ForceNone) || in.Force > int(states.ForcePowerCycle) {
		return badRequest(fmt.Errorf("force %d: want %d to %d", in.Force, states.ForceNone, states.ForcePowerCycle))
	}
	nodes, err := s.someNodes(in.Nodes)
	if err != nil {
		return err
	}
	s.cfg.Log.Info("command", "service", "control", "kind", kind, "nodes", nodes, "by", in.By)
	return out.value(forEach(nodes, func(id string) error {
		return s.cfg.Runner.Command(req.Context(), id, string(states.SourceOperator), kind, force)
	}))
}

// order tells each node's boot loader something, and says for each what became
// of it.
func (s *Server) order(req *http.Request, out *reply) error {
	in, err := body[OrderRequest](req, out)
	if err != nil {
		return err
	}
	if err := in.Order.Check(); err != nil {
		return badRequest(err)
	}
	nodes, err := s.someNodes(in.Nodes)
	if err != nil {
		return err
	}
	s.cfg.Log.Info("order", "service", "control", "kind", in.Order, "nodes", nodes, "by", in.By)
	return out.value(forEach(nodes, func(id string) error {
		return s.cfg.Order(req.Context(), id, in.Order, in.Force)
	}))
}

// forEach does something with each node, several at once.
func forEach(nodes []string, do func(id string) error) []CommandResult {
	results := make([]CommandResult, len(nodes))
	var work sync.WaitGroup
	slots := make(chan struct{}, commandsInFlightMax)
	for i, id := range nodes {
		slots <- struct{}{}
		work.Go(func() {
			defer func() { <-slots }()
			results[i].Node = id
			if err := do(id); err != nil {
				results[i].Error = err.Error()
			}
		})
	}
	work.Wait()
	return results
}

func (s *Server) selectOS(req *http.Request, out *reply) error {
	in, err := body[SelectRequest](req, out)
	if err != nil {
		return err
	}
	change, err := in.change()
	if err != nil {
		return badRequest(err)
	}
	nodes, err := s.someNodes(in.Nodes)
	if err != nil {
		return err
	}
	if !in.Clear && !hasOS(s.snapshot(), in.OS) {
		return notFound("system", in.OS.String())
	}
	_, err = s.cfg.Registry.Update(req.Context(), func(tx *registry.Tx) error {
		for _, id := range nodes {
			if err := s.cfg.Runner.Select(tx, id, change); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return out.value(struct{}{})
}

func hasOS(s *registry.Snapshot, ref registry.Ref) bool {
	os := s.OS(ref.Key())
	return os != nil && os.Version(ref.Version) != nil
}

func (in SelectRequest) change() (func(*registry.BootSelection), error) {
	if in.Clear {
		if !in.OS.IsZero() || in.Cmdline != "" {
			return nil, errors.New("clear goes with neither a system nor a command line")
		}
	} else if in.OS.IsZero() {
		return nil, errors.New("no system named")
	}
	switch in.Slot {
	case "", "def":
		return func(b *registry.BootSelection) { b.Def, b.DefCmdline = in.OS, in.Cmdline }, nil
	case "temp":
		if in.Cmdline != "" {
			return nil, errors.New("a temporary system has no command line of its own")
		}
		return func(b *registry.BootSelection) { b.Temp = in.OS }, nil
	case "next":
		return func(b *registry.BootSelection) { b.Next, b.NextCmdline = in.OS, in.Cmdline }, nil
	}
	return nil, fmt.Errorf("slot %.40q: want def, temp or next", in.Slot)
}
