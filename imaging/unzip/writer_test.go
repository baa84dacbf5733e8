package unzip_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"hyzer/imaging/ndz"
	"hyzer/imaging/unzip"
	"hyzer/imaging/zip"
)

// made is an image of many chunks, and the disk it is of.
func made(t testing.TB, size int) (image, disk []byte) {
	t.Helper()
	r := rand.New(rand.NewPCG(21, 22))
	disk = make([]byte, size)
	for i := range disk {
		disk[i] = byte(r.Uint32())
	}
	var out bytes.Buffer
	src := zip.Source{ReaderAt: bytes.NewReader(disk), Bytes: int64(size)}
	if _, err := zip.Create(context.Background(), src, &out, zip.Options{Raw: true}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), disk
}

func chunk(image []byte, i int) []byte { return image[i*ndz.ChunkBytes:][:ndz.ChunkBytes] }

// TestWriterAnyOrder pushes chunks from many goroutines, some twice.
func TestWriterAnyOrder(t *testing.T) {
	t.Parallel()
	image, want := made(t, 9<<20)
	chunks := len(image) / ndz.ChunkBytes
	d := newDisk(int64(len(want)))
	progress := 0
	w, err := unzip.NewWriter(d, unzip.Options{Chunks: chunks, Workers: 3, Progress: func(p unzip.Progress) {
		if progress++; p.Stats.Chunks != progress || p.Chunks != chunks {
			t.Errorf("progress %+v after %d calls", p, progress)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	order := rand.New(rand.NewPCG(1, 1)).Perm(chunks)
	for _, i := range append(order, order[0], order[1]) {
		wg.Go(func() {
			err := w.Chunk(context.Background(), i, chunk(image, i))
			if err != nil && !strings.Contains(err.Error(), "is being written") {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	stats, err := w.Close()
	if err != nil || stats.Chunks != chunks || stats.WrittenBytes != int64(len(want)) || !d.finished {
		t.Errorf("close: %+v, %v", stats, err)
	}
	if !bytes.Equal(d.data, want) {
		t.Error("wrong data")
	}
	if err := w.Chunk(context.Background(), 0, chunk(image, 0)); !errors.Is(err, unzip.ErrClosed) {
		t.Errorf("chunk after close: %v", err)
	}
	if _, err := w.Close(); !errors.Is(err, unzip.ErrClosed) {
		t.Errorf("second close: %v", err)
	}
}

// TestWriterRefuses pushes what does not belong together.
func TestWriterRefuses(t *testing.T) {
	t.Parallel()
	image, disk := made(t, 5<<20)
	chunks := len(image) / ndz.ChunkBytes
	damaged := bytes.Clone(chunk(image, 2))
	damaged[ndz.HeaderAreaBytes+5000] ^= 1
	d := newDisk(int64(len(disk)))
	w, err := unzip.NewWriter(d, unzip.Options{Chunks: chunks})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		index int
		data  []byte
		want  string
	}{
		{1, chunk(image, 1), ""},
		{1, chunk(image, 1), ""}, // again
		{1, chunk(image, 2), "chunk 1 was given twice with different content"},
		{2, chunk(image, 1), "chunk 2 covers sectors from"},
		{0, chunk(image, 1), "chunk 0 covers sectors up to"},
		{0, chunk(image, 2), "chunk 0 covers sectors"},
		{2, damaged, "chunk 2, offset"},
		{3, chunk(image, 3)[:5000], "chunk 3, offset 5000: partial chunk"},
		{99, chunk(image, 3), "chunk 99 of an image of"},
		{-1, chunk(image, 3), "chunk -1"},
		{2, golden(t, "v4-uuid.ndz.gz"), "chunk 2, offset 0: V4 chunk in a V3 image"},
	} {
		err := w.Chunk(context.Background(), c.index, c.data)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("chunk %d: %v, want %q", c.index, err, c.want)
		}
	}
	h, err := ndz.ParseHeader(chunk(image, 1))
	if err != nil {
		t.Fatal(err)
	}
	from, to := h.First*ndz.SectorBytes, h.Last*ndz.SectorBytes
	if !bytes.Equal(d.data[from:to], disk[from:to]) {
		t.Error("the good chunk has wrong data")
	}
	if rest := append(bytes.Clone(d.data[:from]), d.data[to:]...); len(bytes.Trim(rest, "\xa5")) > 0 {
		t.Error("something of a bad chunk was written")
	}
	if _, err := w.Close(); err == nil || !strings.Contains(err.Error(), "chunk 0 of the image is missing") {
		t.Errorf("close: %v", err)
	}
}

// TestWriterCut gives all chunks of an image that was cut between two of them,
// and is told that these are all.
func TestWriterCut(t *testing.T) {
	t.Parallel()
	for _, version := range []ndz.Version{ndz.V3, ndz.V5} {
		_, disk := made(t, 5<<20)
		var image bytes.Buffer
		src := zip.Source{ReaderAt: bytes.NewReader(disk), Bytes: int64(len(disk))}
		if _, err := zip.Create(t.Context(), src, &image, zip.Options{Raw: true, Version: version}); err != nil {
			t.Fatal(err)
		}
		chunks := image.Len() / ndz.ChunkBytes
		for n := 1; n <= chunks; n++ {
			w, err := unzip.NewWriter(newDisk(int64(len(disk))), unzip.Options{Chunks: n})
			if err != nil {
				t.Fatal(err)
			}
			for i := range n {
				if err := w.Chunk(t.Context(), i, chunk(image.Bytes(), i)); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := w.Close(); (err == nil) != (n == chunks) {
				t.Errorf("%s, %d of %d chunks: %v", version, n, chunks, err)
			}
		}
	}
}

// brokenDisk fails in some way.
type brokenDisk struct {
	*disk
	writes atomic.Int64 // that still go well
	err    error
}

func (d *brokenDisk) WriteAt(p []byte, off int64) (int, error) {
	if d.writes.Add(-1) < 0 {
		return 0, d.err
	}
	return d.disk.WriteAt(p, off)
}

// TestWriterRetry gives a chunk again after a write error.
func TestWriterRetry(t *testing.T) {
	t.Parallel()
	image, want := made(t, 2<<20)
	d := &brokenDisk{disk: newDisk(int64(len(want))), err: errors.New("no space left")}
	d.writes.Store(1)
	w, err := unzip.NewWriter(d, unzip.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(image) / ndz.ChunkBytes {
		err := w.Chunk(context.Background(), i, chunk(image, i))
		if (err != nil) != (i > 0) || err != nil && !errors.Is(err, d.err) {
			t.Errorf("chunk %d: %v", i, err)
		}
	}
	d.writes.Store(100)
	for i := range len(image) / ndz.ChunkBytes {
		if err := w.Chunk(context.Background(), i, chunk(image, i)); err != nil {
			t.Error(err)
		}
	}
	if _, err := w.Close(); err != nil || !bytes.Equal(d.data, want) {
		t.Errorf("close: %v, right data: %v", err, bytes.Equal(d.data, want))
	}
}

// TestFileStops checks that a restore ends at the first error, and when it is
// told to.
func TestFileStops(t *testing.T) {
	t.Parallel()
	image, disk := made(t, 6<<20)
	broken := &brokenDisk{disk: newDisk(int64(len(disk))), err: errors.New("no space left")}
	broken.writes.Store(2)
	_, err := unzip.File(context.Background(), bytes.NewReader(image), int64(len(image)), broken, unzip.Options{Workers: 2})
	if !errors.Is(err, broken.err) {
		t.Errorf("write error: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	opts := unzip.Options{Workers: 2, Progress: func(unzip.Progress) { cancel() }}
	stats, err := unzip.File(ctx, bytes.NewReader(image), int64(len(image)), newDisk(int64(len(disk))), opts)
	if !errors.Is(err, context.Canceled) || stats.Chunks == len(image)/ndz.ChunkBytes {
		t.Errorf("cancelled: %+v, %v", stats, err)
	}
	var out bytes.Buffer
	ctx, cancel = context.WithCancel(context.Background())
	opts.Progress = func(unzip.Progress) { cancel() }
	if _, err := unzip.Stream(ctx, bytes.NewReader(image), &out, opts); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled stream: %v", err)
	}
	if !bytes.Equal(out.Bytes(), disk[:out.Len()]) {
		t.Error("what was streamed is wrong")
	}
}

// TestFileTarget restores over a file that has content.
func TestFileTarget(t *testing.T) {
	t.Parallel()
	image := golden(t, "ext4-4k.ndz.gz")
	want := restoreFile(t, image, unzip.Options{})
	for _, zero := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "disk")
		if err := os.WriteFile(path, bytes.Repeat([]byte{0xa5}, len(want)+4096), 0o600); err != nil {
			t.Fatal(err)
		}
		target, err := unzip.OpenTarget(path)
		if err != nil {
			t.Fatal(err)
		}
		defer target.Close()
		_, err = unzip.File(context.Background(), bytes.NewReader(image), int64(len(image)), target, unzip.Options{ZeroFill: zero})
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if zero != bytes.Equal(got[:len(want)], want) {
			t.Errorf("zero-fill %v: equal %v", zero, !zero)
		}
		if len(got) != len(want)+4096 {
			t.Errorf("zero-fill %v: %d bytes, want %d", zero, len(got), len(want)+4096)
		}
	}
	if _, err := unzip.OpenTarget("/dev/zero"); err == nil {
		t.Error("a character device passes")
	}
}

// discard is a target without bounds that keeps nothing.
type discard struct{}

func (discard) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (discard) Zero(_, _ int64) error                  { return nil }
func (discard) SizeBytes() int64                       { return -1 }
func (discard) Finish(int64) error                     { return nil }

var _ io.WriterAt = discard{}

func BenchmarkFile(b *testing.B) {
	text := bytes.Repeat([]byte("the quick brown fox jumps over the lazy dog\n"), 400<<10)
	for i := range text {
		if i%7 == 0 {
			text[i] ^= byte(i >> 8)
		}
	}
	var out bytes.Buffer
	src := zip.Source{ReaderAt: bytes.NewReader(text), Bytes: int64(len(text))}
	if _, err := zip.Create(context.Background(), src, &out, zip.Options{Raw: true}); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		_, err := unzip.File(context.Background(), bytes.NewReader(out.Bytes()), int64(out.Len()), discard{}, unzip.Options{})
		if err != nil {
			b.Fatal(err)
		}
	}
}
