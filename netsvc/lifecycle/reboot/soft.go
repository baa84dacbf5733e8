package reboot

import (
	"context"
	"net"
	"net/netip"
	"time"

	"hyzer/netsvc/lifecycle/states"
	"hyzer/storage/registry"
)

// Times of asking a running system to reboot (page load, section 4). All of it
// and a power cycle behind it end before the command's own time-out, 75 s.
const (
	softProbes         = 2                // a second each, for a node that answers
	softOrderTimeout   = 20 * time.Second // of the order itself
	softSilenceTimeout = 30 * time.Second // from the order to silence
	softSilentProbes   = 3                // unanswered in a row: the node is down
)

// Soft asks the system that runs on a node to reboot. What it returns says little:
// the connection may end with the system. Silence is what counts.
type Soft interface {
	Reboot(ctx context.Context, node netip.Addr) error
}

// softReboot asks a node that answers pings to reboot, and reports whether it
// went down. A node that answers nothing, or does not go down, is left to its
// power control.
func (l *Ladder) softReboot(ctx context.Context, s *registry.Snapshot, node *registry.Node) (down bool, err error) {
	before, ip := *s.State(node.ID), node.ControlIP()
	if l.cfg.Soft == nil || before.State == "" || !ip.IsValid() || !l.answers(ctx, ip, softProbes) {
		return false, nil
	}
	order, cancel := context.WithTimeout(ctx, softOrderTimeout)
	err = l.cfg.Soft.Reboot(order, ip)
	cancel()
	l.cfg.Log.Debug("asked to reboot", "node", node.ID, "error", err)
	moved := func() bool { return l.cfg.Snapshot().State(node.ID).Life > before.Life }
	if !l.awaitSilence(ctx, ip, moved) {
		l.cfg.Log.Warn("node did not reboot when it was asked to; switching power", "node", node.ID, "error", err)
		return false, ctx.Err()
	}
	if moved() { // it said so itself, or boots already
		return true, nil
	}
	return true, l.cfg.Reports.Report(ctx, node.ID, source, string(states.StateShutdown))
}

// answers reports whether one of some pings is answered.
func (l *Ladder) answers(ctx context.Context, ip netip.Addr, probes int) bool {
	for range probes {
		if l.ping(ctx, ip) {
			return true
		}
	}
	return false
}

// awaitSilence waits until a node answers no more or has moved on, and reports
// whether it did.
func (l *Ladder) awaitSilence(ctx context.Context, ip netip.Addr, moved func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, softSilenceTimeout)
	defer cancel()
	for {
		if moved() {
			return true
		}
		if !l.answers(ctx, ip, softSilentProbes) {
			return ctx.Err() == nil
		}
		select {
		case <-time.After(pingInterval):
		case <-ctx.Done():
			return false
		}
	}
}

// ping reports whether a node answers a ping within a second.
func (l *Ladder) ping(ctx context.Context, ip netip.Addr) bool {
	if l.cfg.Ping != nil {
		return l.cfg.Ping(ctx, ip)
	}
	up, err := ping(ctx, net.IP(ip.AsSlice()), 0)
	if err != nil {
		l.cfg.Log.Debug("ping", "to", ip, "error", err)
	}
	return up
}

// SSH orders by the system's ssh program, as root, with a key of the site.
//
// Host keys are not checked: a load changes them, and what is said to whoever
// answers is one word that it could not use. Nothing is forwarded.
type SSH struct {
	Program string // "": ssh
	Key     string // file
}

// Reboot implements Soft.
func (c SSH) Reboot(ctx context.Context, node netip.Addr) error {
	program := c.Program
	if program == "" {
		program = "ssh"
	}
	args := []string{"-F", "/dev/null", "-i", c.Key, "-l", "root", "-n", "-T"}
	for _, option := range []string{
		"BatchMode=yes", "IdentitiesOnly=yes", "IdentityAgent=none", "ConnectTimeout=10", "ConnectionAttempts=1",
		"ServerAliveInterval=5", "ServerAliveCountMax=2", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null",
		"GlobalKnownHostsFile=/dev/null", "ForwardAgent=no", "ClearAllForwardings=yes", "LogLevel=ERROR",
	} {
		args = append(args, "-o", option)
	}
	_, err := runCommand(ctx, program, append(args, "--", node.String(), "/sbin/reboot")...)
	return err
}
