package appliance

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"hyzer/netsvc/control"
	"hyzer/netsvc/lifecycle/stated"
	"hyzer/netsvc/lifecycle/states"
	"hyzer/netsvc/tmcd"
	"hyzer/storage/bloblog"
)

func (a *Appliance) openTMCD() error {
	if len(a.cfg.TMCD.Listen) == 0 {
		return nil
	}
	secured, err := a.cfg.TMCD.TLS.config(a.log)
	if err != nil {
		return fmt.Errorf("tmcd: %w", err)
	}
	server, err := tmcd.New(tmcd.Config{
		WatchesMax: a.cfg.TMCD.WatchesMax,
		TLS:        secured, ImageKey: a.imageKeys.text, Addrs: a.cfg.TMCD.Listen, Snapshot: a.reg.Snapshot, Moved: a.reg.Moved, Log: a.log,
		Effects: &tmcd.Recorder{States: nodeStates{a.runner}, Registry: a.reg, Logs: a.logs(), Now: time.Now},
	})
	if err != nil {
		return err
	}
	a.wantLog = server.WantLog
	var addrs []string
	for _, addr := range server.Addrs() {
		addrs = append(addrs, addr.String())
	}
	a.add("tmcd", server.Run, addrs...)
	a.explain = append(a.explain, a.explainTMCD)
	return nil
}

// nodeStates is the state machine as tmcd sees it.
type nodeStates struct{ *stated.Runner }

// Reset implements tmcd.States.
func (n nodeStates) Reset(ctx context.Context, node string) error {
	return n.Control(ctx, node, string(states.SourceClient), states.ControlReset)
}

// logs is the store of boot logs.
func (a *Appliance) logs() *bloblog.Logs {
	limits := bloblog.DefaultLimits()
	if max := a.cfg.TMCD.BootLogBytesMax; max > 0 {
		limits.HeadBytes, limits.TailBytes = max/4, max-max/4
	}
	return bloblog.New(a.store, limits, nil)
}

// bootLogs is that store as operators read it.
type bootLogs struct{ logs *bloblog.Logs }

func (a *Appliance) bootLogs() control.BootLogs { return bootLogs{a.logs()} }

// List implements control.BootLogs.
func (b bootLogs) List(ctx context.Context, node string) ([]control.BootLog, error) {
	logs, err := b.logs.List(ctx, node)
	if err != nil {
		return nil, err
	}
	out := make([]control.BootLog, len(logs))
	for i, l := range logs {
		out[i] = control.BootLog{ID: strconv.FormatUint(l.Boot, 10), Began: l.Started, Bytes: l.Bytes, Closed: l.Closed}
	}
	return out, nil
}

// Copy implements control.BootLogs.
func (b bootLogs) Copy(ctx context.Context, node, id string, w io.Writer) error {
	boot := uint64(0)
	if id != "" {
		n, err := strconv.ParseUint(id, 10, 64)
		if err != nil {
			return err
		}
		boot = n
	}
	return b.logs.WriteTo(ctx, w, node, boot, 0)
}
