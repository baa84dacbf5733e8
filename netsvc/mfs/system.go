package mfs

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// aliveInterval is how often the watchdog reports.
const aliveInterval = 180 * time.Second

// issueFile is what a system says of itself.
const issueFile = "/etc/issue"

// system is the system on the disk: it reports what rc.bootsetup does, applies
// nothing, and stays.
func (m *machine) system(ctx context.Context) error {
	if issue, err := os.ReadFile(issueFile); err == nil {
		m.log.Info("system on the disk", "issue", strings.TrimSpace(string(issue)))
	}
	ctx, cancel := context.WithCancel(ctx)
	var lease sync.WaitGroup
	defer lease.Wait()
	defer cancel()
	if err := m.connect(ctx); err != nil {
		return err
	}
	lease.Go(func() { m.keepLease(ctx) })
	m.openLog(ctx)
	defer m.dropLog()
	if err := m.setUp(ctx); err != nil {
		return m.giveUp(ctx, err)
	}
	m.log.Info("the system is up")
	for pause(ctx, aliveInterval) == nil {
		if _, err := m.ask(ctx, "isalive"); err != nil {
			m.log.Warn("watchdog", "error", err)
		}
	}
	return context.Cause(ctx)
}

// setUp tells the server that the system boots, asks who it is, and ends with
// ISUP.
func (m *machine) setUp(ctx context.Context) error {
	if _, err := m.ask(ctx, "state TBSETUP"); err != nil {
		return err
	}
	status, err := m.ask(ctx, "status")
	if err != nil {
		return err
	}
	status = strings.TrimSpace(status)
	if status != "FREE" && !strings.HasPrefix(status, "ALLOCATED=") {
		return fmt.Errorf("tmcd does not know this node: status is %.80q", status)
	}
	m.log.Info("status", "status", status)
	if _, err := m.ask(ctx, "isalive"); err != nil {
		return err
	}
	m.logBefore(ctx, "ISUP")
	_, err = m.ask(ctx, "state ISUP")
	return err
}
