package control

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"hyzer/netsvc/lifecycle/load"
	"hyzer/netsvc/lifecycle/states"
	"hyzer/netsvc/lifecycle/wait"
	"hyzer/storage/registry"
)

func (s *Server) startLoad(req *http.Request, out *reply) error {
	in, err := body[LoadRequest](req)
	if err != nil {
		return err
	}
	job, err := s.cfg.Loads.Start(req.Context(), load.Request{
		Nodes: in.Nodes, Images: in.Images, By: in.By, WaitBoot: in.WaitBoot, ZeroFree: in.ZeroFree, Prepare: in.Prepare})
	if err != nil {
		return err
	}
	return out.value(s.loadState(s.snapshot(), job))
}

func (s *Server) loadState(snap *registry.Snapshot, job *registry.LoadJob) LoadState {
	state := LoadState{Job: *job, Nodes: []registry.LoadNode{}}
	for _, id := range job.Nodes {
		if row := snap.LoadNode(job.ID, id); row != nil {
			state.Nodes = append(state.Nodes, *row)
		}
	}
	return state
}

func (s *Server) listLoads(_ *http.Request, out *reply) error {
	jobs := s.snapshot().Jobs()
	if jobs == nil {
		jobs = []*registry.LoadJob{}
	}
	return out.value(jobs)
}

func (s *Server) jobOf(req *http.Request) (*registry.Snapshot, *registry.LoadJob, error) {
	snap := s.snapshot()
	id := req.PathValue("job")
	job := snap.Job(id)
	if job == nil {
		return nil, nil, notFound("load", id)
	}
	return snap, job, nil
}

func (s *Server) showLoad(req *http.Request, out *reply) error {
	snap, job, err := s.jobOf(req)
	if err != nil {
		return err
	}
	return out.value(s.loadState(snap, job))
}

func (s *Server) cancelLoad(req *http.Request, out *reply) error {
	if _, _, err := s.jobOf(req); err != nil {
		return err
	}
	if err := s.cfg.Loads.Cancel(req.Context(), req.PathValue("job")); err != nil {
		return err
	}
	return out.value(struct{}{})
}

// followLoad streams each node's fate as it is decided, one LoadNode a line,
// first those that are decided already.
func (s *Server) followLoad(req *http.Request, out *reply) error {
	_, job, err := s.jobOf(req)
	if err != nil {
		return err
	}
	if err := out.begin(); err != nil {
		return err
	}
	told := map[string]bool{}
	for {
		// Ask for the signal before looking, so that no change falls between.
		moved := s.cfg.Registry.Moved()
		snap := s.snapshot()
		for _, id := range job.Nodes {
			row := snap.LoadNode(job.ID, id)
			if told[id] || row == nil || row.Open() {
				continue
			}
			told[id] = true
			if err := out.line(row); err != nil {
				return nil // the client is gone
			}
		}
		if len(told) == len(job.Nodes) {
			return nil
		}
		select {
		case <-moved:
		case <-req.Context().Done():
			return nil
		}
	}
}

func (s *Server) wait(req *http.Request, out *reply) error {
	in, err := body[WaitRequest](req)
	if err != nil {
		return err
	}
	pattern, err := wait.ParsePattern(in.Pattern)
	if err != nil {
		return badRequest(err)
	}
	if len(in.Nodes) == 0 {
		return badRequest(fmt.Errorf("no nodes to wait for"))
	}
	request := wait.Request{Nodes: in.Nodes, Pattern: pattern, After: in.After,
		Timeout: time.Duration(in.TimeoutSecs * float64(time.Second))}
	if in.NoFail {
		request.Fail = states.FailSet{}
	}
	// The waiter must end with the client, and its last results need the
	// stream, so it has a context of its own below the request's.
	ctx, cancel := context.WithCancel(req.Context())
	defer cancel()
	waiter, err := wait.Start(ctx, s.cfg.Registry, request)
	if err != nil {
		return err
	}
	defer waiter.Close()
	if err := out.begin(); err != nil {
		return err
	}
	for {
		result, ok := waiter.Next(ctx)
		if !ok {
			return nil
		}
		if err := out.line(result); err != nil {
			return nil // the client is gone
		}
	}
}
