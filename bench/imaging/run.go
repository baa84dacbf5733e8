package imaging

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// run is one measurement. CPU is of all processes of a pipe. Memory is left
// out: the kernel counts that of the process that started them, too.
type run struct {
	wall, cpu time.Duration
	madeBytes int64
}

// errorTailBytes is how much of what a failed program said is kept.
const errorTailBytes = 300

// measure runs the peer once more. A peer that failed is not run again; only
// the end of the context is an error.
func (p *peer) measure(ctx context.Context, dir string) error {
	if p.err != nil || p.absent != "" {
		return nil
	}
	var text bytes.Buffer
	c := exec.CommandContext(ctx, "sh", "-c", p.command)
	c.Dir, c.Stdout, c.Stderr = dir, &text, &text
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // to stop pipes too
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	start := time.Now()
	err := c.Run()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		said := bytes.TrimSpace(text.Bytes())
		p.err = fmt.Errorf("%s, %s: %w: %s", p.task, p.name, err, said[max(0, len(said)-errorTailBytes):])
		return nil
	}
	r := run{wall: time.Since(start), cpu: c.ProcessState.UserTime() + c.ProcessState.SystemTime()}
	if p.made != "" {
		info, err := os.Stat(filepath.Join(dir, p.made))
		if err != nil {
			p.err = err
			return nil
		}
		r.madeBytes = info.Size()
	}
	p.runs = append(p.runs, r)
	return nil
}

// best is the run of least wall time.
func (p *peer) best() (run, bool) {
	if p.err != nil || len(p.runs) == 0 {
		return run{}, false
	}
	b := p.runs[0]
	for _, r := range p.runs[1:] {
		if r.wall < b.wall {
			b = r
		}
	}
	return b, true
}

// oursFailed is the failures of our programs.
func oursFailed(peers []*peer) error {
	var errs []error
	for _, p := range peers {
		if isOurs(p.name) && p.err != nil {
			errs = append(errs, p.err)
		}
	}
	return errors.Join(errs...)
}
