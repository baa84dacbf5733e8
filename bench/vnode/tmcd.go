package vnode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// tmcVersion is the protocol version the node speaks (page tmcd, section 3).
const tmcVersion = 44

// replyBytesMax bounds what tmcd may say.
const replyBytesMax = 4 << 20

// ask sends one command by TCP, as tmcc does: request, half-close, reply up to
// the end. While nobody answers at the other end it tries again, for ever. It is
// written here and not taken from the product's client, which a fault of the
// server's own reading would not show.
func (b *boot) ask(command string, body []byte) (string, error) {
	for {
		reply, err := b.askOnce(command, body)
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
	for _, e := range []error{unix.ECONNREFUSED, unix.ECONNRESET, unix.ETIMEDOUT, unix.EAGAIN, unix.EINTR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (b *boot) askOnce(command string, body []byte) (string, error) {
	ctx, cancel := context.WithTimeout(b.ctx, b.cfg.Timing.Command)
	defer cancel()
	return b.tmcc(ctx, command, body)
}

func (b *boot) tmcc(ctx context.Context, command string, body []byte) (string, error) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(b.cfg.IP, 0))}
	conn, err := d.DialContext(ctx, "tcp4", b.tmcd().String())
	if err != nil {
		return "", err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	request := append([]byte("VERSION="+strconv.Itoa(tmcVersion)+" "+command+" "), body...)
	if _, err := conn.Write(request); err != nil {
		return "", err
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		return "", err
	}
	reply, err := io.ReadAll(io.LimitReader(conn, replyBytesMax+1))
	switch {
	case err != nil && ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return "", err
	case len(reply) > replyBytesMax:
		return "", fmt.Errorf("reply is over %d bytes", replyBytesMax)
	}
	return string(reply), nil
}

func (b *boot) tmcd() netip.AddrPort {
	return netip.AddrPortFrom(b.cfg.Server.IP, b.cfg.Server.TMCD)
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
	p, err := openPort(b.ctx, netip.AddrPortFrom(b.cfg.IP, 0), "")
	if err != nil {
		return false, err
	}
	defer p.close()
	request := []byte("VERSION=" + strconv.Itoa(tmcVersion) + " isalive ")
	var reply string
	heard, err := p.exchange(func() []byte { return request }, b.tmcd(), []time.Duration{b.cfg.Timing.Command}, func(d []byte, from netip.AddrPort) bool {
		reply = string(d)
		return from == b.tmcd()
	})
	if err == nil && !heard {
		err = errors.New("isalive: no answer")
	}
	if heard {
		b.remember("isalive", reply)
	}
	return reply == "UPDATE=1\n", err
}
