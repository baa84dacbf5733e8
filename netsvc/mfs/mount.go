package mfs

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// virtual are the kernel's own file systems that everything needs.
var virtual = [...]struct{ kind, path string }{
	{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"},
}

// mountVirtual mounts them where they are not mounted yet.
func mountVirtual() error {
	for _, v := range virtual {
		if err := os.MkdirAll(v.path, 0o755); err != nil && !errors.Is(err, unix.EROFS) {
			return err
		}
		err := unix.Mount(v.kind, v.path, v.kind, unix.MS_NOSUID, "")
		if err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mounting %s: %w", v.path, err)
		}
	}
	return nil
}

// inMemory reports whether a path is on a file system in memory. The kernel's
// first one is ramfs or tmpfs.
func inMemory(path string) (bool, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return false, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	return s.Type == unix.RAMFS_MAGIC || s.Type == unix.TMPFS_MAGIC, nil
}

// mountSystem mounts a file system of any type that the kernel knows.
func mountSystem(device, dir string, flags uintptr) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	known, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		return err
	}
	var errs []error
	for _, kind := range diskTypes(string(known)) {
		err := unix.Mount(device, dir, kind, flags, "")
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("as %s: %w", kind, err))
	}
	return fmt.Errorf("mounting %s: %w", device, errors.Join(errs...))
}

// diskTypes are the file systems for disks among the kernel's. ext4 comes
// first: the older names of it complain of every new feature.
func diskTypes(known string) (types []string) {
	for line := range strings.Lines(known) {
		kind, virtual := strings.TrimSpace(line), strings.HasPrefix(line, "nodev")
		switch {
		case virtual || kind == "":
		case kind == "ext4":
			types = append([]string{kind}, types...)
		default:
			types = append(types, kind)
		}
	}
	return types
}
