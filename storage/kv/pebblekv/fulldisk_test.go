package pebblekv_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"hyzer/bench/tools"
	"hyzer/storage/kv"
	"hyzer/storage/kv/pebblekv"
)

// fillDisk makes a file that leaves that many bytes free.
func fillDisk(t *testing.T, name string, leave int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 1<<16)
	for {
		var st unix.Statfs_t
		if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
			t.Fatal(err)
		}
		room := int64(st.Bavail)*st.Bsize - leave
		if room <= 0 {
			return
		}
		if _, err := f.Write(block[:min(room, int64(len(block)))]); errors.Is(err, unix.ENOSPC) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// TestFullFromOutside fills the disk by a stranger's file, first to under the
// watermark, then wholly.
func TestFullFromOutside(t *testing.T) {
	t.Parallel()
	disk := t.TempDir()
	tools.Tmpfs(t, disk, "size=32m")
	s, err := pebblekv.Open(filepath.Join(disk, "db"), childOptions())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := put(s, "before", childValue(0, 0)); err != nil {
		t.Fatal(err)
	}
	for _, leave := range []int64{childWatermark - 1, 0} {
		fillDisk(t, filepath.Join(disk, "ballast"), leave)
		// An answer of statfs stands for a while, so some writes may go on.
		refused := 0
		for writes := 0; refused < 100 && writes < 10_000; writes++ {
			switch _, err := put(s, "during", nil); {
			case errors.Is(err, kv.ErrDiskFull):
				refused++
			case err != nil || refused > 0:
				t.Fatalf("%d bytes free: write %d, after %d refused: %v", leave, writes, refused, err)
			}
		}
		if refused == 0 {
			t.Fatalf("%d bytes free: no write was refused", leave)
		}
		if err := s.View(context.Background(), func(r kv.Reader) error { _, err := r.Get([]byte("before")); return err }); err != nil {
			t.Errorf("reads must go on: %v", err)
		}
	}
	if err := os.Remove(filepath.Join(disk, "ballast")); err != nil {
		t.Fatal(err)
	}
	if _, err := put(s, "after", nil); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestFullDisk lets a process fill the disk by its own writes, then a stranger
// takes the rest, and the process is killed.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	disk := t.TempDir()
	tools.Tmpfs(t, disk, "size=40m")
	dir, ballast := filepath.Join(disk, "db"), filepath.Join(disk, "ballast")
	c := startChild(t, dir, [childWriters]int{})
	c.read(t, func() bool { return c.fulls >= 100 })
	fillDisk(t, ballast, 0)
	c.fulls = 0
	c.read(t, func() bool { return c.fulls >= 6_000 }) // more than a pipe holds: it lives on
	c.killed(t)
	sum := 0
	for _, n := range c.acked {
		sum += n
	}
	if sum*childValueBytes < 4<<20 {
		t.Fatalf("refused when only %d keys were acknowledged", sum)
	}

	// On the full disk, opening says so, or succeeds.
	if s, err := pebblekv.Open(dir, childOptions()); err == nil {
		s.Close()
	} else if !errors.Is(err, unix.ENOSPC) {
		t.Errorf("open on a full disk: %v", err)
	}
	// What Open began to write before it failed takes room too, until an Open
	// succeeds: the operator has to make some, not just as much as there was.
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", disk, "tmpfs", unix.MS_REMOUNT, "size=80m"); err != nil {
		t.Fatal(err)
	}
	checkKilled(t, dir, c.acked)
	s, err := pebblekv.Open(dir, childOptions())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := put(s, "after", nil); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
