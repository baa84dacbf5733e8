package zip_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"hyzer/imaging/freemap"
	"hyzer/imaging/manifest"
	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
	"hyzer/imaging/unzip"
	"hyzer/imaging/v5"
	"hyzer/imaging/zip"
)

// memory is a disk in memory to restore to.
type memory []byte

func (m memory) WriteAt(p []byte, at int64) (int, error) {
	if at < 0 || at+int64(len(p)) > int64(len(m)) {
		return 0, errors.New("beyond the disk")
	}
	return copy(m[at:], p), nil
}

func (m memory) ReadAt(p []byte, at int64) (int, error) { return bytes.NewReader(m).ReadAt(p, at) }

func (m memory) Zero(at, size int64) error { clear(m[at : at+size]); return nil }
func (m memory) SizeBytes() int64          { return int64(len(m)) }
func (m memory) Finish(int64) error        { return nil }

// randomDisk has runs of noise, of text, of zeros and of what was there before.
func randomDisk(r *rand.Rand, bytes int) []byte {
	disk := make([]byte, bytes)
	noise := rand.NewChaCha8([32]byte{byte(r.IntN(256))})
	for at := 0; at < bytes; {
		run := disk[at:min(bytes, at+(1+r.IntN(200))*4096)]
		switch kind := r.IntN(6); {
		case kind == 0:
			noise.Read(run)
		case kind == 1 && at > 0:
			copy(run, disk[r.IntN(at)/4096*4096:])
		case kind > 2:
			for i := range run {
				run[i] = "the quick brown fox jumps over the lazy dog\n"[(i*i>>5+r.IntN(3))%44]
			}
		}
		at += len(run)
	}
	return disk
}

// randomLayout keeps some of a disk.
func randomLayout(r *rand.Rand, sectors, align uint64) *zip.Layout {
	l := &zip.Layout{Scheme: "test", Sectors: sectors}
	for at := uint64(0); at < sectors; {
		end := min(sectors, at+(1+r.Uint64N(sectors/4/align))*align)
		if r.IntN(4) > 0 {
			l.Data = freemap.Append(l.Data, at, end)
		}
		at = end
	}
	if len(l.Data) == 0 {
		l.Data = freemap.Append(l.Data, 0, align)
	}
	return l
}

func seededRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 5)) }

// TestV5RoundTrip images random disks and restores them onto other data.
func TestV5RoundTrip(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := seededRand(seed)
			sector := 512 << r.IntN(8)
			codec := v5.Codec(r.IntN(3))
			level := r.IntN(7)
			disk := randomDisk(r, (1+r.IntN(80))*65536)
			l := randomLayout(r, uint64(len(disk)/512), uint64(sector/512))
			image, m := makeV5(t, disk, l, zip.Options{Codec: &codec, SectorBytes: sector, Level: &level, ImageVersion: uint32(seed), SegmentBytes: 1 << (18 + seed)})
			checkV5(t, image, sector, uint32(seed))
			if again, err := manifest.Build(bytes.NewReader(image), m.Identity); err != nil || !slices.Equal(again.Chunks, m.Chunks) {
				t.Errorf("the manifest made while writing is not that of the image: %v", err)
			}
			restoreV5(t, image, disk, l.Data, r.IntN(2) == 0)
		})
	}
}

func makeV5(t *testing.T, disk []byte, l *zip.Layout, opts zip.Options) ([]byte, *manifest.Manifest) {
	t.Helper()
	var out bytes.Buffer
	opts.Version, opts.Manifest = ndz.V5, &manifest.Manifest{}
	src := zip.Source{ReaderAt: bytes.NewReader(disk), Bytes: int64(len(disk))}
	stats, err := zip.Write(context.Background(), src, l, &out, opts)
	if err != nil {
		t.Fatal(err)
	}
	if stats.DataBytes != int64(freemap.Total(l.Data))*512 || stats.ImageBytes != int64(out.Len()) {
		t.Errorf("stats %+v of an image of %d bytes", stats, out.Len())
	}
	return out.Bytes(), opts.Manifest
}

// checkV5 looks at the heads, and at each chunk alone.
func checkV5(t *testing.T, image []byte, sector int, version uint32) {
	t.Helper()
	sum, err := ndz.Info(bytes.NewReader(image), int64(len(image)))
	if err != nil {
		t.Fatal(err)
	}
	if sum.Version != ndz.V5 || sum.SectorBytes != sector || sum.ImageVersion != version {
		t.Errorf("summary %+v", sum)
	}
}

// restoreV5 restores the chunks in any order over other data, and in their
// order to a stream.
func restoreV5(t *testing.T, image, disk []byte, data []freemap.Range, zero bool) {
	t.Helper()
	want, got := make([]byte, len(disk)), make(memory, len(disk))
	for i := range got {
		if got[i] = 0xaa; !zero {
			want[i] = 0xaa
		}
	}
	for _, r := range data {
		copy(want[r.Start*512:r.End*512], disk[r.Start*512:])
	}
	w, err := unzip.NewWriter(got, unzip.Options{ZeroFill: zero, Chunks: len(image) >> 20})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range rand.Perm(len(image) >> 20) {
		if err := w.Chunk(context.Background(), i, image[i<<20:(i+1)<<20]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("restored disk differs")
	}
	var out bytes.Buffer
	if _, err := unzip.Stream(context.Background(), bytes.NewReader(image), &out, unzip.Options{}); err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if got[i] = want[i]; !zero && want[i] == 0xaa {
			got[i] = out.Bytes()[i] // free space that is zeros there
		}
	}
	if !bytes.Equal(out.Bytes(), got) {
		t.Error("restored stream differs")
	}
}

// TestV5SameForAnyWorkers makes one image with any number of workers.
func TestV5SameForAnyWorkers(t *testing.T) {
	t.Parallel()
	r := seededRand(99)
	disk := randomDisk(r, 10<<20)
	l := randomLayout(r, uint64(len(disk)/512), 8)
	var first []byte
	for _, workers := range []int{1, 2, 7} {
		image, _ := makeV5(t, disk, l, zip.Options{Workers: workers, ImageID: &ndz.ImageID{1}, SegmentBytes: 4 << 20})
		if first == nil {
			first = image
		}
		if !bytes.Equal(first, image) {
			t.Errorf("%d workers make another image", workers)
		}
	}
}

// TestV5Signature makes signature and image in one pass, and the same from the
// image.
func TestV5Signature(t *testing.T) {
	t.Parallel()
	r := seededRand(7)
	disk := randomDisk(r, 6<<20)
	l := randomLayout(r, uint64(len(disk)/512), 8)
	s := &sig.File{}
	image, m := makeV5(t, disk, l, zip.Options{Signature: s, SegmentBytes: 4 << 20})
	got, err := sig.Image(context.Background(), bytes.NewReader(image), int64(len(image)), sig.HashOptions{JoinSpans: true})
	if err != nil {
		t.Fatal(err)
	}
	if got.ID() != s.ID() {
		t.Errorf("signature of the image is %s, the one made with it %s", got.ID(), s.ID())
	}
	if m.State != manifest.StateID(s.ID()) {
		t.Errorf("manifest says state %s, want %s", m.State, s.ID())
	}
}

// TestV5Delta restores a delta over its base, and refuses another.
func TestV5Delta(t *testing.T) {
	t.Parallel()
	ctx, r := context.Background(), seededRand(3)
	before := randomDisk(r, 8<<20)
	src := func(disk []byte) zip.Source {
		return zip.Source{ReaderAt: bytes.NewReader(disk), Bytes: int64(len(disk))}
	}
	var full, over bytes.Buffer
	s := &sig.File{}
	if _, err := zip.Create(ctx, src(before), &full, zip.Options{Raw: true, Version: ndz.V5, Signature: s}); err != nil {
		t.Fatal(err)
	}
	after := bytes.Clone(before)
	for range 9 {
		copy(after[r.IntN(100)*70000:], "changed")
	}
	if _, err := zip.Create(ctx, src(after), &over, zip.Options{Raw: true, Version: ndz.V5, Base: s}); err != nil {
		t.Fatal(err)
	}
	restore := func(disk memory, opts unzip.Options) error {
		_, err := unzip.File(ctx, bytes.NewReader(over.Bytes()), int64(over.Len()), disk, opts)
		return err
	}
	disk := memory(bytes.Clone(before))
	disk[5000]++
	spoilt := bytes.Clone(disk)
	for _, c := range []struct {
		opts unzip.Options
		want error
	}{
		{unzip.Options{}, unzip.ErrBaseUnknown},
		{unzip.Options{Base: s}, unzip.ErrWrongBase},
		{unzip.Options{BaseID: ndz.StateID{1}}, unzip.ErrWrongBase},
		{unzip.Options{ZeroFill: true, AnyBase: true}, unzip.ErrDeltaZeroFill},
	} {
		if err := restore(disk, c.opts); !errors.Is(err, c.want) || !bytes.Equal(disk, spoilt) {
			t.Errorf("error %v, want %v; or something was written", err, c.want)
		}
	}
	disk[5000]--
	if err := restore(disk, unzip.Options{Base: s}); err != nil || !bytes.Equal(disk, after) {
		t.Errorf("delta on its base: %v", err)
	}
	if _, err := unzip.Stream(ctx, &over, io.Discard, unzip.Options{}); !errors.Is(err, unzip.ErrDeltaZeroFill) {
		t.Errorf("delta to a stream: %v", err)
	}
}

// TestV5Loose has more zeros and repeats behind data that is not measured than
// a chunk may lose again.
func TestV5Loose(t *testing.T) {
	t.Parallel()
	disk := make([]byte, 12<<20)
	copy(disk, newNoisyDisk()[:50<<10])
	for at := 6 << 20; at < len(disk); at += 8192 {
		copy(disk[at:], disk[:4096])
	}
	copy(disk[11<<20:], newNoisyDisk())
	for _, codec := range []v5.Codec{v5.Zstd, v5.Zlib} {
		l := wholeDisk(int64(len(disk)))
		image, _ := makeV5(t, disk, l, zip.Options{Codec: &codec})
		restoreV5(t, image, disk, l.Data, false)
	}
}
