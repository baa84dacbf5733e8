package imaging

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"hyzer/imaging/sig"
)

const (
	// memoryBytesMax is what no imaging program may take, whatever the disk.
	memoryBytesMax = 256 << 20
	// manyCores is as many as make all workers there can be.
	manyCores    = 32
	bigDiskBytes = 1 << 40
	// noiseMB is more than the lanes of V5 make wait for each other.
	noiseMB = 256
)

// TestMemory holds the programs to their memory on a disk of 1 TiB with what
// does not compress, what compresses to nearly nothing, and thousands of
// extents, and with signatures of disks of 2 TiB, as if the machine had many
// cores.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("compresses half a gigabyte")
	}
	for _, name := range []string{"mke2fs", "debugfs", "go"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not installed", name)
		}
	}
	dir := t.TempDir()
	node := filepath.Join(dir, "hyzer-node") // without the race detector, which takes far more
	build := exec.Command("go", "build", "-o", node, "hyzer/cmd/hyzer-node")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	disk := bigDisk(t, dir)
	spoil(t, disk, bigDiskBytes/4)
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, c := range []struct{ name, args string }{
		{"create", "imagezip -l -F 0 -U " + at("sig") + " " + disk + " " + at("ndz")},
		{"create V5", "imagezip --v5 -l -F 0 " + disk + " " + at("v5")},
		{"restore", "imageunzip " + at("ndz") + " " + at("back")},
		{"restore V5", "imageunzip " + at("v5") + " " + at("back5")},
		{"hash", "imagehash -c -X -o " + at("sig2") + " " + at("ndz")},
		{"check", "imagehash -o " + at("sig2") + " " + at("ndz") + " " + disk},
		{"hash in large blocks", "imagehash -c -X -b 33554432 -o " + at("sig3") + " " + at("ndz")},
		{"delta of a disk that was full", "imagezip -l -F 0 -U " + at("sig4") + " -H " + fullSignature(t, dir) + " " + disk + " " + at("ddz4")},
		{"delta of two images", "imagedelta -S -f -F " + at("was") + " " + at("is") + " " + at("ddz5")},
		{"restore of what differs", "imageunzip --any-base --signature " + at("sig4") + " " + at("ddz4") + " " + at("back")},
		{"delta", "imagezip -l -F 0 -H " + at("sig") + " " + disk + " " + at("ddz")},
		{"delta in large blocks", "imagezip -l -F 0 -H " + at("sig3") + " " + disk + " " + at("ddz3")},
	} {
		if c.name == "delta" {
			spoil(t, disk, bigDiskBytes/4+bigDiskBytes/16)
		}
		peak, err := peakBytes(t.Context(), node, strings.Fields(c.args))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		t.Logf("%s: %d MiB", c.name, peak>>20)
		if peak > memoryBytesMax {
			t.Errorf("%s takes %d MiB, more than %d", c.name, peak>>20, memoryBytesMax>>20)
		}
	}
}

// printPeak runs a program and prints the most memory that it had.
func printPeak(program string, args []string) error {
	c := exec.Command(program, args...)
	if text, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, text)
	}
	_, err := fmt.Print(c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10)
	return err
}

// peakBytes runs a program and returns the most memory it had, or that a
// process had which just began: the kernel counts what a process had before it
// became another program, and this one, with tests behind it, had a lot.
func peakBytes(ctx context.Context, program string, args []string) (int64, error) {
	c := exec.CommandContext(ctx, os.Args[0], append([]string{"peak", program}, args...)...)
	c.Env = append(os.Environ(), fmt.Sprintf("GOMAXPROCS=%d", manyCores), "GOMEMLIMIT=", "GOGC=")
	text, err := c.Output()
	if err != nil {
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			return 0, fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return 0, err
	}
	return strconv.ParseInt(string(text), 10, 64)
}

// bigDisk makes the disk, a sparse file.
func bigDisk(t *testing.T, dir string) string {
	t.Helper()
	tree := filepath.Join(dir, "tree")
	if err := os.Mkdir(tree, 0o700); err != nil {
		t.Fatal(err)
	}
	random := rand.NewChaCha8([32]byte{9})
	noise := make([]byte, 1<<20)
	write := func(name string, times int, fill func() []byte) {
		t.Helper()
		f, err := os.Create(filepath.Join(tree, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for range times {
			if _, err := f.Write(fill()); err != nil {
				t.Fatal(err)
			}
		}
	}
	write("noise", noiseMB, func() []byte { random.Read(noise); return noise })
	same := bytes.Repeat([]byte("the same again; "), 1<<16)
	write("same", 96, func() []byte { return same })
	var rm strings.Builder
	for i := range 3000 {
		write(fmt.Sprint(i), 1, func() []byte { return noise[:4096+i] })
		if i%2 == 0 {
			fmt.Fprintf(&rm, "rm %d\n", i)
		}
	}
	disk := filepath.Join(dir, "disk")
	for _, c := range [][]string{
		{"mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal,^resize_inode", "-N", "10000", "-E", "lazy_itable_init=1,nodiscard", "-d", tree,
			disk, fmt.Sprintf("%dk", int64(bigDiskBytes>>10))},
		{"debugfs", "-w", "-f", "/dev/stdin", disk},
	} {
		run := exec.Command(c[0], c[1:]...)
		run.Stdin = strings.NewReader(rm.String())
		if text, err := run.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", c[0], err, text)
		}
	}
	return disk
}

const (
	// fullDiskBytes is the largest disk that a signature can be of.
	fullDiskBytes = 2 << 40
	sigBlock      = 64 << 10
)

// fullSignature makes the signature of a disk of which every fourth block is in
// use, beside "was", and one nearly the same beside "is", which are links to the
// image that the other commands make.
func fullSignature(t *testing.T, dir string) (path string) {
	t.Helper()
	for change, name := range []string{"was", "is"} {
		f := &sig.File{Type: sig.SHA1, BlockSectors: sigBlock / 512}
		for at := uint64(0); at < fullDiskBytes/512; at += 4 * sigBlock / 512 {
			r := sig.Record{Start: at, Size: sigBlock / 512, Chunk: int(at >> 20)}
			binary.LittleEndian.PutUint64(r.Hash[:], at)
			if at%(1<<30) == 0 {
				r.Hash[9] = byte(change)
			}
			if err := f.Append(r); err != nil {
				t.Fatal(err)
			}
		}
		path = filepath.Join(dir, name)
		if err := errors.Join(os.Symlink(filepath.Join(dir, "ndz"), path), f.WriteFile(path+".sig")); err != nil {
			t.Fatal(err)
		}
	}
	return path + ".sig"
}

// spoil writes where ext4 says which blocks are free: hundreds of megabytes of
// zeros are in use then.
func spoil(t *testing.T, disk string, first int64) {
	t.Helper()
	f, err := os.OpenFile(disk, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for at := first; at < bigDiskBytes; at += bigDiskBytes / 8 {
		if _, err := f.WriteAt([]byte("changed"), at); err != nil {
			t.Fatal(err)
		}
	}
}
