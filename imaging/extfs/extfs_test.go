package extfs_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hyzer/bench/tools"
	"hyzer/imaging/extfs"
)

// tree makes a folder of everything that a file system can hold: files of many
// sizes, with holes, in many pieces, links short and long, a directory of many
// names, one of long names, one deep down.
func tree(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	r := rand.New(rand.NewPCG(1, 2))
	noise := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	put := func(name string, data []byte) {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, os.FileMode(0o600|r.IntN(0o177))); err != nil {
			t.Fatal(err)
		}
	}
	for i, n := range []int{0, 1, 59, 60, 61, 100, 150, 1023, 1024, 4096, 4097, 12 << 10, 13 << 10, 300 << 10, 1200000} {
		put(fmt.Sprintf("sizes/%d", i), noise(n))
	}
	for i := range 300 {
		put(fmt.Sprintf("many/%04d-%s", i, strings.Repeat("n", i%200)), noise(i%90))
	}
	put(strings.Repeat("deep/", 40)+"end", noise(10))
	put("few/a", noise(5))
	sparse(t, filepath.Join(root, "sparse"), noise)
	for i, target := range []string{"sizes/3", "/sizes", "loop", "../sizes/4", strings.Repeat("./", 40) + "sizes/5", strings.Repeat("./", 450) + "sizes/6", "nowhere"} {
		name := fmt.Sprintf("few/link%d", i)
		if target == "loop" {
			name = "loop"
		}
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(root, "few"), 0o755|os.ModeSticky|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	return root
}

// sparse writes a file with pieces far apart: every level of indirect blocks,
// and more extents than one node holds.
func sparse(t *testing.T, path string, noise func(int) []byte) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i := range int64(400) {
		at := i * 16 << 10
		if i > 390 {
			at = i*170<<10 + 77
		}
		if _, err := f.WriteAt(noise(200), at); err != nil {
			t.Fatal(err)
		}
	}
}

// disk is a file as a device.
func disk(t testing.TB, path string) *io.SectionReader {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return io.NewSectionReader(f, 0, info.Size())
}

func open(t testing.TB, path string) *extfs.FS {
	t.Helper()
	r := disk(t, path)
	f, err := extfs.Open(r, r.Size())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// mkfs makes a file system of files.
func mkfs(t testing.TB, files, args string, mib int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fs")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, mib<<20); err != nil {
		t.Fatal(err)
	}
	list := append([]string{"-q", "-F"}, strings.Fields(args)...)
	tools.Run(t, tools.Find(t, "mke2fs", "e2fsprogs"), append(list, "-d", files, path)...)
	return path
}

// TestFiles holds every file of file systems of every layout against what they
// were made of, with directories as they are and indexed.
func TestFiles(t *testing.T) {
	t.Parallel()
	files := tree(t)
	for _, c := range []struct {
		name, args string
		mib        int64
	}{
		{"ext2 1k", "-t ext2 -b 1024", 24},
		{"ext2 4k, old inodes", "-t ext2 -b 4096 -I 128", 24},
		{"ext2 rev 0", "-t ext2 -r 0 -b 1024 -O none", 24},
		{"ext2 without file types", "-t ext2 -O ^filetype", 24},
		{"ext3", "-t ext3 -b 2048", 32},
		{"ext4", "-t ext4", 32},
		{"ext4 1k, 64bit", "-t ext4 -b 1024 -O 64bit", 32},
		{"ext4 64k", "-t ext4 -b 65536", 160},
		{"ext4 without checksums", "-t ext4 -O ^metadata_csum,^64bit,uninit_bg", 32},
		{"ext4 without extents", "-t ext4 -O ^extent,^64bit -b 1024", 32},
		{"ext4 meta_bg", "-t ext4 -b 1024 -g 1024 -O meta_bg,^resize_inode,^flex_bg", 32},
		{"ext4 bigalloc", "-t ext4 -b 1024 -O bigalloc -C 16384", 64},
		{"ext4 inline data", "-t ext4 -O inline_data -I 256", 32},
		{"ext4 inline data, large inodes", "-t ext4 -O inline_data -I 1024", 32},
		{"ext4 checksum seed", "-t ext4 -O metadata_csum_seed", 32},
		{"ext4 sparse_super2", "-t ext4 -O sparse_super2 -b 1024", 32},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := mkfs(t, files, c.args, c.mib)
			compare(t, open(t, path), files)
			if out, err := tools.Try(tools.Find(t, "e2fsck", "e2fsprogs"), "-fyD", path); err != nil && !strings.Contains(err.Error(), "status 1") {
				t.Fatalf("e2fsck -D: %v\n%s", err, out)
			}
			compare(t, open(t, path), files)
		})
	}
}

// compare holds all of the file system against a folder.
func compare(t *testing.T, f *extfs.FS, want string) {
	t.Helper()
	found := map[string]bool{}
	root, err := f.Lookup("/", true)
	if err != nil {
		t.Fatal(err)
	}
	err = f.Walk("", root, func(name string, i *extfs.Inode, err error) error {
		if err != nil || name == "lost+found" {
			return err
		}
		found[name] = true
		return same(f, i, filepath.Join(want, name))
	})
	if err != nil {
		t.Error(err)
	}
	err = filepath.WalkDir(want, func(path string, _ os.DirEntry, err error) error {
		if name := strings.TrimPrefix(strings.TrimPrefix(path, want), "/"); name != "" && !found[name] {
			t.Errorf("%s is missing", name)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// same holds one file against another.
func same(f *extfs.FS, i *extfs.Inode, path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if i.Mode() != info.Mode() || i.Modified.Unix() != info.ModTime().Unix() || i.UID != uint32(os.Geteuid()) {
		return fmt.Errorf("%s: %v of %v by %d, want %v of %v", path, i.Mode(), i.Modified, i.UID, info.Mode(), info.ModTime())
	}
	switch {
	case i.Mode()&fs.ModeSymlink != 0:
		want, err := os.Readlink(path)
		if err != nil {
			return err
		}
		if got, err := f.ReadLink(i); err != nil || got != want {
			return fmt.Errorf("%s: links to %q, want %q, %v", path, got, want, err)
		}
	case i.Mode().IsRegular():
		want, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		x, err := f.Open(i)
		if err != nil {
			return err
		}
		var got bytes.Buffer
		if _, err := x.WriteTo(&got); err != nil || !bytes.Equal(got.Bytes(), want) {
			return fmt.Errorf("%s: %d bytes, sum %x, want %d, %v", path, got.Len(), sha256.Sum256(got.Bytes()), len(want), err)
		}
	}
	return nil
}

// TestLookup follows links and dots.
func TestLookup(t *testing.T) {
	t.Parallel()
	f := open(t, mkfs(t, tree(t), "-t ext4", 32))
	for _, c := range []struct {
		name   string
		follow bool
		size   int64 // -1: a directory
		err    string
	}{
		{"/sizes/3", true, 60, ""},
		{"sizes//./3", true, 60, ""},
		{"few/../sizes/3", true, 60, ""},
		{"/../../sizes/3", true, 60, ""},
		{"few/link0", true, 0, "does not exist"},
		{"few/link1", true, -1, ""},
		{"few/link1/3", false, 60, ""},
		{"few/link3", true, 61, ""},
		{"few/link6", true, 0, "does not exist"},
		{"few/link6", false, 7, ""},
		{"loop", true, 0, "too many symbolic links"},
		{"sizes/3/x", true, 0, "does not exist"},
		{"none", true, 0, "none: file does not exist"},
	} {
		i, err := f.Lookup(c.name, c.follow)
		switch {
		case c.err != "":
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, want %q", c.name, err, c.err)
			}
		case err != nil:
			t.Error(err)
		case c.size < 0 != i.IsDir() || c.size >= 0 && i.Size != c.size:
			t.Errorf("%s: %v of %d bytes, want %d", c.name, i.Mode(), i.Size, c.size)
		}
	}
	if _, err := f.Lookup("none", true); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("not there: %v", err)
	}
}

// TestSpecial reads device files, and what debugfs does to a file: blocks that
// were allocated and never written.
func TestSpecial(t *testing.T) {
	t.Parallel()
	files := t.TempDir()
	if err := os.WriteFile(filepath.Join(files, "f"), bytes.Repeat([]byte("x"), 5000), 0o644); err != nil {
		t.Fatal(err)
	}
	path := mkfs(t, files, "-t ext4", 16)
	debugfs := tools.Find(t, "debugfs", "e2fsprogs")
	for _, c := range []string{"mknod null c 1 3", "mknod disk b 8 1", "set_inode_field disk block[0] 0", "set_inode_field disk block[1] 0x493103e0", "mknod pipe p", "fallocate f 2 100", "set_inode_field f size 300000"} {
		tools.Run(t, debugfs, "-w", "-R", c, path)
	}
	f := open(t, path)
	for name, want := range map[string]string{"null": "Dc 1 3", "disk": "D 259 300000", "pipe": "p 0 0"} {
		i, err := f.Lookup(name, true)
		if err != nil {
			t.Fatal(err)
		}
		major, minor := i.Device()
		kind, _, _ := strings.Cut(i.Mode().String(), "-")
		if got := fmt.Sprintf("%s %d %d", kind, major, minor); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		if _, err := f.Open(i); err == nil {
			t.Errorf("%s has content", name)
		}
	}
	i, err := f.Lookup("f", true)
	if err != nil {
		t.Fatal(err)
	}
	x, err := f.Open(i)
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	n, err := x.WriteTo(&got)
	if want := append(bytes.Repeat([]byte("x"), 5000), make([]byte, 295000)...); err != nil || n != 300000 || !bytes.Equal(got.Bytes(), want) {
		t.Errorf("file with blocks never written: %d bytes, %v", n, err)
	}
}

// TestDamage changes single bytes all over the metadata: every answer must be
// the right one or an error, where there are checksums, and in any case there
// must be one.
func TestDamage(t *testing.T) {
	t.Parallel()
	files := tree(t)
	for _, args := range []string{"-t ext4 -b 1024 -O inline_data", "-t ext2 -b 1024"} {
		path := mkfs(t, files, args, 24)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(3, 4))
		for range 30 {
			at := r.IntN(2 << 20)
			old := whole[at]
			whole[at] ^= 1 << r.IntN(8)
			f, err := extfs.Open(bytes.NewReader(whole), int64(len(whole)))
			if err == nil {
				readAll(f)
			}
			whole[at] = old
		}
	}
}

// readAll reads all that can be read.
func readAll(f *extfs.FS) (bytes int64) {
	root, err := f.Lookup("/", true)
	if err != nil {
		return 0
	}
	_ = f.Walk("", root, func(_ string, i *extfs.Inode, err error) error {
		if err != nil {
			return nil
		}
		if x, err := f.Open(i); err == nil && x.Size() < 1<<20 {
			n, _ := x.WriteTo(io.Discard)
			bytes += n
		}
		return nil
	})
	return bytes
}

func BenchmarkRead(b *testing.B) {
	files := b.TempDir()
	if err := os.WriteFile(filepath.Join(files, "f"), bytes.Repeat([]byte("some data "), 1<<20), 0o644); err != nil {
		b.Fatal(err)
	}
	f := open(b, mkfs(b, files, "-t ext4", 32))
	i, err := f.Lookup("f", true)
	if err != nil {
		b.Fatal(err)
	}
	x, err := f.Open(i)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(x.Size())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := x.WriteTo(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
