package mfs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/netsvc/journal"
	"hyzer/netsvc/tmcc"
)

// Times of the machine's life.
const (
	// failurePause leaves a message on the console before the machine reboots.
	failurePause = 10 * time.Second
	// rebootWait is how long the server has to reboot a loaded or failed node
	// before it does so itself (page load, section 6).
	rebootWait = 300 * time.Second
)

// Main is /init. As process 1 it does not return.
func Main(_ []string, _ io.Reader, _, errs io.Writer) int {
	if os.Getpid() != 1 {
		fmt.Fprintln(errs, "init: this is the first program of a memory file system; the kernel starts it")
		return 1
	}
	m := newMachine(errs)
	err := m.live(context.Background())
	m.log.Error("the machine reboots", "error", err)
	time.Sleep(failurePause)
	m.reboot()
	return 1 // the kernel panics, and reboots with panic= on its command line
}

// machine is the node that this runs on.
type machine struct {
	log     *slog.Logger
	journal *journal.Journal
	params  params
	net     network
	sending *bootLog    // nil: the log is not being sent
	ports   []uint16    // of tmcd; usual ones if there are none
	tls     *tls.Config // to speak with tmcd; nil: in clear
}

func newMachine(console io.Writer) *machine {
	j := journal.InMemory()
	return &machine{log: slog.New(slog.NewTextHandler(io.MultiWriter(console, j), nil)), journal: j}
}

// live does what the kernel was started for. It returns only errors.
func (m *machine) live(ctx context.Context) error {
	if err := mountVirtual(); err != nil {
		return err
	}
	cmdline, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	m.params = parseParams(string(cmdline))
	if m.tls, err = tmcc.Certificates(""); err != nil {
		return err
	}
	memory, err := inMemory("/")
	switch {
	case err != nil:
		return err
	case !memory:
		return m.system(ctx)
	}
	if err := m.loadModules(modulesFile); err != nil {
		return err
	}
	if m.params.get("root") != "" {
		return m.switchRoot(ctx)
	}
	return m.memoryFS(ctx)
}

// reboot resets the machine; it returns only if the kernel refuses.
func (m *machine) reboot() {
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART); err != nil {
		m.log.Error("reboot", "error", err)
	}
}

// errStillRunning says that the kernel did not do what was asked of it last.
var errStillRunning = errors.New("the kernel goes on although it was to reboot")

// pause waits unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
