package unzip_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"hyzer/bench/tools"
	"hyzer/imaging/unzip"
)

const (
	// writersMany is more than may be under way at once in the kernel.
	writersMany   = 80
	writerBytes   = 192 << 10
	writersRounds = 4
)

// TestWritersMany writes from more goroutines than the kernel is given writes
// of, each to its own places, with pieces that are no whole blocks between.
func TestWritersMany(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "disk")
	target, err := unzip.OpenTarget(path)
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	want := make([]byte, writersMany*writersRounds*writerBytes-1000)
	rand.NewChaCha8([32]byte{3}).Read(want)
	var wg sync.WaitGroup
	for i := range writersMany {
		wg.Go(func() {
			for round := range writersRounds {
				at := (round*writersMany+i)*writerBytes + 512*(i%9)
				end := min((round*writersMany+i+1)*writerBytes+512*((i+1)%9), len(want))
				if i == 0 {
					at = round * writersMany * writerBytes
				}
				if i == writersMany-1 {
					end = min((round+1)*writersMany*writerBytes, len(want))
				}
				if n, err := target.WriteAt(want[at:end], int64(at)); n != end-at || err != nil {
					t.Errorf("%d of %d bytes at %d: %v", n, end-at, at, err)
				}
			}
		})
	}
	wg.Wait()
	if err := target.Finish(int64(len(want))); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("another content, first at byte %d, %v", differ(got, want), err)
	}
}

// TestWriteFails writes to the end of a device and beyond: what the kernel says
// later must come back as what it says at once does.
func TestWriteFails(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(path, make([]byte, directDiskBytes), 0o600); err != nil {
		t.Fatal(err)
	}
	device, _ := tools.Loop(t, path)
	target, err := unzip.OpenTarget(device)
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	n, err := target.WriteAt(make([]byte, 1<<20), directDiskBytes-256<<10)
	if err == nil || n > 256<<10 {
		t.Errorf("%d bytes were written, %v", n, err)
	}
	if n, err := target.WriteAt(make([]byte, 1<<20), directDiskBytes-1<<20); n != 1<<20 || err != nil {
		t.Errorf("after it: %d bytes, %v", n, err)
	}
}
