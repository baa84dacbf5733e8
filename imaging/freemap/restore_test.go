package freemap_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hyzer/bench/tools"
	"hyzer/imaging/freemap"
	"hyzer/imaging/unzip"
	"hyzer/imaging/zip"
)

const (
	garbage     = 0xa5
	sectorBytes = freemap.SectorBytes
)

// disk is one to restore on, in memory.
type disk struct{ data []byte }

func (d *disk) WriteAt(p []byte, off int64) (int, error) { return copy(d.data[off:], p), nil }
func (d *disk) Zero(off, size int64) error               { clear(d.data[off:][:size]); return nil }
func (d *disk) SizeBytes() int64                         { return int64(len(d.data)) }
func (d *disk) Finish(int64) error                       { return nil }

// newFile makes a file of so many MiB of old data, as a used disk has.
func newFile(t *testing.T, mib int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(path, bytes.Repeat([]byte{0x5a}, mib<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// restored is a disk, what was found in it, and what an image of it restores
// to, over garbage.
type restored struct {
	img, back []byte
	src       zip.Source
	layout    *zip.Layout
}

// analyze finds out what of the disk img is in use.
func analyze(t *testing.T, img []byte) *restored {
	t.Helper()
	src := zip.Source{ReaderAt: bytes.NewReader(img), Bytes: int64(len(img))}
	layout, err := zip.Analyze(src, zip.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &restored{img: img, src: src, layout: layout}
}

// restore makes an image of the file at path and restores it.
func restore(t *testing.T, path string) *restored {
	t.Helper()
	img, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := analyze(t, img)
	ctx, opts := context.Background(), zip.Options{MinFreeSectors: -1}
	if r.layout, err = zip.Analyze(r.src, opts); err != nil {
		t.Fatal(err)
	}
	var image bytes.Buffer
	if _, err := zip.Write(ctx, r.src, r.layout, &image, opts); err != nil {
		t.Fatal(err)
	}
	d := &disk{bytes.Repeat([]byte{garbage}, len(img))}
	if _, err := unzip.File(ctx, bytes.NewReader(image.Bytes()), int64(image.Len()), d, unzip.Options{}); err != nil {
		t.Fatal(err)
	}
	r.back = d.data
	r.checkBytes(t)
	return r
}

// file writes the restored disk to a file.
func (r *restored) file(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "back")
	if err := os.WriteFile(path, r.back, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// free is what the image leaves out.
func (r *restored) free() []freemap.Range {
	return freemap.Invert(r.layout.Data, 0, r.layout.Sectors)
}

// checkBytes holds the restored disk against the list of free ranges.
func (r *restored) checkBytes(t *testing.T) {
	t.Helper()
	want := bytes.Clone(r.img)
	for _, f := range r.free() {
		p := want[f.Start*sectorBytes : f.End*sectorBytes]
		copy(p, bytes.Repeat([]byte{garbage}, len(p)))
	}
	if !bytes.Equal(r.back, want) {
		t.Error("restored disk differs in the data, or free space was written")
	}
}

// wantFree holds the number of free sectors, of which there must be some,
// against that of another program.
func (r *restored) wantFree(t *testing.T, want uint64) {
	t.Helper()
	if len(r.layout.Warnings) > 0 {
		t.Errorf("warnings: %q", r.layout.Warnings)
	}
	if got := freemap.Total(r.free()); got != want || got == 0 {
		t.Errorf("%d sectors are free, want %d", got, want)
	}
}

// wantWhole checks that all is kept, with a warning that has text.
func (r *restored) wantWhole(t *testing.T, text string) {
	t.Helper()
	if free := freemap.Total(r.free()); free != 0 {
		t.Errorf("%d sectors are free", free)
	}
	if all := strings.Join(r.layout.Warnings, "\n"); !strings.Contains(all, text) {
		t.Errorf("warnings %q, want %q", all, text)
	}
}

// whileMounted mounts the file system at path and calls fn with its root. It
// skips the test where that cannot be done.
func whileMounted(t *testing.T, path, options string, fn func(root string)) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount")
	}
	root := t.TempDir()
	if out, err := tools.Try(tools.Find(t, "mount", "mount"), "-o", "loop"+options, path, root); err != nil {
		t.Skipf("this kernel does not mount it: %s", strings.TrimSpace(out))
	}
	mounted := true
	umount := func() {
		if mounted {
			mounted = false
			tools.Run(t, tools.Find(t, "umount", "mount"), root)
		}
	}
	defer umount()
	fn(root)
	umount()
}

// sameTree compares all files below two folders.
func sameTree(t *testing.T, want, got string, filesMin int) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(want, func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		n++
		a, errA := os.ReadFile(path)
		b, errB := os.ReadFile(filepath.Join(got, strings.TrimPrefix(path, want)))
		if err := errors.Join(errA, errB); err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s differs: %v", path, err)
		}
		return nil
	})
	if err != nil || n < filesMin {
		t.Errorf("compared %d files of %d, %v", n, filesMin, err)
	}
}
