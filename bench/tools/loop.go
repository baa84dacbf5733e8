package tools

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// Loop makes a loop device of a file until the test ends.
func Loop(t testing.TB, path string) (device string, detach func()) {
	t.Helper()
	return LoopSectors(t, path, 512)
}

// LoopSectors is Loop with sectors of so many bytes.
func LoopSectors(t testing.TB, path string, sectorBytes int) (device string, detach func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can make loop devices")
	}
	losetup := Find(t, "losetup", "mount")
	out, err := Try(losetup, "-f", "--show", "-b", strconv.Itoa(sectorBytes), path)
	if err != nil {
		t.Skipf("this kernel has no loop devices: %s", out)
	}
	device = strings.TrimSpace(out)
	attached := true
	detach = func() {
		if attached {
			attached = false
			Run(t, losetup, "-d", device)
		}
	}
	t.Cleanup(detach)
	return device, detach
}
