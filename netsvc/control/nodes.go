package control

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

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
	in, err := body[NewNode](req, out)
	if err != nil {
		return err
	}
	_, err = s.cfg.Registry.Update(req.Context(), func(tx *registry.Tx) error {
		if _, exists, err := registry.Find[registry.Node](tx, in.Node.ID); err != nil {
			return err
		} else if exists {
			return refused("node %s exists; delete it first or import a site file over it", in.Node.ID)
		}
		if err := registry.Put(tx, &in.Node); err != nil {
			return err
		}
		if in.Reservation == nil {
			return nil
		}
		held := *in.Reservation
		held.Node, held.Since = in.Node.ID, time.Now().UTC()
		return registry.Put(tx, &held)
	})
	if err != nil {
		return err
	}
	snap := s.snapshot()
	node := snap.Node(in.Node.ID)
	if node == nil {
		return refused("node %s was deleted as soon as it was added", in.Node.ID)
	}
	return out.value(s.view(snap, node, nil))
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
		if _, _, err := s.nodeOf(req); err != nil && after == 0 {
			return err
		}
		entries = []registry.StateLogEntry{}
	}
	return out.value(entries)
}

func (s *Server) listBootLogs(req *http.Request, out *reply) error {
	node := req.PathValue("node")
	logs, err := s.cfg.BootLogs.List(req.Context(), node)
	if err != nil {
		return err
	}
	if len(logs) == 0 { // like the state log, they outlive their node
		if _, _, err := s.nodeOf(req); err != nil {
			return err
		}
		logs = []BootLog{}
	}
	return out.value(logs)
}

func (s *Server) bootLog(req *http.Request, out *reply) error {
	id := req.URL.Query().Get("id")
	if id != "" {
		if n, err := number(req, "id"); err != nil || n == 0 {
			return badRequest(fmt.Errorf("boot log %q: want a number from the list of boot logs", id))
		}
	}
	out.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	return s.cfg.BootLogs.Copy(req.Context(), req.PathValue("node"), id, out)
}

// wantLog asks a node for the log of its last boot, which comes as any other.
func (s *Server) wantLog(req *http.Request, out *reply) error {
	_, node, err := s.nodeOf(req)
	if err != nil {
		return err
	}
	if s.cfg.WantLog == nil || s.cfg.WantLog(node.ID) == 0 {
		return refused("node %s cannot be asked: it does not watch (its watchdog does, while it runs)", node.ID)
	}
	s.cfg.Log.Info("boot log wanted", "service", "control", "node", node.ID)
	return out.value(struct{}{})
}

func number(req *http.Request, key string) (uint64, error) {
	text := req.URL.Query().Get(key)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, badRequest(fmt.Errorf("%s %q: want a number", key, text))
	}
	return n, nil
}
