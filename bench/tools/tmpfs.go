package tools

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Tmpfs mounts a file system in memory on the folder dir until the test ends,
// when nothing may be open in it. options are those of mount(8): size=1m.
func Tmpfs(t testing.TB, dir, options string) {
	t.Helper()
	err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options)
	if errors.Is(err, unix.EPERM) {
		t.Skip("filling a file system needs the right to mount one: run it as root, with CAP_SYS_ADMIN")
	}
	if err != nil {
		t.Fatal(os.NewSyscallError("mount", err))
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
}
