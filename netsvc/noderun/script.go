package noderun

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Exit statuses that are not a script's own, as shells and timeout(1) have them.
const (
	statusTimedOut   = 124
	statusNotStarted = 126
	statusNotFound   = 127
	statusSignalled  = 128 // and the signal's number
)

const (
	// drainWithin is how long the output of a script that has ended is read
	// before the next one starts. A daemon may hold it open for ever.
	drainWithin = time.Second
	// killAfter is what a script has left to clean up once told to end.
	killAfter   = 5 * time.Second
	outputBytes = 32 << 10 // read at once
)

// programs runs programs one after the other.
type programs struct {
	out     io.Writer // gets all output
	env     []string  // nil is this process's
	signals <-chan os.Signal
	timeout time.Duration // of each, 0 for none
	grace   time.Duration // between TERM and KILL

	copiers sync.WaitGroup
	pipes   []*os.File // reading ends that daemons may still write to
}

// end is how one went.
type end struct {
	status int
	reason string // "" after success
	signal os.Signal
}

// run runs one program in a process group of its own, without input, and
// passes signals on to the group.
func (p *programs) run(path string, args ...string) end {
	cmd := exec.Command(path, args...)
	cmd.Env = p.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	drained, err := p.start(cmd)
	if err != nil {
		status := statusNotStarted
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
			status = statusNotFound
		}
		return end{status: status, reason: err.Error()}
	}
	result := p.watch(cmd)
	select {
	case <-drained:
	case <-time.After(drainWithin):
	}
	return result
}

// start starts the program; drained is closed when nobody holds its output.
func (p *programs) start(cmd *exec.Cmd) (drained <-chan struct{}, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = w, w
	err = cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		return nil, err
	}
	done := make(chan struct{})
	p.pipes = append(p.pipes, r)
	p.copiers.Go(func() {
		defer close(done)
		defer r.Close()
		_, _ = io.CopyBuffer(struct{ io.Writer }{p.out}, struct{ io.Reader }{r}, make([]byte, outputBytes))
	})
	return done, nil
}

// watch waits for the program's end, or brings it about.
func (p *programs) watch(cmd *exec.Cmd) end {
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }() // watch returns only after it
	var late <-chan time.Time
	if p.timeout > 0 {
		timer := time.NewTimer(p.timeout)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case err := <-exited:
		return ended(err)
	case <-late:
		p.stop(cmd.Process.Pid, unix.SIGTERM, exited)
		return end{status: statusTimedOut, reason: fmt.Sprintf("still running after %v, stopped", p.timeout)}
	case s := <-p.signals:
		number, _ := s.(syscall.Signal)
		p.stop(cmd.Process.Pid, number, exited)
		return end{status: statusSignalled + int(number), reason: fmt.Sprintf("stopped: %v", s), signal: s}
	}
}

// stop sends a signal to the group, and kills what is left of it.
func (p *programs) stop(group int, signal syscall.Signal, exited <-chan error) {
	_ = unix.Kill(-group, signal)
	timer := time.NewTimer(p.grace)
	defer timer.Stop()
	gone := false
	select {
	case <-exited:
		gone = true
	case <-timer.C:
	}
	_ = unix.Kill(-group, unix.SIGKILL)
	if !gone {
		<-exited
	}
}

func ended(err error) end {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return end{}
	case !errors.As(err, &exit):
		return end{status: statusNotStarted, reason: err.Error()}
	case exit.ExitCode() < 0:
		signal := exit.Sys().(syscall.WaitStatus).Signal()
		return end{status: statusSignalled + int(signal), reason: fmt.Sprintf("killed: %v", signal)}
	}
	return end{status: exit.ExitCode(), reason: fmt.Sprintf("exit status %d", exit.ExitCode())}
}

// close stops reading output that daemons hold open.
func (p *programs) close() {
	for _, r := range p.pipes {
		r.Close()
	}
	p.copiers.Wait()
}
