package control

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"hyzer/netsvc/lifecycle/states"
	"hyzer/storage/kv"
	"hyzer/storage/registry"
)

func (s *Server) snapshot() *registry.Snapshot { return s.cfg.Registry.Snapshot() }

func (s *Server) status(_ *http.Request, out *reply) error { return out.value(s.cfg.Status()) }

func (s *Server) view(snap *registry.Snapshot, node *registry.Node, progress map[string]Progress) Node {
	id := node.ID
	view := Node{
		Node: node, Reservation: snap.Reservation(id), State: snap.State(id), Status: snap.Status(id),
		Boot: snap.Boot(id), Partitions: snap.PartitionTable(id), Runtime: snap.Runtime(id),
		Load: snap.Load(id), Command: snap.Command(id),
	}
	if p, ok := progress[id]; ok && view.Load != nil {
		view.Progress = &p
	}
	return view
}

func (s *Server) listNodes(_ *http.Request, out *reply) error {
	snap, progress := s.snapshot(), s.cfg.Progress()
	views := []Node{}
	for _, node := range snap.Nodes() {
		views = append(views, s.view(snap, node, progress))
	}
	return out.value(views)
}

func (s *Server) nodeOf(req *http.Request) (*registry.Snapshot, *registry.Node, error) {
	snap := s.snapshot()
	id := req.PathValue("node")
	node := snap.Node(id)
	if node == nil {
		return nil, nil, notFound("node", id)
	}
	return snap, node, nil
}

func (s *Server) showNode(req *http.Request, out *reply) error {
	snap, node, err := s.nodeOf(req)
	if err != nil {
		return err
	}
	return out.value(s.view(snap, node, s.cfg.Progress()))
}

func (s *Server) addNode(req *http.Request, out *reply) error {
	in, err := body[NewNode](req)
	if err != nil {
		return err
	}
	_, err = s.cfg.Registry.Update(req.Context(), func(tx *registry.Tx) error {
		if _, exists, err := registry.Find[registry.Node](tx, in.Node.ID); exists || err != nil {
			return errors.Join(err, conflict("node %s exists; delete it first or import a site file over it", in.Node.ID))
		}
		if err := registry.Put(tx, &in.Node); err != nil {
			return err
		}
		if in.Reservation == nil {
			return nil
		}
		in.Reservation.Node, in.Reservation.Since = in.Node.ID, time.Now().UTC()
		return registry.Put(tx, in.Reservation)
	})
	if err != nil {
		return err
	}
	snap := s.snapshot()
	return out.value(s.view(snap, snap.Node(in.Node.ID), nil))
}

func (s *Server) deleteNode(req *http.Request, out *reply) error {
	_, node, err := s.nodeOf(req)
	if err != nil {
		return err
	}
	_, err = s.cfg.Registry.Update(req.Context(), func(tx *registry.Tx) error {
		return registry.Delete[registry.Node](tx, node.ID)
	})
	if err != nil {
		return err
	}
	return out.value(struct{}{})
}

// stateLogMax is how many entries one answer holds.
const stateLogMax = 10_000

func (s *Server) stateLog(req *http.Request, out *reply) error {
	after, err := number(req, "after")
	if err != nil {
		return err
	}
	// The log outlives its node: a deleted node's history can be read.
	entries, err := s.cfg.Registry.StateLog(req.Context(), req.PathValue("node"), after, stateLogMax)
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		if _, _, err := s.nodeOf(req); err != nil {
			return err
		}
		entries = []registry.StateLogEntry{}
	}
	return out.value(entries)
}

func (s *Server) listBootLogs(req *http.Request, out *reply) error {
	logs, err := s.cfg.BootLogs.List(req.Context(), req.PathValue("node"))
	if err != nil {
		return err
	}
	if logs == nil {
		logs = []BootLog{}
	}
	return out.value(logs)
}

func (s *Server) bootLog(req *http.Request, out *reply) error {
	node := req.PathValue("node")
	logs, err := s.cfg.BootLogs.List(req.Context(), node)
	if err != nil {
		return err
	}
	if len(logs) == 0 {
		return notFound("boot log of node", node)
	}
	out.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	return s.cfg.BootLogs.Copy(req.Context(), node, req.URL.Query().Get("id"), out.w)
}

// progressInterval spaces the progress lines of a stream.
const progressInterval = 500 * time.Millisecond

// changes streams steps of all nodes after a revision, and the progress of
// loads as it is known.
func (s *Server) changes(req *http.Request, out *reply) error {
	after, err := number(req, "after")
	if err != nil {
		return err
	}
	if !req.URL.Query().Has("after") {
		after = uint64(s.snapshot().Revision())
	}
	watcher, err := s.cfg.Registry.WatchLog(req.Context(), kv.Revision(after))
	if err != nil {
		return badRequest(err)
	}
	defer watcher.Close()
	if err := out.begin(); err != nil {
		return err
	}
	seen := map[string]Progress{}
	for {
		wait, cancel := context.WithTimeout(req.Context(), progressInterval)
		entries, err := watcher.Next(wait)
		idle := err != nil && wait.Err() != nil
		cancel()
		if req.Context().Err() != nil {
			return nil
		}
		if err != nil && !idle {
			return err
		}
		for i := range entries {
			if err := out.line(Change{Node: entries[i].Node, Entry: &entries[i]}); err != nil {
				return nil
			}
		}
		for node, p := range s.cfg.Progress() {
			if seen[node] == p {
				continue
			}
			seen[node] = p
			if err := out.line(Change{Node: node, Progress: &p}); err != nil {
				return nil
			}
		}
	}
}

func (s *Server) command(req *http.Request, out *reply) error {
	in, err := body[CommandRequest](req)
	if err != nil {
		return err
	}
	kind := states.CommandKind(strings.ToUpper(in.Kind))
	if len(in.Nodes) == 0 {
		return badRequest(errors.New("no nodes"))
	}
	if by := in.By; by == "" {
		in.By = "operator"
	}
	for _, id := range in.Nodes {
		if s.snapshot().Node(id) == nil {
			return notFound("node", id)
		}
	}
	results := make([]CommandResult, len(in.Nodes))
	for i, id := range in.Nodes {
		results[i].Node = id
		if err := s.cfg.Runner.Command(req.Context(), id, string(states.SourceOperator), kind, states.Force(in.Force)); err != nil {
			results[i].Error = err.Error()
		}
	}
	return out.value(results)
}

func (s *Server) selectOS(req *http.Request, out *reply) error {
	in, err := body[SelectRequest](req)
	if err != nil {
		return err
	}
	change, err := in.change()
	if err != nil {
		return badRequest(err)
	}
	_, err = s.cfg.Registry.Update(req.Context(), func(tx *registry.Tx) error {
		for _, id := range in.Nodes {
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

func (in SelectRequest) change() (func(*registry.BootSelection), error) {
	if in.Clear {
		in.OS, in.Cmdline = registry.Ref{}, ""
	} else if in.OS.IsZero() {
		return nil, errors.New("no os")
	}
	switch in.Slot {
	case "", "def":
		return func(b *registry.BootSelection) { b.Def, b.DefCmdline = in.OS, in.Cmdline }, nil
	case "temp":
		return func(b *registry.BootSelection) { b.Temp = in.OS }, nil
	case "next":
		return func(b *registry.BootSelection) { b.Next, b.NextCmdline = in.OS, in.Cmdline }, nil
	}
	return nil, errors.New("slot " + strconv.Quote(in.Slot) + ": want def, temp or next")
}

func number(req *http.Request, key string) (uint64, error) {
	text := req.URL.Query().Get(key)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, badRequest(err)
	}
	return n, nil
}
