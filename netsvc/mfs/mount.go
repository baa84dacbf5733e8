package mfs

import (
	"errors"
	"fmt"
	"os"

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
