package tmcd

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"time"

	"hyzer/storage/kv"
	"hyzer/storage/registry"
)

// States is what this service needs of the node state machine
// (netsvc/lifecycle/stated).
type States interface {
	Report(ctx context.Context, node, source string, states ...string) error
	// Expect announces a report of a node before the node is told what it is
	// about: orders to the node wait for it. The function returned records
	// the states that follow from an answer taken from the records of a
	// revision; it must be called once, and without states records nothing.
	Expect(node, source string) (record recordAnswer)
	Reset(ctx context.Context, node string) error
}

// recordAnswer is what Expect returns. It returns the node's state then.
type recordAnswer = func(ctx context.Context, asked kv.Revision, reached ...string) (*registry.NodeState, error)

// BootLogs stores boot logs (storage/bloblog).
type BootLogs interface {
	// Store reads a whole log and keeps it as the node's newest. It returns
	// when what it has read is durable, also if reading fails. A log of
	// white space only is not kept.
	Store(ctx context.Context, node string, text io.Reader) error
}

// Recorder executes effects on the registry.
type Recorder struct {
	States
	Registry *registry.Registry
	Logs     BootLogs
	Now      func() time.Time
}

var _ Effects = (*Recorder)(nil)

// BootErrno implements Effects.
func (r *Recorder) BootErrno(ctx context.Context, node string, errno int) error {
	return r.runtime(ctx, node, func(run *registry.Runtime) { run.BootErrno = errno })
}

// BootLog implements Effects.
func (r *Recorder) BootLog(ctx context.Context, node string, text io.Reader) error {
	return r.Logs.Store(ctx, node, text)
}

// StartStatus implements Effects.
func (r *Recorder) StartStatus(ctx context.Context, node string, status int) error {
	return r.runtime(ctx, node, func(run *registry.Runtime) { run.StartStatus = strconv.Itoa(status) })
}

// Ready implements Effects.
func (r *Recorder) Ready(ctx context.Context, node string) error {
	return r.runtime(ctx, node, func(run *registry.Runtime) { run.Ready = true })
}

// AccountsFetched implements Effects. Two fetches at once count down twice, as
// their reports would one after the other.
func (r *Recorder) AccountsFetched(ctx context.Context, node string) error {
	return r.runtime(ctx, node, func(run *registry.Runtime) { run.UpdateAccounts = max(run.UpdateAccounts-1, 0) })
}

// runtime changes a node's runtime record, if it changes at all.
func (r *Recorder) runtime(ctx context.Context, node string, change func(*registry.Runtime)) error {
	_, err := r.Registry.Update(ctx, func(tx *registry.Tx) error {
		run, found, err := registry.Find[registry.Runtime](tx, node)
		if err != nil {
			return err
		}
		if !found {
			run = &registry.Runtime{Node: node}
		}
		before := *run
		if change(run); found && reflect.DeepEqual(before, *run) {
			return nil // said before: there is nothing to write
		}
		return registry.Put(tx, run)
	})
	return err
}

// aliveEvery is how stale a node's sign of life may be: a write for each of a
// site's datagrams would say nothing more.
const aliveEvery = 30 * time.Second

// Alive implements Effects. A node that is up and was heard from lately costs
// no write.
func (r *Recorder) Alive(ctx context.Context, node string) error {
	now := r.Now()
	status := r.Registry.Snapshot().Status(node)
	if status.Status == "up" && now.Sub(status.LastSeen).Abs() < aliveEvery {
		return nil
	}
	return r.status(ctx, node, func(s *registry.NodeStatus) { s.Status, s.LastSeen = "up", now.UTC() })
}

// UsageReport implements Effects.
func (r *Recorder) UsageReport(ctx context.Context, u UsageReport) error {
	return r.status(ctx, u.Node, func(s *registry.NodeStatus) { s.Load, s.DiskUsed = u.Load, u.DiskUsed })
}

// BatteryReport implements Effects.
func (r *Recorder) BatteryReport(ctx context.Context, b BatteryReport) error {
	return r.status(ctx, b.Node, func(s *registry.NodeStatus) { s.BatteryPercent, s.BatteryVolts = b.Percent, b.Volts })
}

func (r *Recorder) status(ctx context.Context, node string, change func(*registry.NodeStatus)) error {
	_, err := r.Registry.Update(ctx, func(tx *registry.Tx) error {
		status, found, err := registry.Find[registry.NodeStatus](tx, node)
		if err != nil {
			return err
		}
		if !found {
			status = &registry.NodeStatus{Node: node}
		}
		change(status)
		return registry.Put(tx, status)
	})
	return err
}

// HostReport implements Effects.
func (r *Recorder) HostReport(ctx context.Context, h HostReport) error {
	return r.runtime(ctx, h.Node, func(run *registry.Runtime) {
		run.CDVersion = cmp.Or(h.CDVersion, run.CDVersion)
		run.NTPDrift = cmp.Or(h.NTPDrift, run.NTPDrift)
		run.IPODHash = cmp.Or(h.IPODHash, run.IPODHash)
		run.SFSHostID = cmp.Or(h.SFSHostID, run.SFSHostID)
		run.Trimmed, run.Collected = cmp.Or(h.Trimmed, run.Trimmed), cmp.Or(h.Collected, run.Collected)
		if h.SSHKeys != nil {
			run.SSHKeys = h.SSHKeys
		}
	})
}

// RootPassword implements Effects.
func (r *Recorder) RootPassword(ctx context.Context, p RootPassword) error {
	_, err := r.Registry.Update(ctx, func(tx *registry.Tx) error {
		run, found, err := registry.Find[registry.Runtime](tx, p.Node)
		switch {
		case err != nil:
			return err
		case !found:
			run = &registry.Runtime{Node: p.Node}
		case run.RootPassword != "" && run.RootPassword != p.Password:
			return fmt.Errorf("tmcd: node %s asked twice at once for its first root password; it is to ask again", p.Node)
		}
		run.RootPassword = p.Password
		return registry.Put(tx, run)
	})
	return err
}

// ConsoleAt implements Effects.
func (r *Recorder) ConsoleAt(ctx context.Context, c ConsoleReport) error {
	_, err := r.Registry.Update(ctx, func(tx *registry.Tx) error {
		node, err := registry.Get[registry.Node](tx, c.Node)
		if err != nil || node.Console == c.Console {
			return err
		}
		node.Console = c.Console
		return registry.Put(tx, node)
	})
	return err
}

// RegisterPort implements Effects. A service is at one node of the experiment.
func (r *Recorder) RegisterPort(ctx context.Context, p PortRegistration) error {
	_, err := r.Registry.Update(ctx, func(tx *registry.Tx) error {
		for _, id := range r.Registry.Snapshot().Members(p.Experiment) {
			if err := setService(tx, id, p); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

func setService(tx *registry.Tx, id string, p PortRegistration) error {
	run, found, err := registry.Find[registry.Runtime](tx, id)
	if err != nil {
		return err
	}
	if !found {
		run = &registry.Runtime{Node: id}
	}
	here := id == p.Node && p.Port != 0
	if _, was := run.Services[p.Service]; !here && !was {
		return nil
	}
	if run.Services == nil {
		run.Services = map[string]int{}
	}
	delete(run.Services, p.Service)
	if here {
		if len(run.Services) >= servicesMax {
			return fmt.Errorf("tmcd: node %s has registered %d services", id, servicesMax)
		}
		run.Services[p.Service] = p.Port
	}
	return registry.Put(tx, run)
}
