package mirror

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"hyzer/bench/tools"
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
	mountTmpfs(t, f, roomBytes)
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
		if list := f.parent.List(); len(list) != 0 {
			t.Errorf("try %d: the parent was asked to send %+v", try, list)
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

// TestEvictOnDisk: on a file system that has room for one image, the one that
// was not used for longer goes for the next, unless it is being sent.
func TestEvictOnDisk(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	mountTmpfs(t, f, 4<<20)
	sent := true
	f.UsedBy(func(string) bool { return sent })
	f.want(t, f.publish(t, 5<<19, 1000))
	first, err := f.path("pid/image")
	if err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-2 * recentUse)
	if err := os.Chtimes(first, long, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(f.parentDir, "image"), filepath.Join(f.parentDir, "next")); err != nil {
		t.Fatal(err)
	}
	for _, sent = range []bool{true, false} {
		if _, err := f.Lookup(t.Context(), node, "pid/next"); !errors.Is(err, wire.MasterTryAgain) {
			t.Errorf("sent %v: %v", sent, err)
		}
		f.all.Wait()
		if _, err := os.Stat(first); (err == nil) != sent {
			t.Errorf("sent %v: the first image: %v", sent, err)
		}
		f.lock.Lock()
		clear(f.retryAt) // as after fetchRetry
		f.lock.Unlock()
	}
	if _, err := f.Lookup(t.Context(), node, "pid/next"); err != nil {
		t.Error(err)
	}
}

// TestTooLarge: an image that can never be kept is refused.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	f.cfg.BytesMax = 4999
	f.publish(t, 5000, 1000)
	if _, err := f.Lookup(t.Context(), node, "pid/image"); !errors.Is(err, wire.MasterFailed) || !errors.Is(err, errNoRoom) {
		t.Error(err)
	}
}

// mountTmpfs gives a mirror a file system of its own.
func mountTmpfs(t *testing.T, f *family, bytes int64) {
	t.Helper()
	tools.Tmpfs(t, f.cfg.Dir, fmt.Sprintf("size=%d", bytes))
	t.Cleanup(func() { f.Close() }) // files of a fetch are open
}
