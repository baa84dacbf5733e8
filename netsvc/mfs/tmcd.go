package mfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"hyzer/netsvc/tmcc"
)

const (
	// commandTimeout ends an exchange that makes no progress.
	commandTimeout = 30 * time.Second
	// replyBytesMax bounds what tmcd may say.
	replyBytesMax = 4 << 20
	// bootErrno is what is reported of a boot that failed (page tmcd,
	// section 5).
	bootErrno = "1"
)

// tmcd is its client.
func (m *machine) tmcd() *tmcc.Client {
	return &tmcc.Client{Server: m.net.lease.Next.String(), Ports: m.ports, Bind: m.net.lease.IP, TLS: m.tls, Timeout: commandTimeout}
}

// ask makes one exchange with tmcd.
func (m *machine) ask(ctx context.Context, command string) (string, error) {
	return m.send(ctx, command, nil)
}

func (m *machine) send(ctx context.Context, command string, data []byte) (string, error) {
	reply := limited{max: replyBytesMax}
	if err := m.tmcd().Do(ctx, tmcc.Request{Words: strings.Fields(command), Data: data}, &reply); err != nil {
		return "", fmt.Errorf("tmcc %s: %w", command, err)
	}
	return reply.String(), nil
}

// limited is a buffer with a bound.
type limited struct {
	bytes.Buffer
	max int
}

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > l.max {
		return 0, fmt.Errorf("reply is over %d bytes", l.max)
	}
	return l.Buffer.Write(p)
}

// failed tells the server: the log, the number, and the state that ends its
// waiting, in the order of rc.bootsetup (page tmcd, section 5). Each is tried
// whatever became of the others.
func (m *machine) failed(ctx context.Context, cause error) error {
	m.log.Error("failed", "error", cause)
	logErr := m.endLog(ctx, logWithin)
	_, errnoErr := m.ask(ctx, "booterrno "+bootErrno)
	_, stateErr := m.ask(ctx, "state TBFAILED")
	return errors.Join(logErr, errnoErr, stateErr)
}
