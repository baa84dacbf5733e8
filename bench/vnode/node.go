package vnode

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Node is a machine. Its methods may be called from any goroutine.
type Node struct {
	cfg      Config
	faults   faults
	timeline timeline
	lives    atomic.Int64
	tell     sync.Mutex // one OnPhase at a time

	power  sync.Mutex // one change of power at a time
	mu     sync.Mutex // guards cutOff, ended, replies
	cutOff context.CancelFunc
	ended  chan struct{}

	replies map[string]string
}

// New makes a node that is off.
func New(cfg Config) (*Node, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, replies: map[string]string{}}
	n.timeline.last = Event{Node: cfg.Name, Phase: PhaseOff}
	return n, n.SetFault(cfg.FailAt)
}

// Name is the node's name.
func (n *Node) Name() string { return n.cfg.Name }

// SetFault injects a fault, see ParseFault, in place of the one there was.
func (n *Node) SetFault(text string) error {
	f, err := ParseFault(text)
	if err != nil {
		return fmt.Errorf("vnode %s: %w", n.cfg.Name, err)
	}
	n.faults.set(f)
	return nil
}

// PowerOn starts the firmware. A node that is on stays as it is.
func (n *Node) PowerOn() {
	n.power.Lock()
	defer n.power.Unlock()
	if n.IsOn() {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	n.mu.Lock()
	n.cutOff, n.ended = cancel, ended
	n.mu.Unlock()
	go func() {
		defer close(ended)
		err := n.cfg.Inside(func() error { return n.live(ctx) })
		if err != nil {
			n.cfg.Log.Error("virtual node broke", "node", n.cfg.Name, "error", err)
		}
	}()
}

// PowerOff cuts the power and returns when nothing of the node moves any more.
func (n *Node) PowerOff() {
	n.power.Lock()
	defer n.power.Unlock()
	n.mu.Lock()
	cutOff, ended := n.cutOff, n.ended
	n.mu.Unlock()
	if cutOff == nil {
		return
	}
	cutOff()
	<-ended
	n.mu.Lock()
	n.cutOff, n.ended = nil, nil
	n.mu.Unlock()
	n.event(Event{Phase: PhaseOff, Text: "power off"})
}

// IsOn reports whether the node has power, whatever it does with it.
func (n *Node) IsOn() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cutOff != nil
}

// Timeline lists what the node did, oldest first.
func (n *Node) Timeline() []Event { return n.timeline.list() }

// Last is what the node did last, with the progress of a load.
func (n *Node) Last() Event { return n.timeline.now() }

// Await waits until the node is in one of the phases and returns the event that
// says so. Phases that pass quickly may be missed; OnPhase misses none.
func (n *Node) Await(ctx context.Context, phases ...Phase) (Event, error) {
	for {
		last, changed := n.timeline.next()
		if slices.Contains(phases, last.Phase) {
			return last, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return last, fmt.Errorf("vnode %s: waiting for %v: last %s, %s: %w", n.cfg.Name, phases, last.Phase, last.Text, ctx.Err())
		}
	}
}

// Replies are the last answers of tmcd, by command.
func (n *Node) Replies() map[string]string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.replies)
}

func (n *Node) remember(command, reply string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.replies[command] = reply
}

// event completes an event and makes it known.
func (n *Node) event(e Event) {
	e.At, e.Node, e.Life = time.Now(), n.cfg.Name, int(n.lives.Load())
	n.timeline.add(e)
	if !e.Progress {
		n.cfg.Log.Debug("virtual node", "node", n.cfg.Name, "phase", string(e.Phase), "text", e.Text)
	}
	if n.cfg.OnPhase != nil {
		n.tell.Lock()
		defer n.tell.Unlock()
		n.cfg.OnPhase(e)
	}
}

// errPowerCut ends a life: the context was cancelled.
var errPowerCut = fmt.Errorf("power is cut: %w", context.Canceled)

// stage is one program on the machine. It returns the one it starts, or nil
// when the power is cut.
type stage func(*boot) stage

// boot is one life of a node, from the firmware to the next reset.
type boot struct {
	*Node
	ctx    context.Context
	lease  lease
	loader string // path of the memory file system
	log    bootLog
}

// live runs programs until the power is cut. A machine without power has no
// address either.
func (n *Node) live(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, n.unconfigureLink()) }()
	for {
		n.lives.Add(1)
		b := &boot{Node: n, ctx: ctx}
		b.phase(PhaseFirmware, "power on or reset of %s, MAC %s", n.cfg.Name, net.HardwareAddr(n.cfg.MAC[:]))
		for run := stage(firmware); run != nil; {
			run = run(b)
		}
		if !b.pause(n.cfg.Timing.Reset) {
			return nil
		}
	}
}

// event makes something known, also on the console, unless the power is cut: a
// dead machine says nothing.
func (b *boot) event(e Event) {
	if b.ctx.Err() != nil {
		return
	}
	if !e.Progress {
		b.log.line("%s: %s", e.Phase, e.Text)
	}
	b.Node.event(e)
}

func (b *boot) phase(p Phase, format string, args ...any) {
	b.event(Event{Phase: p, Text: fmt.Sprintf(format, args...)})
}

// reset ends this boot: the machine starts again.
func (b *boot) reset(format string, args ...any) stage {
	b.phase(PhaseFirmware, "reset: "+format, args...)
	return nil
}

// dead stays as it is until the power is cut.
func (b *boot) dead(format string, args ...any) stage {
	b.phase(PhaseFailed, format, args...)
	<-b.ctx.Done()
	return nil
}

// pause waits, and reports whether there is power still.
func (b *boot) pause(d time.Duration) bool {
	if d <= 0 {
		return b.ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-b.ctx.Done():
		return false
	}
}

// at enters a step. It returns true if an injected failure strikes; a hang
// lasts until the power is cut.
func (b *boot) at(s Step) (fails bool) {
	switch b.faults.strike(s) {
	case kindFail:
		return true
	case kindHang:
		b.phase(PhaseHung, "hangs at %s", s)
		<-b.ctx.Done()
	}
	return false
}
