package zip_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hyzer/imaging/freemap"
	"hyzer/imaging/unzip"
	"hyzer/imaging/zip"
)

// tool finds a program of e2fsprogs, also where only root looks.
func tool(t *testing.T, name string) string {
	t.Helper()
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/sbin", "/usr/sbin") {
		if path := filepath.Join(dir, name); isFile(path) {
			return path
		}
	}
	t.Skipf("%s is not installed; it is in the package e2fsprogs", name)
	return ""
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(tool(t, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// tree makes a folder of files of many sizes.
func tree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(11, 12))
	for i := range 120 {
		sub := filepath.Join(dir, fmt.Sprintf("d%d", i%7))
		if err := os.MkdirAll(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		data := make([]byte, r.IntN(1<<r.IntN(18)+1))
		for k := range data {
			data[k] = byte(r.Uint32()) & 0x1f
		}
		if err := os.WriteFile(filepath.Join(sub, fmt.Sprintf("f%d", i)), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestExtVariants images real file systems of every layout, restores them over
// garbage, and has e2fsck and debugfs look at the result.
func TestExtVariants(t *testing.T) {
	t.Parallel()
	tool(t, "mke2fs")
	files := tree(t)
	for _, c := range []struct {
		name, args string
		mib        int
	}{
		{"ext2 1k", "-t ext2 -b 1024", 24},
		{"ext3 4k", "-t ext3 -b 4096", 48},
		{"ext4 default", "-t ext4", 64},
		{"ext4 1k", "-t ext4 -b 1024", 48},
		{"ext4 64k", "-t ext4 -b 65536", 64},
		{"uninit groups", "-t ext4 -b 1024 -O ^metadata_csum,uninit_bg,^flex_bg", 64},
		{"uninit groups, old", "-t ext4 -b 1024 -O ^metadata_csum,^64bit,uninit_bg,flex_bg -G 2", 64},
		{"uninit groups, 64bit", "-t ext4 -b 1024 -O metadata_csum,64bit,^flex_bg,^resize_inode", 64},
		{"bigalloc", "-t ext4 -O bigalloc -C 16384", 64},
		{"bigalloc 1k", "-t ext4 -b 1024 -O bigalloc -C 8192", 64},
		{"meta_bg", "-t ext4 -b 1024 -O meta_bg,^resize_inode", 64},
		{"meta_bg, old", "-t ext4 -b 1024 -O meta_bg,^resize_inode,^64bit,^metadata_csum,uninit_bg", 64},
		{"sparse_super2", "-t ext4 -b 1024 -O sparse_super2,^resize_inode", 64},
		{"no sparse_super", "-t ext2 -b 1024 -O ^sparse_super,^resize_inode", 32},
		{"small groups", "-t ext4 -b 1024 -g 1024 -O ^resize_inode", 40},
		{"short last group", "-t ext4 -b 1024", 41},
		{"csum seed", "-t ext4 -O metadata_csum,metadata_csum_seed -U 01234567-89ab-cdef-0123-456789abcdef", 32},
		{"no journal", "-t ext4 -O ^has_journal,inline_data -I 512", 32},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "fs")
			args := append(strings.Fields(c.args), "-q", "-F", "-E", "lazy_itable_init=1", "-d", files, path, fmt.Sprintf("%dM", c.mib))
			if strings.Contains(c.args, "bigalloc") {
				args = append([]string{"-q"}, args...)
			}
			command(t, "mke2fs", args...)
			checkExt(t, path)
		})
	}
}

// checkExt images the file system at path and restores it over garbage.
func checkExt(t *testing.T, path string) {
	t.Helper()
	img, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	layout, err := zip.Analyze(source(img), zip.Options{MinFreeSectors: -1})
	if err != nil {
		t.Fatal(err)
	}
	if len(layout.Warnings) > 0 {
		t.Errorf("warnings: %q", layout.Warnings)
	}
	checkFreeCount(t, path, layout)
	var image bytes.Buffer
	if _, err := zip.Create(context.Background(), source(img), &image, zip.Options{MinFreeSectors: -1}); err != nil {
		t.Fatal(err)
	}
	d := newDisk(len(img))
	if _, err := unzip.File(context.Background(), bytes.NewReader(image.Bytes()), int64(image.Len()), d, unzip.Options{}); err != nil {
		t.Fatal(err)
	}
	back := filepath.Join(filepath.Dir(path), "back")
	if err := os.WriteFile(back, d.data, 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, "e2fsck", "-f", "-n", back)
	// debugfs gets some files of inline data wrong, so both sides are its.
	want, got := t.TempDir(), t.TempDir()
	command(t, "debugfs", "-R", "rdump / "+want, path)
	command(t, "debugfs", "-R", "rdump / "+got, back)
	sameTree(t, want, got)
}

// checkFreeCount holds the size of our free space against the superblock's.
func checkFreeCount(t *testing.T, path string, layout *zip.Layout) {
	t.Helper()
	var blocks, size uint64
	for _, line := range strings.Split(command(t, "dumpe2fs", "-h", path), "\n") {
		fmt.Sscanf(line, "Free blocks: %d", &blocks)
		fmt.Sscanf(line, "Block size: %d", &size)
	}
	free := layout.Sectors - freemap.Total(layout.Data)
	if want := blocks * size / freemap.SectorBytes; free != want {
		t.Errorf("%d sectors are free, dumpe2fs says %d", free, want)
	}
}

func sameTree(t *testing.T, want, got string) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(want, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		n++
		a, errA := os.ReadFile(path)
		b, errB := os.ReadFile(filepath.Join(got, strings.TrimPrefix(path, want)))
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Errorf("%s differs: %v %v", path, errA, errB)
		}
		return nil
	})
	if err != nil || n < 100 {
		t.Errorf("compared %d files, %v", n, err)
	}
}
