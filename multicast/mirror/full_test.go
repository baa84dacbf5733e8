package mirror

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"hyzer/multicast/master"
	"hyzer/multicast/wire"
)

// TestDiskFull: on a file system that has no room for an image, clients are
// told to ask again, nothing is left of the fetch and what was there stays.
// Once there is room, the image is fetched.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	const roomBytes = 4 << 20
	err := unix.Mount("tmpfs", f.cfg.Dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, fmt.Sprintf("size=%d", roomBytes))
	if errors.Is(err, unix.EPERM) {
		t.Skip("mounting a tmpfs needs root (CAP_SYS_ADMIN)")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.Close() // files of a fetch are open
		if err := unix.Unmount(f.cfg.Dir, 0); err != nil {
			t.Error(err)
		}
	})
	other := filepath.Join(f.cfg.Dir, "other")
	if err := os.WriteFile(other, make([]byte, roomBytes-1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	data := f.publish(t, 2<<20+77, 1000)
	for try := range 2 {
		_, err := f.Lookup(t.Context(), node, "pid/image")
		var busy *master.Busy // with the size, as the C subboss answers
		if !errors.Is(err, wire.MasterTryAgain) || !errors.As(err, &busy) || busy.FileBytes != uint64(len(data)) {
			t.Errorf("try %d: %v, %+v, want %v", try, err, busy, wire.MasterTryAgain)
		}
		f.all.Wait()
		left, err := os.ReadDir(f.cfg.Dir)
		if err != nil || len(left) != 1 || left[0].Name() != "other" {
			t.Errorf("try %d: files %v, %v", try, left, err)
		}
		f.lock.Lock()
		if f.retryAt["pid/image"].IsZero() {
			t.Errorf("try %d: the failure was not noted", try)
		}
		clear(f.retryAt) // as after fetchRetry
		f.lock.Unlock()
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	f.want(t, data)
}
