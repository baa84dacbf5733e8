package unzip_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"hyzer/bench/tools"
	"hyzer/imaging/unzip"
)

// TestDirect writes runs that begin and end anywhere, from anywhere in memory,
// to a file and to a device full of something else. What goes around the page
// cache and what goes through it must make one content, also where they meet.
func TestDirect(t *testing.T) {
	t.Parallel()
	garbage := bytes.Repeat([]byte("garbage "), directDiskBytes/8)
	for _, kind := range []string{"file", "device"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "disk")
			if err := os.WriteFile(path, garbage, 0o600); err != nil {
				t.Fatal(err)
			}
			if kind == "device" {
				path, _ = tools.Loop(t, path)
			}
			writeRuns(t, path, bytes.Clone(garbage))
		})
	}
}

const directDiskBytes = 8 << 20

// writeRuns writes runs to a disk that has a content, and looks at it after each.
func writeRuns(t *testing.T, path string, want []byte) {
	target, err := unzip.OpenTarget(path)
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	random := rand.NewChaCha8([32]byte{7})
	memory := make([]byte, 2<<20)
	for i, run := range []struct{ offset, bytes, memory int }{
		{0, 1 << 20, 0},              // whole blocks
		{1<<20 + 512, 1 << 20, 512},  // whole blocks in memory that begin at a sector
		{1<<20 + 1024, 300_000, 0},   // over what was written, from other memory
		{3<<20 - 100, 200_100, 1},    // nothing is aligned
		{3<<20 + 4096, 64 << 10, 17}, // aligned on the disk only
		{4<<20 - 512, 1024, 0},       // small
		{4 << 20, 0, 0},
		{6<<20 + 1536, 2<<20 - 1536, 0}, // to the end
	} {
		p := memory[run.memory:][:run.bytes]
		random.Read(p)
		if n, err := target.WriteAt(p, int64(run.offset)); n != len(p) || err != nil {
			t.Fatalf("run %d: %d of %d bytes: %v", i, n, len(p), err)
		}
		copy(want[run.offset:], p)
		got := make([]byte, len(want))
		if _, err := target.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("run %d: another content, first at byte %d, %v", i, differ(got, want), err)
		}
	}
	if err := target.Finish(int64(len(want))); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("another content after the end, first at byte %d, %v", differ(got, want), err)
	}
}

// differ is the first byte that differs.
func differ(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// BenchmarkTarget writes to a file what a chunk holds.
func BenchmarkTarget(b *testing.B) {
	for _, size := range []int{16 << 10, 1 << 20, 4 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			target, err := unzip.OpenTarget(filepath.Join(b.TempDir(), "disk"))
			if err != nil {
				b.Fatal(err)
			}
			defer target.Close()
			p := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := target.WriteAt(p, int64(i%64)*int64(size)+512); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
