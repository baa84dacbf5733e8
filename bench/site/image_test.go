package site_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hyzer/bench/site"
	"hyzer/bench/vnode"
	"hyzer/imaging/ndz"
	"hyzer/imaging/unzip"
	"hyzer/imaging/zip"
)

// sourceFiles writes a few files that compress well and badly.
func sourceFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for i := range 40 {
		text := strings.Repeat(fmt.Sprintf("line %d of a file that compresses\n", i), 2000+37*i)
		path := filepath.Join(dir, fmt.Sprintf("dir%d", i%5), fmt.Sprintf("file%d", i))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func makeImage(t *testing.T, o site.ImageOptions) *site.Image {
	t.Helper()
	o.Dir = t.TempDir()
	m, err := site.MakeImage(context.Background(), o)
	if errors.Is(err, site.ErrNoTools) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// restore loads the image onto a disk that holds fill in every byte.
func restore(t *testing.T, m *site.Image, diskBytes, offset int64, fill byte, zero bool) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(path, []byte(strings.Repeat(string(fill), int(diskBytes))), 0o644); err != nil {
		t.Fatal(err)
	}
	target, err := unzip.OpenTarget(path)
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	src, closer, err := zip.OpenSource(m.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer closer.Close()
	opts := unzip.Options{ZeroFill: zero}
	if offset > 0 {
		opts.Decode.Placement = ndz.Placement{Start: uint64(offset / 512), Size: uint64(m.DiskBytes / 512)}
	}
	if _, err := unzip.File(context.Background(), src, src.Bytes, target, opts); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestImage(t *testing.T) {
	t.Parallel()
	const offset = 1 << 20
	for _, test := range []struct {
		name   string
		slice  bool
		offset int64 // of the image on the disk
		fsAt   int64 // of the file system on the disk
	}{
		{"whole disk", false, 0, offset},
		{"slice", true, offset, offset},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := makeImage(t, site.ImageOptions{Files: sourceFiles(t), ContentBytes: 3 << 20, DiskBytes: 24 << 20, Slice: test.slice})
			if m.FileBytes < 2<<20 || m.ImageBytes%ndz.ChunkBytes != 0 || m.DataBytes >= m.DiskBytes/2 {
				t.Errorf("image %+v", m)
			}
			diskBytes := m.DiskBytes + test.offset
			want, err := m.ZeroFilledSHA256(diskBytes, test.offset)
			if err != nil {
				t.Fatal(err)
			}
			clean := restore(t, m, diskBytes, test.offset, 0, true)
			if got, err := site.DiskSHA256(clean); err != nil || got != want {
				t.Errorf("zero-filled restore has sum %s, want %s: %v", got, want, err)
			}
			dirty := restore(t, m, diskBytes, test.offset, 0xa5, false)
			for _, path := range []string{clean, dirty} {
				if err := m.VerifyFile(path, test.offset); err != nil {
					t.Error(err)
				}
				if err := site.Fsck(context.Background(), path, test.fsAt); err != nil {
					t.Error(err)
				}
				bootable(t, path, vnode.Extent{Offset: test.fsAt, Bytes: diskBytes - test.fsAt})
			}
			damage(t, m, dirty, test.offset, test.fsAt)
		})
	}
}

func bootable(t *testing.T, path string, part vnode.Extent) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := vnode.Intact(f, part); err != nil {
		t.Error(err)
	}
}

// damage changes one byte of the file system and expects that to be seen.
func damage(t *testing.T, m *site.Image, path string, offset, fsAt int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	at := fsAt + 1024 + 4 // low byte of the block count
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	if err := m.VerifyFile(path, offset); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("byte %d ", at)) {
		t.Errorf("byte %d changed, Verify says %v", at, err)
	}
	if err := vnode.Intact(f, vnode.Extent{Offset: fsAt, Bytes: m.DiskBytes}); err == nil {
		t.Error("a damaged super-block is bootable")
	}
}

// TestSameFiles makes an image twice. Only times of inodes may differ, which
// nobody can set.
func TestSameFiles(t *testing.T) {
	t.Parallel()
	files := sourceFiles(t)
	a := makeImage(t, site.ImageOptions{Files: files, ContentBytes: 1 << 20})
	b := makeImage(t, site.ImageOptions{Files: files, ContentBytes: 1 << 20})
	if a.FileBytes != b.FileBytes || a.DataBytes != b.DataBytes || a.FileBytes > 1<<20 || a.FileBytes < 1<<19 {
		t.Errorf("images of the same files differ: %+v and %+v", a, b)
	}
}

func TestNoFiles(t *testing.T) {
	t.Parallel()
	_, err := site.MakeImage(context.Background(), site.ImageOptions{Dir: t.TempDir(), Files: t.TempDir(), ContentBytes: 1 << 20})
	if err == nil || !strings.Contains(err.Error(), "no file below") {
		t.Errorf("an image of no files: %v", err)
	}
}
