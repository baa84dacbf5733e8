package load

import (
	"context"
	"time"

	"hyzer/storage/registry"
)

// end gives a node its fate.
func (f *follower) end(ctx context.Context, row *registry.LoadNode, result string, e registry.StateLogEntry, reason string) error {
	row.Result, row.State, row.Errno, row.Reason, row.Ended = result, e.To, e.Errno, reason, e.At
	delete(f.open, row.Node)
	f.beats.forget(row.Node)
	return f.save(ctx, row)
}

// save writes a row unless it was ended by others (cancelled, replaced).
func (f *follower) save(ctx context.Context, row *registry.LoadNode) error {
	_, err := f.reg.Update(ctx, func(tx *registry.Tx) error {
		stored, err := registry.Get[registry.LoadNode](tx, registry.LoadNodeKey(row.Job, row.Node))
		if err != nil {
			return err
		}
		if !stored.Open() {
			return nil
		}
		return registry.Put(tx, row)
	})
	return err
}

func (f *follower) finish(ctx context.Context) error {
	_, err := f.reg.Update(ctx, func(tx *registry.Tx) error {
		job, err := registry.Get[registry.LoadJob](tx, f.job.ID)
		if err != nil || !job.Finished.IsZero() {
			return err
		}
		job.Finished = time.Now().UTC().Truncate(time.Millisecond)
		return registry.Put(tx, job)
	})
	if err != nil {
		return err
	}
	return f.forgetOld(ctx)
}

// jobsKeptMax is how many finished jobs are kept for people to look at.
const jobsKeptMax = 1000

// forgetOld deletes the oldest finished jobs beyond jobsKeptMax, each in a
// transaction of its own: one may hold thousands of rows.
func (m *Manager) forgetOld(ctx context.Context) error {
	var finished []*registry.LoadJob
	for _, job := range m.reg.Snapshot().Jobs() { // sorted by name, and so by time
		if !job.Finished.IsZero() {
			finished = append(finished, job)
		}
	}
	for _, job := range finished[:max(len(finished)-jobsKeptMax, 0)] {
		_, err := m.reg.Update(ctx, func(tx *registry.Tx) error {
			for _, node := range job.Nodes {
				if err := registry.Delete[registry.LoadNode](tx, registry.LoadNodeKey(job.ID, node)); err != nil {
					return err
				}
			}
			return registry.Delete[registry.LoadJob](tx, job.ID)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
