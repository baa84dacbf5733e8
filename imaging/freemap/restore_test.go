package freemap_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

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
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	old := bytes.Repeat([]byte{0x5a}, 1<<20)
	for range mib {
		if _, err := f.Write(old); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// memory is of the kernel until the test ends, with what is in f, or empty.
// The race detector keeps no books of it, which would take eight times as much.
func memory(t *testing.T, f *os.File, size int) []byte {
	t.Helper()
	fd, flags := -1, unix.MAP_PRIVATE|unix.MAP_ANON
	if f != nil {
		fd, flags = int(f.Fd()), unix.MAP_SHARED
	}
	b, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, flags)
	if err != nil {
		t.Fatal(err)
	}
	_ = unix.Madvise(b, unix.MADV_HUGEPAGE) // a hint
	t.Cleanup(func() {
		if err := unix.Munmap(b); err != nil {
			t.Error(err)
		}
	})
	return b
}

// readFile is the content of a file as it is now.
func readFile(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		t.Fatal(err)
	}
	b := memory(t, nil, int(size))
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

// restored is a disk, what was found in it, and what an image of it restores
// to, over garbage.
type restored struct {
	img, back []byte
	path      string // of the file that back is
	src       zip.Source
	layout    *zip.Layout
}

// analyze finds out what of the disk img is in use.
func analyze(t *testing.T, img []byte) *restored {
	t.Helper()
	return analyzeAs(t, img, zip.Options{})
}

func analyzeAs(t *testing.T, img []byte, opts zip.Options) *restored {
	t.Helper()
	src := zip.Source{ReaderAt: bytes.NewReader(img), Bytes: int64(len(img))}
	layout, err := zip.Analyze(src, opts)
	if err != nil {
		t.Fatal(err)
	}
	return &restored{img: img, src: src, layout: layout}
}

// restore makes an image of the file at path and restores it.
func restore(t *testing.T, path string) *restored {
	t.Helper()
	ctx, opts := context.Background(), zip.Options{MinFreeSectors: -1}
	r := analyzeAs(t, readFile(t, path), opts)
	var image bytes.Buffer
	if _, err := zip.Write(ctx, r.src, r.layout, &image, opts); err != nil {
		t.Fatal(err)
	}
	d := &disk{r.target(t)}
	if _, err := unzip.File(ctx, bytes.NewReader(image.Bytes()), int64(image.Len()), d, unzip.Options{}); err != nil {
		t.Fatal(err)
	}
	r.back = d.data
	r.checkBytes(t)
	return r
}

// target makes a file of garbage to restore to.
func (r *restored) target(t *testing.T) []byte {
	t.Helper()
	r.path = filepath.Join(t.TempDir(), "back")
	f, err := os.Create(r.path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(int64(len(r.img))); err != nil {
		t.Fatal(err)
	}
	b := memory(t, f, len(r.img))
	for n := copy(b, bytes.Repeat([]byte{garbage}, 4096)); n < len(b); n *= 2 {
		copy(b[n:], b[:n])
	}
	return b
}

// free is what the image leaves out.
func (r *restored) free() []freemap.Range {
	return freemap.Invert(r.layout.Data, 0, r.layout.Sectors)
}

// checkBytes holds the restored disk against the list of free ranges.
func (r *restored) checkBytes(t *testing.T) {
	t.Helper()
	for _, f := range r.layout.Data {
		from, to := f.Start*sectorBytes, f.End*sectorBytes
		if !bytes.Equal(r.back[from:to], r.img[from:to]) {
			t.Errorf("restored disk differs in the data of sectors [%d,%d)", f.Start, f.End)
		}
	}
	for _, f := range r.free() {
		p := r.back[f.Start*sectorBytes : f.End*sectorBytes]
		if p[0] != garbage || !bytes.Equal(p[1:], p[:len(p)-1]) {
			t.Errorf("free space of sectors [%d,%d) was written", f.Start, f.End)
		}
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
