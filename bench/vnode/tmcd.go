package vnode

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"hyzer/netsvc/tmcc"
)

// replyBytesMax bounds what tmcd may say.
const replyBytesMax = 4 << 20

// ask sends one command by TCP. While nobody answers at the other end it tries
// again, for ever, as tmcc does.
func (b *boot) ask(command string, body []byte) (string, error) {
	for {
		reply, err := b.tmcc(false, command, body)
		switch {
		case err == nil:
			b.remember(command, reply)
			return reply, nil
		case !serverAway(err):
			return "", fmt.Errorf("tmcc %s: %w", command, err)
		}
		b.log.line("tmcc %s: %v; trying again", command, err)
		if !b.pause(b.cfg.Timing.Retry) {
			return "", errPowerCut
		}
	}
}

// serverAway tells the errors of a server that is being started again (page
// tmcd, section 1, client port order).
func serverAway(err error) bool {
	for _, e := range []error{unix.ECONNREFUSED, unix.ECONNRESET, unix.EPIPE, unix.ETIMEDOUT, unix.EAGAIN, unix.EINTR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// tmcc makes one exchange.
func (b *boot) tmcc(udp bool, command string, body []byte) (string, error) {
	ctx, cancel := context.WithTimeout(b.ctx, b.cfg.Timing.Command)
	defer cancel()
	client := tmcc.Client{
		Server: b.cfg.Server.IP.String(), Ports: []uint16{b.cfg.Server.TMCD},
		Bind: b.cfg.IP, UDP: udp, Once: true,
	}
	var reply limited
	err := client.Do(ctx, tmcc.Request{Words: strings.Fields(command), Data: body}, &reply)
	return reply.text.String(), err
}

// limited keeps a reply that is not too long.
type limited struct{ text strings.Builder }

func (l *limited) Write(p []byte) (int, error) {
	if l.text.Len()+len(p) > replyBytesMax {
		return 0, fmt.Errorf("reply is over %d bytes", replyBytesMax)
	}
	return l.text.Write(p)
}

// report sends a state.
func (b *boot) report(state string) error {
	_, err := b.ask("state "+state, nil)
	if err == nil {
		b.log.line("reported %s", state)
	}
	return err
}

// isAlive asks by UDP, as the watchdog does, and reports whether accounts have
// changed.
func (b *boot) isAlive() (update bool, err error) {
	reply, err := b.tmcc(true, "isalive", nil)
	if err != nil {
		return false, fmt.Errorf("isalive: %w", err)
	}
	b.remember("isalive", reply)
	return reply == "UPDATE=1\n", nil
}
