package mfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// switchRoot mounts the system that root= names and becomes its init.
func (m *machine) switchRoot(ctx context.Context) error {
	device := m.params.get("root")
	if !strings.HasPrefix(device, "/dev/") {
		return fmt.Errorf("root=%s: want a device in /dev", device)
	}
	if err := awaitFile(ctx, device); err != nil {
		return err
	}
	var flags uintptr = unix.MS_RDONLY
	if m.params.has("rw") {
		flags = 0
	}
	if err := mountSystem(device, systemDir, flags); err != nil {
		return err
	}
	for _, v := range virtual {
		err := unix.Mount(v.path, filepath.Join(systemDir, v.path), "", unix.MS_MOVE, "")
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("moving %s: %w", v.path, err)
		}
	}
	if err := unix.Chdir(systemDir); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("moving the root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("chroot: %w", err)
	}
	program := m.params.get("init")
	if program == "" {
		program = "/sbin/init"
	}
	m.log.Info("starting init", "root", device, "program", program)
	return &os.PathError{Op: "exec", Path: program, Err: unix.Exec(program, []string{program}, os.Environ())}
}

// awaitFile waits for a device to appear.
func awaitFile(ctx context.Context, path string) error {
	for end := time.Now().Add(diskWait); ; {
		_, err := os.Stat(path)
		if err == nil || time.Now().After(end) {
			return err
		}
		if err := pause(ctx, diskPoll); err != nil {
			return err
		}
	}
}
