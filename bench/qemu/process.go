package qemu

import (
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"

	"hyzer/bench/netns"
)

// stopTimeout is how long a process may take to end when it is asked to.
const stopTimeout = 30 * time.Second

// process is a child that dies with us.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
	err   error // valid when ended is closed
}

// start runs a command in a namespace. The thread that starts it lives as long
// as the child: the kernel kills the child when that thread ends.
// onEnd is called when it has ended.
func start(in *netns.Namespace, cmd *exec.Cmd, onEnd func(error)) (*process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p := &process{cmd: cmd, ended: make(chan struct{})}
	started := make(chan bool, 1)
	go func() {
		defer close(p.ended)
		defer close(started)
		p.err = in.Do(func() error {
			if err := cmd.Start(); err != nil {
				return err
			}
			started <- true
			err := cmd.Wait()
			onEnd(err)
			return err
		})
	}()
	if !<-started {
		<-p.ended
		return nil, fmt.Errorf("%s: %w", cmd.Path, p.err)
	}
	return p, nil
}

// stop asks the process to end, and returns how it did.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.ended:
		return p.err
	case <-time.After(stopTimeout):
		p.kill()
		return fmt.Errorf("%s did not stop in %v", p.cmd.Path, stopTimeout)
	}
}

// kill ends the process and waits for that.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// killed reports whether an error is that of a process we killed.
func killed(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}
