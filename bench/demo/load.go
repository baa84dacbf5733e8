package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"hyzer/bench/site"
	"hyzer/netsvc/control"
	"hyzer/storage/registry"
)

// load puts the image on all nodes, kills the daemon in the middle, and takes
// each node's fate as it comes.
func (s *story) load(ctx context.Context) error {
	s.screen.say("load %s onto all %d at once; %s will fail while it sets itself up", site.DiskImage, s.opts.Nodes, s.doomed)
	if err := s.lab.Nodes[s.opts.Nodes-1].SetFault("tbsetup"); err != nil {
		return err
	}
	image, err := registry.ParseRef(site.DiskImage)
	if err != nil {
		return err
	}
	at := time.Now()
	state, err := s.lab.Load(ctx, control.LoadRequest{Nodes: s.lab.Site.Names(), Images: []registry.Ref{image}, WaitBoot: true, By: "demo"})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, loadTimeout, fmt.Errorf("the load was not done in %s", loadTimeout))
	defer cancel()
	return s.watched(ctx, func(ctx context.Context) error {
		crash := make(chan error, 1)
		go func() { crash <- s.crash(ctx) }()
		err := s.takeFates(ctx, state.Job.ID, at)
		return errors.Join(err, <-crash)
	})
}

// crash kills the daemon when the load is well under way, and starts it again.
func (s *story) crash(ctx context.Context) error {
	for s.board.progress() < killAtShare {
		select {
		case <-time.After(pollInterval):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	share := s.board.progress()
	if err := s.lab.KillAppliance(); err != nil {
		return err
	}
	s.screen.say("SIGKILL to hyzerd with %.0f%% of the image received", 100*share)
	select {
	case <-time.After(downTime):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := s.lab.StartAppliance(ctx); err != nil {
		return err
	}
	s.screen.say("hyzerd is back as process %d", s.daemon.Process.Pid)
	return nil
}

// takeFates follows the job until every node's fate is known, across the
// daemon's restart.
func (s *story) takeFates(ctx context.Context, job string, began time.Time) error {
	for len(s.fates) < s.opts.Nodes {
		err := s.lab.Control.Stream(ctx, "GET", "/v1/loads/"+job+"/follow", nil, func(line []byte) error {
			var row registry.LoadNode
			if err := json.Unmarshal(line, &row); err != nil {
				return err
			}
			if _, known := s.fates[row.Node]; !known && row.Node != "" {
				s.fates[row.Node], s.ended[row.Node] = row, time.Since(began)
			}
			return nil
		})
		if ctx.Err() != nil {
			return fmt.Errorf("%d of %d nodes have their fate: %w", len(s.fates), s.opts.Nodes, context.Cause(ctx))
		}
		if err != nil { // the daemon is down, or was when the line came
			select {
			case <-time.After(pollInterval):
			case <-ctx.Done():
			}
		}
	}
	return s.judge()
}

// judge compares the fates with what the story promised.
func (s *story) judge() error {
	var first, last time.Duration
	for node, row := range s.fates {
		if node == s.doomed {
			continue
		}
		if row.Result != registry.LoadDone || row.State != "ISUP" {
			return fmt.Errorf("node %s: %s in state %s: %s", node, row.Result, row.State, row.Reason)
		}
		if at := s.ended[node]; first == 0 || at < first {
			first = at
		}
		last = max(last, s.ended[node])
	}
	s.printf("%d machines are up with their new system: the first after %.1f s, the last after %.1f s\n", s.opts.Nodes-1, first.Seconds(), last.Seconds())
	return nil
}

// showFailure shows that the doomed node's wait ended early, with the reason.
func (s *story) showFailure(ctx context.Context) error {
	row := s.fates[s.doomed]
	s.screen.say("%s was told to fail", s.doomed)
	if row.Result != registry.LoadFailed || row.State != "TBFAILED" || row.Errno == 0 {
		return fmt.Errorf("node %s: %s in state %s with errno %d, want a failure in TBFAILED with an errno", s.doomed, row.Result, row.State, row.Errno)
	}
	waited := row.Ended.Sub(row.Loaded)
	s.printf("%s: %s, boot_errno %d, %.1f s after its load was done (it had %.0f s to come up)\n", row.State, row.Reason, row.Errno, waited.Seconds(), row.Deadline.Sub(row.Loaded).Seconds())
	if left := row.Deadline.Sub(row.Ended); left < waited {
		return fmt.Errorf("node %s: the wait did not end early", s.doomed)
	}
	var log strings.Builder
	if err := s.lab.Control.Copy(ctx, "GET", "/v1/nodes/"+s.doomed+"/boot", nil, &log); err != nil {
		return fmt.Errorf("boot log of %s: %w", s.doomed, err)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	s.printf("the end of its boot log, %d bytes (hyzer log --boot %s):\n", log.Len(), s.doomed)
	for _, line := range lines[max(0, len(lines)-logLinesTail):] {
		s.printf("  | %s\n", line)
	}
	return nil
}

// checkDisks compares every disk with what the image was made of.
func (s *story) checkDisks(ctx context.Context) error {
	s.screen.say("comparing every disk with the source")
	for _, node := range s.lab.Nodes {
		node.PowerOff()
	}
	at := time.Now()
	for i, name := range s.lab.Site.Names() {
		if err := s.image.VerifyFile(s.lab.DiskPath(i), 0); err != nil {
			return fmt.Errorf("node %s: %w", name, err)
		}
	}
	s.printf("%d disks hold the source's %d MB, byte for byte (%.1f s)\n", s.opts.Nodes, s.image.DataBytes>>20, time.Since(at).Seconds())
	return nil
}
