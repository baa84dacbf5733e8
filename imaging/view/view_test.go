package view_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"hyzer/bench/shared"
	"hyzer/imaging/ndz"
	"hyzer/imaging/unzip"
	"hyzer/imaging/view"
	"hyzer/imaging/zip"
)

// memory is a block device of zeros.
type memory struct{ data []byte }

func (d *memory) WriteAt(p []byte, off int64) (int, error) { return copy(d.data[off:], p), nil }
func (d *memory) Zero(off, size int64) error               { clear(d.data[off:][:size]); return nil }
func (d *memory) SizeBytes() int64                         { return int64(len(d.data)) }
func (d *memory) Finish(int64) error                       { return nil }

func openImage(t testing.TB, image []byte, opts view.Options) *view.Image {
	t.Helper()
	m, err := view.Open(bytes.NewReader(image), int64(len(image)), opts)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// random is a disk of so many sectors with runs of noise, of one byte, of zeros.
func random(r *rand.Rand, sectors int) []byte {
	disk := make([]byte, sectors*ndz.SectorBytes)
	for at := 0; at < len(disk); {
		n := min((1+r.IntN(1<<r.IntN(12)))*ndz.SectorBytes, len(disk)-at)
		switch r.IntN(3) {
		case 0:
			for i := range n {
				disk[at+i] = byte(r.Uint32())
			}
		case 1:
			copy(disk[at:], bytes.Repeat([]byte{byte(r.Uint32())}, n))
		}
		at += n
	}
	return disk
}

func raw(t testing.TB, disk []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	src := zip.Source{ReaderAt: bytes.NewReader(disk), Bytes: int64(len(disk))}
	if _, err := zip.Create(context.Background(), src, &out, zip.Options{Raw: true}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestGolden reads what the golden images of every version restore to.
func TestGolden(t *testing.T) {
	t.Parallel()
	ekey, err := ndz.ParseKey(shared.ReadFile(t, "vectors/ndz/v4.ekey"))
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string][]byte{"raw-v1": nil, "ext4-4k": nil, "mbr": nil, "v4-uuid": nil, "file-odd": nil, "v4-enc": ekey} {
		image := shared.ReadGzip(t, "vectors/ndz/"+name+".ndz.gz")
		m := openImage(t, image, view.Options{Decode: ndz.DecodeOptions{Key: key}, CacheBytes: 1 << 20})
		d := &memory{make([]byte, m.Sectors()*ndz.SectorBytes)}
		opts := unzip.Options{Decode: ndz.DecodeOptions{Key: key, AsStored: true}}
		if _, err := unzip.File(t.Context(), bytes.NewReader(image), int64(len(image)), d, opts); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(io.NewSectionReader(m, 0, 1<<62))
		if err != nil || !bytes.Equal(got, d.data) {
			t.Errorf("%s: reads %d bytes unlike the %d restored, %v", name, len(got), len(d.data), err)
		}
		if n, err := m.ReadAt(make([]byte, 8), int64(len(got))); n != 0 || err != io.EOF {
			t.Errorf("%s: reads %d bytes past the end, %v", name, n, err)
		}
	}
}

// TestRandom reads pieces of any size and place from many goroutines, with
// little memory for it.
func TestRandom(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	disk := random(r, 12000)
	m := openImage(t, raw(t, disk), view.Options{CacheBytes: 2 << 20})
	var wg sync.WaitGroup
	for k := range 4 {
		r := rand.New(rand.NewPCG(7, uint64(k)))
		wg.Go(func() {
			for range 40 {
				p := make([]byte, r.IntN(1<<r.IntN(20)+1))
				at := r.IntN(len(disk))
				n, err := m.ReadAt(p, int64(at))
				if want := disk[at:min(at+len(p), len(disk))]; !bytes.Equal(p[:n], want) || (n < len(p)) != (err == io.EOF) {
					t.Errorf("%d bytes at %d: %d wrong bytes, %v", len(p), at, n, err)
				}
			}
		})
	}
	wg.Wait()
}

// TestLargeChunk reads at random from a chunk of more than is kept of one.
func TestLargeChunk(t *testing.T) {
	t.Parallel()
	disk := bytes.Repeat([]byte("this goes on and on ............"), 40<<20/32)
	clear(disk[3<<20 : 9<<20])
	disk[len(disk)-1] = 1
	m := openImage(t, raw(t, disk), view.Options{CacheBytes: 20 << 20})
	if n := m.Summary().Chunks; n != 1 {
		t.Fatalf("%d chunks", n)
	}
	for _, at := range []int{0, 39 << 20, 15 << 20, 31<<20 - 100, 5 << 20, 16<<20 - 1, len(disk) - 200000} {
		p := make([]byte, 200000)
		if n, err := m.ReadAt(p, int64(at)); n != len(p) || err != nil || !bytes.Equal(p, disk[at:at+n]) {
			t.Errorf("at %d: %d wrong bytes, %v", at, n, err)
		}
	}
}

// TestFaults says what is wrong with a chunk every time it is needed, and
// reads the others.
func TestFaults(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(8, 9))
	disk := make([]byte, 4<<20)
	for i := range disk {
		disk[i] = byte(r.Uint32())
	}
	image := raw(t, disk)
	image[ndz.ChunkBytes+ndz.HeaderAreaBytes+777] ^= 1
	m := openImage(t, image, view.Options{})
	for range 2 {
		if n, err := m.ReadAt(make([]byte, 10), 1200000); n != 0 || err == nil || !strings.Contains(err.Error(), "chunk 1, offset") {
			t.Errorf("damaged chunk: %d bytes, %v", n, err)
		}
	}
	p := make([]byte, 1000)
	if _, err := m.ReadAt(p, 3<<20); err != nil || !bytes.Equal(p, disk[3<<20:][:1000]) {
		t.Errorf("another chunk: %v", err)
	}
	if _, err := view.Open(bytes.NewReader(image[:1<<20+5]), 1<<20+5, view.Options{}); err == nil {
		t.Error("half an image opens")
	}
}

// TestStack reads deltas over a full image, and takes out what they freed.
func TestStack(t *testing.T) {
	t.Parallel()
	base := openImage(t, shared.ReadGzip(t, "vectors/ndz/ext4-4k.ndz.gz"), view.Options{})
	over := openImage(t, shared.ReadGzip(t, "vectors/ndz/ext4-4k.idelta.ndz.gz"), view.Options{})
	d, err := view.Stack(t.Context(), false, view.Layer{Image: base}, view.Layer{Image: over})
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, base.Sectors()*ndz.SectorBytes)
	p := make([]byte, len(want))
	if _, err := base.ReadAt(want, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := over.ReadAt(p, 0); err != nil {
		t.Fatal(err)
	}
	for _, r := range over.Data() {
		copy(want[r.Start*ndz.SectorBytes:r.End*ndz.SectorBytes], p[r.Start*ndz.SectorBytes:])
	}
	got, err := io.ReadAll(io.NewSectionReader(d, 0, 1<<62))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("reads %d bytes unlike the two images, %v", len(got), err)
	}
	if _, err := view.Stack(t.Context(), false); err == nil {
		t.Error("a disk of no image")
	}
	if err := d.Prove(t.Context(), ndz.StateID{1}); !errors.Is(err, view.ErrWrongBase) {
		t.Errorf("a state it is not in: %v", err)
	}
}

func BenchmarkReadAt(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	disk := random(r, 80000)
	m := openImage(b, raw(b, disk), view.Options{})
	p := make([]byte, 4096)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.ReadAt(p, int64(r.IntN(len(disk)-len(p)))); err != nil {
			b.Fatal(err)
		}
	}
}
