package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"hyzer/netsvc/lifecycle/load"
	"hyzer/netsvc/lifecycle/states"
	"hyzer/netsvc/lifecycle/wait"
	"hyzer/storage/kv"
	"hyzer/storage/registry"
)

func (s *Server) startLoad(req *http.Request, out *reply) error {
	in, err := body[LoadRequest](req, out)
	if err != nil {
		return err
	}
	switch {
	case len(in.Images) == 0:
		return badRequest(errors.New("no images to load"))
	case in.ZeroFree < 0 || in.ZeroFree > zeroFreeMax:
		return badRequest(fmt.Errorf("zero_free %d: want 0 to %d", in.ZeroFree, zeroFreeMax))
	}
	nodes, err := s.someNodes(in.Nodes)
	if err != nil {
		return err
	}
	job, err := s.cfg.Loads.Start(req.Context(), load.Request{
		Nodes: nodes, Images: in.Images, By: in.By, WaitBoot: in.WaitBoot, ZeroFree: in.ZeroFree, Prepare: in.Prepare})
	if err != nil {
		return planError(req.Context(), err)
	}
	return out.value(s.loadState(s.snapshot(), job))
}

// zeroFreeMax is the strongest wish: zero the whole disk first.
const zeroFreeMax = 2

// planError tells a load that cannot be planned, for what the records say,
// from a store that does not work.
func planError(ctx context.Context, err error) error {
	ours := []error{kv.ErrClosed, kv.ErrFailed, kv.ErrDiskFull, kv.ErrTooLarge}
	for _, failed := range ours {
		if errors.Is(err, failed) {
			return err
		}
	}
	if ctx.Err() != nil || errors.Is(err, registry.ErrNotFound) {
		return err
	}
	return refused("%w", err)
}

func (s *Server) loadState(snap *registry.Snapshot, job *registry.LoadJob) LoadState {
	state := LoadState{Job: ended(snap, job), Nodes: []registry.LoadNode{}}
	for _, id := range job.Nodes {
		if row := snap.LoadNode(job.ID, id); row != nil {
			state.Nodes = append(state.Nodes, *row)
		}
	}
	return state
}

// ended is a job that has finished if all its nodes have: its own record says
// so a moment later, or much later if another load took its nodes over.
func ended(snap *registry.Snapshot, job *registry.LoadJob) registry.LoadJob {
	out := *job
	if !job.Finished.IsZero() {
		return out
	}
	var last time.Time
	for _, id := range job.Nodes {
		row := snap.LoadNode(job.ID, id)
		if row == nil || row.Open() {
			return out
		}
		if row.Ended.After(last) {
			last = row.Ended
		}
	}
	out.Finished = last
	return out
}

func (s *Server) listLoads(_ *http.Request, out *reply) error {
	snap := s.snapshot()
	jobs := []registry.LoadJob{}
	for _, job := range snap.Jobs() {
		jobs = append(jobs, ended(snap, job))
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
	snap, job, err := s.jobOf(req)
	if err != nil {
		return err
	}
	if !ended(snap, job).Finished.IsZero() {
		return refused("load %s has finished", job.ID)
	}
	if err := s.cfg.Loads.Cancel(req.Context(), job.ID); err != nil {
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
	open := slices.Clone(job.Nodes)
	for {
		// Ask for the signal before looking, so that no change falls between.
		moved := s.cfg.Registry.Moved()
		if open, err = tellFates(out, s.snapshot(), job.ID, open); err != nil || len(open) == 0 {
			return err
		}
		select {
		case <-moved:
		case <-req.Context().Done():
			return errStopping
		}
	}
}

// tellFates writes the nodes of open that are decided and returns the others.
func tellFates(out *reply, snap *registry.Snapshot, job string, open []string) ([]string, error) {
	rest := open[:0]
	for _, id := range open {
		row := snap.LoadNode(job, id)
		if row == nil || row.Open() {
			rest = append(rest, id)
			continue
		}
		if err := out.line(row); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// waitSecsMax bounds the time-out of a wait; without one it ends with its
// client.
const waitSecsMax = 366 * 24 * 3600

func (in WaitRequest) request() (wait.Request, error) {
	pattern, err := wait.ParsePattern(in.Pattern)
	if err != nil {
		return wait.Request{}, err
	}
	if in.TimeoutSecs < 0 || in.TimeoutSecs > waitSecsMax {
		return wait.Request{}, fmt.Errorf("timeout_secs %g: want 0 to %d", in.TimeoutSecs, waitSecsMax)
	}
	out := wait.Request{Pattern: pattern, After: in.After, Timeout: time.Duration(in.TimeoutSecs * float64(time.Second))}
	if in.NoFail {
		out.Fail = states.FailSet{}
	}
	return out, nil
}

func (s *Server) wait(req *http.Request, out *reply) error {
	in, err := body[WaitRequest](req, out)
	if err != nil {
		return err
	}
	request, err := in.request()
	if err != nil {
		return badRequest(err)
	}
	if request.Nodes, err = s.someNodes(in.Nodes); err != nil {
		return err
	}
	waiter, err := wait.Start(req.Context(), s.cfg.Registry, request)
	if err != nil {
		return err
	}
	defer waiter.Close()
	if err := out.begin(); err != nil {
		return err
	}
	for {
		result, ok := waiter.Next(req.Context())
		switch {
		case req.Context().Err() != nil:
			// What the waiter says of nodes now is that it was told to end.
			return errStopping
		case !ok:
			return nil
		}
		if err := out.line(result); err != nil {
			return err
		}
	}
}
