package unzip_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"hyzer/bench/tools"
	"hyzer/imaging/ndz"
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

// TestFaultEndsFile: a file is no longer than what was restored before a fault,
// or than it was.
func TestFaultEndsFile(t *testing.T) {
	t.Parallel()
	image, disk := made(t, 9<<20)
	image[4*ndz.ChunkBytes+ndz.ChunkBytes/2] ^= 1
	whole, err := ndz.ParseHeader(chunk(image, 3))
	if err != nil {
		t.Fatal(err)
	}
	for _, had := range []int64{0, 1 << 20, 8 << 20} {
		path := filepath.Join(t.TempDir(), "disk")
		if err := os.WriteFile(path, make([]byte, had), 0o600); err != nil {
			t.Fatal(err)
		}
		target, err := unzip.OpenTarget(path)
		if err != nil {
			t.Fatal(err)
		}
		defer target.Close()
		_, err = unzip.File(context.Background(), bytes.NewReader(image), int64(len(image)), target, unzip.Options{Workers: 1})
		if err == nil {
			t.Fatal("a damaged chunk passes")
		}
		end := int64(whole.Last) * ndz.SectorBytes
		info, err := os.Stat(path)
		if err != nil || info.Size() != max(end, had) {
			t.Errorf("file of %d bytes: now %d, want %d, %v", had, info.Size(), max(end, had), err)
		}
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got[:end], disk[:end]) {
			t.Errorf("file of %d bytes: what comes before the damage is wrong, %v", had, err)
		}
	}
}
