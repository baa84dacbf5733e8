package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/netsvc/appliance"
	"hyzer/netsvc/control"
)

// Limits of an appliance that is a process.
const (
	readyTimeout = 30 * time.Second
	readyPause   = 20 * time.Millisecond
	stopTimeout  = 30 * time.Second
	logBytesMax  = 64 << 10 // of its log that errors show
)

// running is an appliance that was started.
type running interface {
	// stop ends it in order; kill as a crash does, and is refused within the
	// process.
	stop() error
	kill() error
}

// StartAppliance runs the appliance, after StopAppliance or KillAppliance again
// with the data and ports that it had.
func (l *Lab) StartAppliance(ctx context.Context) (err error) {
	if l.opts.Daemon == nil {
		l.appliance, err = startHere(ctx, l)
	} else {
		l.appliance, err = l.startProcess()
	}
	if err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	l.Control = control.Dial(l.Config.Control)
	return l.ready(ctx)
}

// ready waits until the appliance answers.
func (l *Lab) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		err := l.Control.Call(ctx, http.MethodGet, "/v1/status", nil, nil)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("lab: appliance is not ready after %v: %w", readyTimeout, err)
		case <-time.After(readyPause):
		}
	}
}

// StopAppliance stops the appliance; nodes and chassis go on.
func (l *Lab) StopAppliance() error { return l.endAppliance(running.stop) }

// KillAppliance kills the appliance's process, as a crash does.
func (l *Lab) KillAppliance() error { return l.endAppliance(running.kill) }

func (l *Lab) endAppliance(end func(running) error) error {
	if l.appliance == nil {
		return nil
	}
	a := l.appliance
	l.appliance = nil
	return end(a)
}

// here is an appliance in this process.
type here struct {
	cancel context.CancelFunc
	ended  chan error
}

func startHere(ctx context.Context, l *Lab) (running, error) {
	a, err := appliance.New(ctx, l.Config, l.opts.Log)
	if err != nil {
		return nil, err
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	h := here{cancel, make(chan error, 1)}
	go func() { h.ended <- a.Run(run) }()
	return h, nil
}

func (h here) stop() error {
	h.cancel()
	return <-h.ended
}

func (h here) kill() error {
	return errors.Join(errors.New("an appliance within the process cannot be killed; set Options.Daemon"), h.stop())
}

// process is an appliance of its own.
type process struct {
	cmd *exec.Cmd
	log *bytes.Buffer
}

// startProcess writes the configuration, which as JSON is YAML too, and starts
// the daemon in the server's namespace.
func (l *Lab) startProcess() (running, error) {
	config := filepath.Join(l.opts.Dir, "hyzerd.yaml")
	text, err := json.MarshalIndent(l.Config, "", "  ")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(config, text, 0o644); err != nil {
		return nil, err
	}
	p := process{l.opts.Daemon(config), &bytes.Buffer{}}
	if p.cmd.Stderr == nil {
		p.cmd.Stderr = p.log
	}
	start := p.cmd.Start
	if l.Network != nil {
		start = func() error { return l.Network.Server.Start(p.cmd) }
	}
	return p, start()
}

func (p process) stop() error {
	if err := p.cmd.Process.Signal(unix.SIGTERM); err != nil {
		return errors.Join(err, p.cmd.Wait())
	}
	late := time.AfterFunc(stopTimeout, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	if err := p.cmd.Wait(); err != nil {
		text := p.log.Bytes()
		return fmt.Errorf("appliance: %w: its log ends with\n%s", err, text[max(0, len(text)-logBytesMax):])
	}
	return nil
}

func (p process) kill() error {
	err := p.cmd.Process.Kill()
	var exit *exec.ExitError
	if waitErr := p.cmd.Wait(); !errors.As(waitErr, &exit) {
		err = errors.Join(err, waitErr)
	}
	return err
}
