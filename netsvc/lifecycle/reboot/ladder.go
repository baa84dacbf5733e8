package reboot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"time"

	"hyzer/netsvc/lifecycle/stated"
	"hyzer/netsvc/lifecycle/states"
	"hyzer/storage/registry"
)

// Reporter records states, durably and in order.
type Reporter interface {
	Report(ctx context.Context, node, source string, reached ...string) error
}

// Config is what a Ladder needs.
type Config struct {
	Snapshot func() *registry.Snapshot
	Reports  Reporter
	Drivers  map[string]Driver
	// Wake sends "ask again" to a boot loader that waits.
	Wake func(ctx context.Context, server, node netip.Addr) error
	// Soft asks running systems to reboot before their power is switched; nil:
	// power is switched at once. Ping is for that; nil: an ICMP echo, that is
	// given a second.
	Soft      Soft
	Ping      func(ctx context.Context, node netip.Addr) bool
	ScriptDir string // for SCRIPT triggers; "" runs none
	Log       *slog.Logger
}

// Ladder reboots nodes.
type Ladder struct{ cfg Config }

// New makes a Ladder. Its Reporter may be set later by SetReporter, since the
// runner that reports is made with the Ladder.
func New(cfg Config) *Ladder { return &Ladder{cfg} }

// SetReporter completes a Ladder before its first use.
func (l *Ladder) SetReporter(r Reporter) { l.cfg.Reports = r }

const source = "reboot"

// Reboot implements stated.Actor.
func (l *Ladder) Reboot(ctx context.Context, id string, method states.Method) error {
	snapshot := l.cfg.Snapshot()
	node := snapshot.Node(id)
	if node == nil {
		return fmt.Errorf("node %s: %w", id, registry.ErrNotFound)
	}
	err := l.reboot(ctx, snapshot, node, method)
	if err != nil {
		return fmt.Errorf("node %s: %s: %w", id, method, err)
	}
	l.cfg.Log.Info("node rebooted", "node", id, "method", string(method))
	return nil
}

func (l *Ladder) reboot(ctx context.Context, s *registry.Snapshot, node *registry.Node, method states.Method) error {
	switch method {
	case states.MethodPowerOff:
		return l.powerOff(ctx, s, node, "POWEROFF")
	case states.MethodPowerOn:
		return l.powerOn(ctx, s, node)
	case states.MethodWakeup:
		return l.wake(ctx, s, node)
	case states.MethodLadder, states.MethodReal:
		return l.climb(ctx, s, node, method)
	}
	return l.powerCycle(ctx, s, node)
}

// climb goes from the gentlest way to reboot a node to the last one. The real
// method does not take a wakeup for a reboot.
func (l *Ladder) climb(ctx context.Context, s *registry.Snapshot, node *registry.Node, method states.Method) error {
	if method == states.MethodLadder {
		if states.State(s.State(node.ID).State).TakesOrders() {
			err := l.wake(ctx, s, node)
			if err == nil {
				return nil
			}
			l.cfg.Log.Warn("wakeup failed; switching power", "node", node.ID, "error", err)
		}
	}
	if down, err := l.softReboot(ctx, s, node); down || err != nil {
		return err
	}
	err := l.powerCycle(ctx, s, node)
	if method == states.MethodLadder && errors.Is(err, errNoPower) {
		l.call(ctx, s, node)
	}
	return err
}

// call asks a node without power control to ask again, wherever it is. It may
// wait in its loader although that is not recorded, since the appliance was
// killed after it had answered; in no other place does it listen.
func (l *Ladder) call(ctx context.Context, s *registry.Snapshot, node *registry.Node) {
	ip, server := node.ControlIP(), s.Site().BossIP
	if !ip.IsValid() || !server.IsValid() {
		return
	}
	if err := l.cfg.Wake(ctx, server, ip); err != nil {
		l.cfg.Log.Warn("order to a node without power control not sent", "node", node.ID, "error", err)
	}
}

// wake reports before it sends: the loader's next question must find
// PXEWAKEUP recorded.
func (l *Ladder) wake(ctx context.Context, s *registry.Snapshot, node *registry.Node) error {
	ip, server := node.ControlIP(), s.Site().BossIP
	if !ip.IsValid() || !server.IsValid() {
		return errors.New("wakeup needs the node's control address and the site's boss_ip")
	}
	if err := l.cfg.Reports.Report(ctx, node.ID, source, "PXEWAKEUP"); err != nil {
		return err
	}
	return l.cfg.Wake(ctx, server, ip)
}

// powerOnAttemptsMax is how often a node that was turned off is turned on
// again: its SHUTDOWN has ended the command, so that nothing else would.
const powerOnAttemptsMax = 3

// powerCycle turns off, reports, and turns on.
func (l *Ladder) powerCycle(ctx context.Context, s *registry.Snapshot, node *registry.Node) error {
	if err := l.powerOff(ctx, s, node, "SHUTDOWN"); err != nil {
		return err
	}
	var err error
	for range powerOnAttemptsMax {
		if err = l.setPower(ctx, node, true); err == nil || ctx.Err() != nil {
			return err
		}
		l.cfg.Log.Warn("node not powered on; trying again", "node", node.ID, "error", err)
	}
	return fmt.Errorf("%w: %w", stated.ErrLeftOff, err)
}

func (l *Ladder) powerOff(ctx context.Context, s *registry.Snapshot, node *registry.Node, state string) error {
	if err := l.setPower(ctx, node, false); err != nil {
		return err
	}
	if s.State(node.ID).State == state {
		return nil
	}
	return l.cfg.Reports.Report(ctx, node.ID, "power", state)
}

func (l *Ladder) powerOn(ctx context.Context, s *registry.Snapshot, node *registry.Node) error {
	if s.State(node.ID).State == "POWEROFF" {
		if err := l.cfg.Reports.Report(ctx, node.ID, "power", "SHUTDOWN"); err != nil {
			return err
		}
	}
	return l.setPower(ctx, node, true)
}

// RunScript implements stated.Actor. Names were checked when the tables were
// read; a script outside ScriptDir must be absolute.
func (l *Ladder) RunScript(ctx context.Context, node, script string) error {
	if l.cfg.ScriptDir == "" {
		return fmt.Errorf("node %s: script %s: no script folder is configured", node, script)
	}
	if !filepath.IsAbs(script) {
		script = filepath.Join(l.cfg.ScriptDir, script)
	}
	ctx, cancel := context.WithTimeout(ctx, scriptTimeout)
	defer cancel()
	if _, err := runCommand(ctx, script); err != nil {
		return fmt.Errorf("node %s: script %w", node, err)
	}
	return nil
}

// scriptTimeout ends a script that hangs; it holds a worker.
const scriptTimeout = 10 * time.Minute
