package pebblekv_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"hyzer/storage/kv"
	"hyzer/storage/kv/pebblekv"
)

func TestWatermark(t *testing.T) {
	t.Parallel()
	const watermark = 10 << 20
	var free atomic.Uint64
	free.Store(watermark + 1<<20)
	opts := quiet(vfs.NewMem())
	opts.WatermarkBytes = watermark
	opts.FreeBytes = func(dir string) (uint64, error) {
		if dir != "/db" {
			t.Errorf("asked for %s", dir)
		}
		return free.Load(), nil
	}
	s := mustOpen(t, opts)
	defer s.Close()
	del := func() error {
		_, err := s.Update(context.Background(), func(tx kv.Tx) error { return tx.Delete([]byte("a")) })
		return err
	}
	for _, step := range []struct {
		name  string
		free  uint64
		write func() error
		full  bool
	}{
		{"room", watermark + 1<<20, func() error { _, err := put(s, "a", nil); return err }, false},
		{"too large for the room", watermark + 1<<10, func() error { _, err := put(s, "b", make([]byte, 1<<10)); return err }, true},
		{"under", watermark - 1, func() error { _, err := put(s, "b", nil); return err }, true},
		{"deletion under", watermark - 1, del, false},
		{"room again", watermark + 1<<20, func() error { _, err := put(s, "a", nil); return err }, false},
		{"deletion under half", watermark/2 - 1, del, true},
		{"no change under half", 0, func() error {
			_, err := s.Update(context.Background(), func(tx kv.Tx) error { return tx.Delete([]byte("absent")) })
			return err
		}, false},
	} {
		free.Store(step.free)
		before := s.Revision()
		err := step.write()
		if errors.Is(err, kv.ErrDiskFull) != step.full || err != nil && !step.full {
			t.Errorf("%s: %v", step.name, err)
		}
		if step.full && s.Revision() != before {
			t.Errorf("%s: a refused write is revision %d", step.name, s.Revision())
		}
		if step.full && !strings.Contains(err.Error(), "/db has ") {
			t.Errorf("%s: the message names neither directory nor bytes: %v", step.name, err)
		}
		if err := s.View(context.Background(), func(kv.Reader) error { return nil }); err != nil {
			t.Errorf("%s: reads must go on: %v", step.name, err)
		}
	}
}

// TestWatermarkOff covers file systems that cannot tell, and -1.
func TestWatermarkOff(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(o *pebblekv.Options){
		"negative": func(o *pebblekv.Options) {
			o.WatermarkBytes = -1
			o.FreeBytes = func(string) (uint64, error) { return 0, nil }
		},
		"error": func(o *pebblekv.Options) {
			o.FreeBytes = func(string) (uint64, error) { return 0, errors.New("no statfs") }
		},
		"unsupported": func(o *pebblekv.Options) {},
	} {
		opts := quiet(vfs.NewMem())
		change(&opts)
		s := mustOpen(t, opts)
		for range 2 {
			if _, err := put(s, "a", nil); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestWatermarkOfFileSystem uses the answer of the file system, which is kept
// for a while, less what was written.
func TestWatermarkOfFileSystem(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: pebblekv.DefaultWatermarkBytes + 3<<20, TotalBytes: 1 << 30})
	s := mustOpen(t, quiet(mem))
	defer s.Close()
	var err error
	writes := 0
	for ; err == nil && writes < 10; writes++ {
		mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: pebblekv.DefaultWatermarkBytes + 3<<20 - uint64(writes)<<20, TotalBytes: 1 << 30})
		_, err = put(s, "a", make([]byte, 1<<19))
	}
	if !errors.Is(err, kv.ErrDiskFull) || writes > 4 {
		t.Errorf("write %d: %v", writes, err)
	}
}
