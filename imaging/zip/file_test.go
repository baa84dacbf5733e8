package zip_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"hyzer/imaging/internal/sigtest"
	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
	"hyzer/imaging/zip"
)

// noise is data of a mixed kind: random, repeating and zero stretches.
func noise(size int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, 0, size)
	for len(b) < size {
		n := min(size-len(b), 1+r.IntN(1<<18))
		switch r.IntN(3) {
		case 0:
			b = append(b, make([]byte, n)...)
		case 1:
			word := []byte("the quick brown fox \x00\x01")
			b = append(b, bytes.Repeat(word, n/len(word)+1)[:n]...)
		default:
			for range n {
				b = append(b, byte(r.Uint32())|byte(r.Uint32()))
			}
		}
	}
	return b
}

// TestManyChunks packs data of several chunks, so that borders, split pieces
// and matches across borders all occur.
func TestManyChunks(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2) {
		for _, level := range []int{0, 4, 9} {
			img := noise(8<<20, seed)
			opts := zip.Options{Raw: true, Level: &level, Workers: 3, Signature: &sig.File{}}
			layout, err := zip.Analyze(source(img), opts)
			if err != nil {
				t.Fatal(err)
			}
			roundTrip(t, img, layout, opts)
			spans := 0
			for _, r := range sigtest.Records(t, opts.Signature) {
				if r.Spans {
					spans++
				}
			}
			if spans == 0 {
				t.Error("no hash block spans two chunks")
			}
		}
	}
}

// TestSameImage checks that the image does not depend on the workers.
func TestSameImage(t *testing.T) {
	t.Parallel()
	img := noise(12<<20, 9)
	var first []byte
	for workers := 1; workers <= 4; workers++ {
		var out bytes.Buffer
		if _, err := zip.Create(context.Background(), source(img), &out, zip.Options{Raw: true, Workers: workers}); err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = out.Bytes()
		}
		if !bytes.Equal(first, out.Bytes()) {
			t.Errorf("image of %d workers is another", workers)
		}
	}
}

// TestPacking checks that chunks of a long image are filled.
func TestPacking(t *testing.T) {
	t.Parallel()
	img := noise(16<<20, 3)
	var out bytes.Buffer
	stats, err := zip.Create(context.Background(), source(img), &out, zip.Options{Raw: true})
	if err != nil {
		t.Fatal(err)
	}
	full := int64(stats.Chunks-1) * ndz.PayloadBytesMax
	if stats.Chunks < 5 || stats.PayloadBytes < full*99/100 {
		t.Errorf("%d bytes in %d chunks, want the chunks 99%% full", stats.PayloadBytes, stats.Chunks)
	}
}

// brokenSource fails past a point.
type brokenSource struct {
	io.ReaderAt
	at int64
}

var errBroken = errors.New("medium error")

func (b brokenSource) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > b.at {
		return 0, errBroken
	}
	return b.ReaderAt.ReadAt(p, off)
}

// TestNoHalfImage checks what is left behind by errors and interruptions.
func TestNoHalfImage(t *testing.T) {
	t.Parallel()
	img := noise(16<<20, 5)
	cancelled, cancel := context.WithCancel(context.Background())
	for _, c := range []struct {
		name string
		ctx  context.Context
		src  zip.Source
		opts zip.Options
		want error
	}{
		{"read error", context.Background(), zip.Source{ReaderAt: brokenSource{bytes.NewReader(img), 9 << 20}, Bytes: int64(len(img))},
			zip.Options{}, errBroken},
		{"interrupted", cancelled, source(img),
			zip.Options{Progress: func(s zip.Stats) {
				if s.Chunks == 2 {
					cancel()
				}
			}}, context.Canceled},
	} {
		dir := t.TempDir()
		c.opts.Raw = true
		_, err := zip.CreateFile(c.ctx, c.src, filepath.Join(dir, "x.ndz"), "", c.opts)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		left, err := os.ReadDir(dir)
		if err != nil || len(left) > 0 {
			t.Errorf("%s: left %v behind, %v", c.name, left, err)
		}
	}
}

// TestCreateFile checks names, times and the number of chunks in V1.
func TestCreateFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "x.ndz")
	img := noise(8<<20, 6)
	opts := zip.Options{Raw: true, Version: ndz.V1, Signature: &sig.File{}}
	stats, err := zip.CreateFile(context.Background(), source(img), path, path+".sig", opts)
	if err != nil {
		t.Fatal(err)
	}
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := ndz.Info(bytes.NewReader(image), int64(len(image)))
	if err != nil || info.Chunks != stats.Chunks || info.Version != ndz.V1 {
		t.Errorf("image %+v, %v; want %d chunks", info, err, stats.Chunks)
	}
	if _, err := ndz.Info(bytes.NewReader(image), int64(len(image)-ndz.ChunkBytes)); err == nil {
		t.Error("a V1 image without its last chunk passes")
	}
	a, errA := os.Stat(path)
	b, errB := os.Stat(path + ".sig")
	if errA != nil || errB != nil || !a.ModTime().Equal(b.ModTime()) {
		t.Errorf("signature and image differ in time: %v, %v", errA, errB)
	}
}

// TestCut cuts images of several chunks between two of them.
func TestCut(t *testing.T) {
	t.Parallel()
	img, none := noise(6<<20, 3), 0
	for _, opts := range []zip.Options{{Level: &none, Version: ndz.V1}, {Level: &none}, {Version: ndz.V5}} {
		opts.Raw = true
		layout, err := zip.Analyze(source(img), opts)
		if err != nil {
			t.Fatal(err)
		}
		var whole bytes.Buffer
		if _, err := zip.Write(context.Background(), source(img), layout, &whole, opts); err != nil {
			t.Fatal(err)
		}
		b := whole.Bytes()
		for n := len(b); n > 0; n -= ndz.ChunkBytes {
			_, err := ndz.Info(bytes.NewReader(b[:n]), int64(n))
			if cut := n < len(b); opts.Version != ndz.V1 && cut != (err != nil) {
				t.Errorf("%s cut to %d of %d bytes: %v", opts.Version, n, len(b), err)
			}
		}
		if len(b) < 2*ndz.ChunkBytes {
			t.Errorf("%s: image of %d bytes is not of several chunks", opts.Version, len(b))
		}
	}
}
