package load

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"hyzer/netsvc/lifecycle/stated"
	"hyzer/storage/registry"
)

// Manager starts loads and follows them.
type Manager struct {
	reg    *registry.Registry
	runner *stated.Runner
	log    *slog.Logger
	beats  *beats

	mu      sync.Mutex
	ctx     context.Context // of Run; nil while it does not run
	follows sync.WaitGroup
	cancels map[string]context.CancelFunc // by job
}

// New makes a Manager. Jobs are followed while Run does.
func New(reg *registry.Registry, runner *stated.Runner, log *slog.Logger) *Manager {
	return &Manager{reg: reg, runner: runner, log: log, beats: newBeats(), cancels: map[string]context.CancelFunc{}}
}

// Run follows all open jobs, and those that are started, until ctx ends.
func (m *Manager) Run(ctx context.Context) error {
	m.mu.Lock()
	m.ctx = ctx
	m.mu.Unlock()
	for _, job := range m.reg.Snapshot().Jobs() {
		if job.Finished.IsZero() {
			m.follow(job)
		}
	}
	<-ctx.Done()
	m.mu.Lock()
	m.ctx = nil
	m.mu.Unlock()
	m.follows.Wait()
	return nil
}

// Start plans a load and begins it. When it returns, the job is durable; a
// planning error of any node starts nothing.
func (m *Manager) Start(ctx context.Context, req Request) (*registry.LoadJob, error) {
	nodes, err := distinct(req.Nodes)
	if err != nil {
		return nil, err
	}
	snapshot := m.reg.Snapshot()
	images, err := resolveImages(snapshot, req.Images)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	job := &registry.LoadJob{ID: newID(now), By: req.By, Nodes: nodes, WaitBoot: req.WaitBoot, Created: now}
	for _, image := range images {
		job.Images = append(job.Images, image.ref)
	}
	deadline := now.Add(loadTime(images))
	_, err = m.reg.Update(ctx, func(tx *registry.Tx) error {
		job.Start = tx.Revision()
		for _, id := range nodes {
			if err := supersede(tx, id, job.ID, now); err != nil {
				return err
			}
			load, err := planNode(tx, snapshot, m.runner, id, job, req, images)
			if err != nil {
				return err
			}
			row := &registry.LoadNode{Job: job.ID, Node: id, Result: registry.LoadWaiting, Attempt: 1,
				After: job.Start, Life: load.Life, Deadline: deadline}
			if err := registry.Put(tx, row); err != nil {
				return err
			}
		}
		return registry.Put(tx, job)
	})
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	m.follow(job)
	return job, nil
}

// supersede ends the part of an older job that a new load of the node
// replaces. It runs before the node's load is written.
func supersede(tx *registry.Tx, node, by string, now time.Time) error {
	old, err := registry.Lookup[registry.NodeLoad](tx, node)
	if err != nil || old == nil || old.Job == "" || old.Job == by {
		return err
	}
	row, err := registry.Lookup[registry.LoadNode](tx, registry.LoadNodeKey(old.Job, node))
	if err != nil || row == nil || !row.Open() {
		return err
	}
	row.Result, row.Reason, row.Ended = registry.LoadCancelled, "replaced by load "+by, now
	return registry.Put(tx, row)
}

// Cancel ends the wait for a job's open nodes. What is on their disks is
// whatever the loader has written so far.
func (m *Manager) Cancel(ctx context.Context, id string) error {
	now := time.Now().UTC()
	_, err := m.reg.Update(ctx, func(tx *registry.Tx) error {
		job, err := registry.Get[registry.LoadJob](tx, id)
		if err != nil || !job.Finished.IsZero() {
			return err
		}
		for _, node := range job.Nodes {
			row, err := registry.Get[registry.LoadNode](tx, registry.LoadNodeKey(id, node))
			if err != nil {
				return err
			}
			if !row.Open() {
				continue
			}
			row.Result, row.Reason, row.Ended = registry.LoadCancelled, "cancelled", now
			if err := registry.Put(tx, row); err != nil {
				return err
			}
		}
		job.Finished = now
		return registry.Put(tx, job)
	})
	if err != nil {
		return fmt.Errorf("load %s: %w", id, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if cancel := m.cancels[id]; cancel != nil {
		cancel()
	}
	return nil
}

// follow starts the follower of a job, if Run runs; otherwise Run will.
func (m *Manager) follow(job *registry.LoadJob) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx == nil || m.cancels[job.ID] != nil {
		return
	}
	ctx, cancel := context.WithCancel(m.ctx)
	m.cancels[job.ID] = cancel
	m.follows.Go(func() {
		defer cancel()
		m.followToEnd(ctx, job)
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.cancels, job.ID)
	})
}

// followRetryDelay spaces attempts to go on after the store refused to write.
const followRetryDelay = 5 * time.Second

// followToEnd follows a job; what goes wrong on the way (a full disk) is tried
// again from the job's records.
func (m *Manager) followToEnd(ctx context.Context, job *registry.LoadJob) {
	for {
		err := (&follower{Manager: m, job: job}).run(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		m.log.Error("load could not be followed; trying again", "job", job.ID, "error", err)
		select {
		case <-time.After(followRetryDelay):
		case <-ctx.Done():
			return
		}
	}
}

// newID names a job so that names sort by time.
func newID(now time.Time) string {
	return "load-" + now.Format("20060102-150405") + "-" + rand.Text()[:6]
}

func distinct(nodes []string) ([]string, error) {
	if len(nodes) == 0 || len(nodes) > nodesMax {
		return nil, fmt.Errorf("load: %d nodes, want 1 to %d", len(nodes), nodesMax)
	}
	seen := map[string]bool{}
	var out []string
	for _, n := range nodes {
		if !seen[n] {
			seen[n] = true
			out = append(out, n)
		}
	}
	return out, nil
}
