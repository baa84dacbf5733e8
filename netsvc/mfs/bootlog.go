package mfs

import (
	"context"
	"time"

	"hyzer/netsvc/tmcc/framed"
)

const (
	// logWithin bounds sending the log of a failure, beside which there is
	// nothing left to do.
	logWithin = 30 * time.Second
	// logWithinBoot bounds it where a boot goes on after it.
	logWithinBoot = 10 * time.Second
)

// bootLog is the machine's log on its way to the server while it grows.
type bootLog struct {
	*framed.LogWriter
	client *framed.Client
}

// openLog begins to send the log, from its first line. A machine does so once
// it has something to do: of those that wait there may be thousands, and each
// log that is open is a connection.
func (m *machine) openLog(ctx context.Context) {
	c, err := m.tmcd().Framed(ctx)
	if err != nil {
		m.log.Warn("the log is sent at its end", "error", err)
		return
	}
	c.BootID = framed.NewBootID()
	m.sending = &bootLog{c.NewLog(), c}
	m.journal.Also(m.sending)
}

// endLog returns when the server has all of the log, and takes no more. It is
// sent whole to a server that does not take it while it grows, or has not got
// all of it within half the time.
func (m *machine) endLog(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if live := m.sending; live != nil {
		m.sending = nil
		half, stop := context.WithTimeout(ctx, within/2)
		defer stop()
		err := live.Close(half)
		_ = live.client.Close()
		if err == nil {
			return nil
		}
	}
	_, err := m.send(ctx, "bootlog", m.journal.Bytes())
	return err
}

// dropLog stops sending a log that was not ended.
func (m *machine) dropLog() {
	if m.sending == nil {
		return
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_ = m.sending.Close(ended) // which says that it ended so
	_ = m.sending.client.Close()
	m.sending = nil
}

// logBefore has the log stored before something after which the machine is no
// more what it was. It waits for that only so long: a boot does not depend on
// its log.
func (m *machine) logBefore(ctx context.Context, what string) {
	m.log.Info("the log ends here", "before", what)
	if err := m.endLog(ctx, logWithinBoot); err != nil {
		m.log.Warn("the log is not stored", "error", err)
	}
}
