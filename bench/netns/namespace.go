package netns

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrUnavailable is wrapped by errors that say what this machine lacks.
var ErrUnavailable = errors.New("network namespaces are not available")

// Namespace is one network namespace.
type Namespace struct {
	f *os.File
}

// New makes an empty namespace with its loopback up.
func New() (*Namespace, error) {
	n := &Namespace{}
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			if errors.Is(err, unix.EPERM) {
				return fmt.Errorf("%w: this needs root (CAP_SYS_ADMIN)", ErrUnavailable)
			}
			return fmt.Errorf("%w: unshare: %w", ErrUnavailable, err)
		}
		f, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		n.f = f
		err = LinkUp("lo")
		if errors.Is(err, unix.EPERM) { // containers' root
			return fmt.Errorf("%w: this needs CAP_NET_ADMIN", ErrUnavailable)
		}
		return err
	})
	if err == nil {
		return n, nil
	}
	if n.f != nil {
		n.f.Close()
	}
	return nil, err
}

// Close gives the namespace up. It goes when the last socket and process in it
// is gone.
func (n *Namespace) Close() error { return n.f.Close() }

// Do runs fn on a thread of its own in the namespace, and returns its error.
// Sockets that fn opens belong to the namespace for ever; goroutines that it
// starts do not run in it.
func (n *Namespace) Do(fn func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(n.f.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("entering a network namespace: %w", err)
		}
		return fn()
	})
}

// Start starts a process in the namespace.
func (n *Namespace) Start(cmd *exec.Cmd) error { return n.Do(cmd.Start) }

// Command runs a program in the namespace with that input, to its end. One that
// is not installed is ErrUnavailable; one that fails is an error with what it said.
func (n *Namespace) Command(input, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	if cmd.Err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, cmd.Err)
	}
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &out
	if err := n.Start(cmd); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s %s: %w: %.300s", name, strings.Join(args, " "), err, out.String())
	}
	return nil
}

// onThread runs fn on a new goroutine that keeps its thread, which ends with
// it: a thread whose namespace was changed must serve nobody else.
func onThread(fn func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked
		result <- fn()
	}()
	return <-result
}

// LinkUp turns an interface of the calling thread's namespace on.
func LinkUp(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return fmt.Errorf("interface %q: %w", name, err)
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, ifr); err != nil {
		return fmt.Errorf("flags of interface %s: %w", name, err)
	}
	ifr.SetUint16(ifr.Uint16() | unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr); err != nil {
		return fmt.Errorf("turning interface %s on: %w", name, err)
	}
	return nil
}
