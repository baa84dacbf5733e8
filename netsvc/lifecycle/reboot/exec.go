package reboot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"hyzer/storage/registry"
)

// Exec runs the operator's command, Power.Address, with the arguments "on",
// "off" or "status" and the outlet. For status it prints "on" or "off". There
// is no shell between.
type Exec struct{}

// SetPower implements Driver.
func (Exec) SetPower(ctx context.Context, target registry.Power, on bool) error {
	_, err := run(ctx, target, map[bool]string{true: "on", false: "off"}[on])
	return err
}

// IsOn implements Driver.
func (Exec) IsOn(ctx context.Context, target registry.Power) (bool, error) {
	out, err := run(ctx, target, "status")
	if err != nil {
		return false, err
	}
	switch state := strings.TrimSpace(out); state {
	case "on":
		return true, nil
	case "off":
		return false, nil
	default:
		return false, fmt.Errorf("%s status %s: printed %.40q, want on or off", target.Address, target.Outlet, state)
	}
}

func run(ctx context.Context, target registry.Power, verb string) (string, error) {
	return runCommand(ctx, target.Address, verb, target.Outlet)
}

// Limits of a command: what it prints is kept up to outputBytesMax, and a child
// that it leaves behind holds its output open for commandGrace at most.
const (
	outputBytesMax = 64 << 10
	commandGrace   = 2 * time.Second
)

// runCommand runs a command in a process group of its own, which ends with ctx.
func runCommand(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = commandGrace
	var out, errs boundedBuffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // it did its work and left a child
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w: %.200s", strings.Join(append([]string{name}, args...), " "), err, errs.String())
	}
	return out.String(), nil
}

// boundedBuffer keeps the first outputBytesMax bytes and swallows the rest.
type boundedBuffer struct{ bytes.Buffer }

func (b *boundedBuffer) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), outputBytesMax-b.Len())])
	return len(p), nil
}
