package vnode

import (
	"errors"
	"fmt"
	"strings"
)

// adminMFS is the memory file system that operators work in.
func adminMFS(b *boot) stage {
	if err := b.report("MFSSETUP"); err != nil {
		return b.dead("admin MFS: %v", err)
	}
	if err := b.report("ISUP"); err != nil {
		return b.dead("admin MFS: %v", err)
	}
	b.phase(PhaseUp, "admin MFS is up")
	return b.stayUp()
}

// system is the operating system on the disk with Emulab's client side.
func system(b *boot) stage {
	if !b.pause(b.cfg.Timing.Boot) {
		return nil
	}
	b.phase(PhaseSetup, "configuring")
	if err := b.configure(); err != nil {
		return b.setupFails(err)
	}
	if b.at(StepISUP) {
		return b.dead("everything is done, but the last report is never sent")
	}
	if err := b.report("ISUP"); err != nil {
		return b.setupFails(err)
	}
	b.phase(PhaseUp, "the system is up")
	return b.stayUp()
}

// bootErrno is what rc.bootsetup reports for a step that failed.
const bootErrno = "1"

// setupFails does what rc.bootsetup does: log, then errno, then the state that
// ends the waiting (page tmcd, section 5).
func (b *boot) setupFails(err error) stage {
	b.log.line("*** rc.bootsetup: %v", err)
	if b.ctx.Err() != nil {
		return nil
	}
	for _, c := range []struct {
		command string
		body    []byte
	}{{"bootlog", b.log.bytes()}, {"booterrno " + bootErrno, nil}, {"state TBFAILED", nil}} {
		if _, e := b.ask(c.command, c.body); e != nil {
			err = errors.Join(err, e)
		}
	}
	return b.dead("boot failed: %v", err)
}

// setupCommands are what the system asks at boot, in this order.
var setupCommands = [...]string{
	"ifconfig", "accounts", "mounts", "hostnames", "routing", "localization", "rpms", "tarballs", "startupcmd",
}

// configure is rc.bootsetup up to the last report.
func (b *boot) configure() error {
	if err := b.report("TBSETUP"); err != nil {
		return err
	}
	status, err := b.ask("status", nil)
	if err != nil {
		return err
	}
	b.log.line("status: %s", status)
	if strings.TrimSpace(status) == "FREE" {
		return nil
	}
	if !strings.HasPrefix(status, "ALLOCATED=") {
		return fmt.Errorf("tmcd does not know this node: status is %.80q", status)
	}
	if b.cfg.FullConfig {
		if err := b.fullConfig(); err != nil {
			return err
		}
	}
	for _, command := range setupCommands {
		if err := b.setUp(command); err != nil {
			return err
		}
	}
	if _, err := b.isAlive(); err != nil {
		b.log.line("watchdog: %v", err) // the next one will do
	}
	return nil
}

// setUp gets one part of the configuration and applies what a node without
// users has to apply.
func (b *boot) setUp(command string) error {
	reply, err := b.ask(command, nil)
	if err != nil {
		return err
	}
	b.log.line("%s: %d lines\n%s", command, strings.Count(reply, "\n"), reply)
	if command == "mounts" && b.at(StepTBSetup) {
		return fmt.Errorf("mounting %s: connection timed out", firstMount(reply))
	}
	return nil
}

func firstMount(reply string) string {
	for line := range strings.Lines(reply) {
		if remote, ok := strings.CutPrefix(line, "REMOTE="); ok {
			name, _, _ := strings.Cut(remote, " ")
			return name
		}
	}
	return "the shared directories"
}

// fullConfig asks for everything at once and keeps it as the cache that
// libtmcc makes of it.
func (b *boot) fullConfig() error {
	reply, err := b.ask("fullconfig", nil)
	if err != nil {
		return err
	}
	parts, err := ParseFullConfig(reply)
	if err != nil {
		return err
	}
	for command, text := range parts {
		b.remember(command, text)
	}
	b.log.line("fullconfig: %d parts, %d bytes", len(parts), len(reply))
	return nil
}

// ParseFullConfig splits a fullconfig reply into the replies of its commands:
// each stands between two lines "*** command".
func ParseFullConfig(reply string) (map[string]string, error) {
	parts := map[string]string{}
	open := ""
	var body strings.Builder
	for line := range strings.Lines(reply) {
		name, marks := strings.CutPrefix(strings.TrimRight(line, "\n"), "*** ")
		switch {
		case open == "" && !marks:
			return nil, fmt.Errorf("fullconfig: %.60q stands outside of any command", line)
		case open == "":
			open = name
			body.Reset()
		case marks && name == open:
			parts[open], open = body.String(), ""
		default:
			body.WriteString(line)
		}
	}
	if open != "" {
		return nil, fmt.Errorf("fullconfig: command %.40q does not end", open)
	}
	return parts, nil
}

// stayUp is a running system: it sends signs of life and follows accounts.
func (b *boot) stayUp() stage {
	for b.pause(b.cfg.Timing.Alive) {
		update, err := b.isAlive()
		switch {
		case err != nil:
			b.log.line("watchdog: %v", err)
		case update:
			if _, err := b.ask("accounts", nil); err == nil {
				b.phase(PhaseUp, "accounts updated")
			}
		}
	}
	return nil
}
