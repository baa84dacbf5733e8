package unzip_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"hyzer/imaging/internal/sigtest"
	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
	"hyzer/imaging/unzip"
	"hyzer/imaging/view"
	"hyzer/imaging/zip"
)

// chain is a disk in two states, and the images that make them.
type chain struct {
	old, now       []byte
	base, delta    []byte
	baseSig, after *sig.File
}

func madeChain(t *testing.T) chain {
	t.Helper()
	c := chain{baseSig: &sig.File{}, after: &sig.File{}}
	_, c.old = made(t, 6<<20)
	c.now = bytes.Clone(c.old)
	for at := 100 << 10; at < len(c.now); at += 1 << 20 {
		c.now[at] ^= 1
	}
	for _, x := range []struct {
		disk  []byte
		image *[]byte
		opts  zip.Options
	}{
		{c.old, &c.base, zip.Options{Raw: true, Signature: c.baseSig}},
		{c.now, &c.delta, zip.Options{Raw: true, Signature: c.after, Base: c.baseSig}},
	} {
		var out bytes.Buffer
		src := zip.Source{ReaderAt: bytes.NewReader(x.disk), Bytes: int64(len(x.disk))}
		if _, err := zip.Create(context.Background(), src, &out, x.opts); err != nil {
			t.Fatal(err)
		}
		*x.image = out.Bytes()
	}
	for i := range len(c.base) / ndz.ChunkBytes { // as zip.CreateFile does
		if _, err := ndz.AddMark(chunk(c.base, i), ndz.Mark{State: c.baseSig.ID()}); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// restores puts an image on a disk in every way there is.
var restores = map[string]func(image []byte, d *disk, o unzip.Options) error{
	"file": func(image []byte, d *disk, o unzip.Options) error {
		_, err := unzip.File(context.Background(), bytes.NewReader(image), int64(len(image)), d, o)
		return err
	},
	"stream": func(image []byte, d *disk, o unzip.Options) error {
		_, err := unzip.Reader(context.Background(), bytes.NewReader(image), d, o)
		return err
	},
}

// TestDeltaBase puts a delta on right and wrong bases.
func TestDeltaBase(t *testing.T) {
	t.Parallel()
	c := madeChain(t)
	damaged := bytes.Clone(c.old)
	damaged[5<<20] ^= 1
	for _, x := range []struct {
		name string
		disk []byte
		opts unzip.Options
		want error
	}{
		{"signature", c.old, unzip.Options{Base: c.baseSig}, nil},
		{"id", c.old, unzip.Options{BaseID: c.baseSig.ID()}, nil},
		{"any", damaged, unzip.Options{AnyBase: true}, nil},
		{"unknown", c.old, unzip.Options{}, unzip.ErrBaseUnknown},
		{"zero-fill", c.old, unzip.Options{Base: c.baseSig, ZeroFill: true}, unzip.ErrDeltaZeroFill},
		{"other id", c.old, unzip.Options{BaseID: c.after.ID()}, unzip.ErrWrongBase},
		{"other signature", c.now, unzip.Options{Base: c.after}, unzip.ErrWrongBase},
		{"damaged base", damaged, unzip.Options{Base: c.baseSig}, unzip.ErrWrongBase},
	} {
		for how, restore := range restores {
			d := newDisk(int64(len(c.old)))
			copy(d.data, x.disk)
			err := restore(c.delta, d, x.opts)
			if !errors.Is(err, x.want) {
				t.Errorf("%s, %s: %v, want %v", x.name, how, err, x.want)
			}
			if x.want != nil && !bytes.Equal(d.data, x.disk) {
				t.Errorf("%s, %s: the disk was written to", x.name, how)
			}
			if x.want == nil && x.name != "any" && !bytes.Equal(d.data, c.now) {
				t.Errorf("%s, %s: the disk is not as the delta makes it", x.name, how)
			}
		}
	}
	_, err := unzip.Stream(context.Background(), bytes.NewReader(c.delta), io.Discard, unzip.Options{AnyBase: true})
	if !errors.Is(err, unzip.ErrDeltaZeroFill) {
		t.Errorf("stream of a delta: %v", err)
	}
}

// TestMixedMarks gives one Writer chunks of two deltas.
func TestMixedMarks(t *testing.T) {
	t.Parallel()
	c := madeChain(t)
	w, err := unzip.NewWriter(newDisk(int64(len(c.old))), unzip.Options{AnyBase: true, Chunks: 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Chunk(context.Background(), 0, chunk(c.base, 0)); err != nil {
		t.Fatal(err)
	}
	if err := w.Chunk(context.Background(), 1, chunk(c.delta, 0)); err == nil {
		t.Error("a chunk of a delta was taken for one of a full image")
	}
	if _, err := w.Close(); err == nil {
		t.Error("close of half an image succeeds")
	}
}

// TestKeep restores over disks that have some of the image's data.
func TestKeep(t *testing.T) {
	t.Parallel()
	c := madeChain(t)
	chunks := len(c.base) / ndz.ChunkBytes
	part := bytes.Clone(c.old)
	clear(part[3<<20:])
	half := &sig.File{Type: sig.SHA1, BlockSectors: 128}
	for _, r := range sigtest.Records(t, c.baseSig)[:40] {
		if err := half.Append(r); err != nil {
			t.Fatal(err)
		}
	}
	for _, x := range []struct {
		name   string
		disk   []byte
		have   *sig.File
		kept   int64 // bytes
		chunks func(chunks int) bool
	}{
		{"all there", c.old, c.baseSig, 6 << 20, func(n int) bool { return n == chunks }},
		{"half there", part, c.baseSig, 3 << 20, func(n int) bool { return n > 0 && n < chunks-1 }},
		{"a bit of each wrong", c.now, c.baseSig, 6<<20 - 6*64<<10, func(n int) bool { return n <= 1 }}, // the last is short
		{"no data hashed", c.old, &sig.File{Type: sig.SHA1, BlockSectors: 128}, 0, func(n int) bool { return n == 0 }},
		{"half hashed", c.old, half, 40 * 64 << 10, func(n int) bool { return n == 2 }},
		{"nothing there", make([]byte, 1000), c.baseSig, 0, func(n int) bool { return n == 0 }},
	} {
		d := newDisk(int64(len(c.old)))
		copy(d.data, x.disk)
		want, err := view.Open(bytes.NewReader(c.base), int64(len(c.base)), view.Options{})
		if err != nil {
			t.Fatal(err)
		}
		keep, err := unzip.Kept(t.Context(), d, ndz.Placement{}, x.have, want, 2)
		if err != nil {
			t.Fatal(err)
		}
		stats, err := unzip.File(t.Context(), bytes.NewReader(c.base), int64(len(c.base)), d, unzip.Options{Keep: keep})
		if err != nil || !bytes.Equal(d.data, c.old) {
			t.Fatalf("%s: disk differs, %v", x.name, err)
		}
		if !x.chunks(stats.KeptChunks) || stats.KeptBytes != x.kept || stats.KeptBytes+stats.WrittenBytes != int64(len(c.old)) || stats.Chunks != chunks {
			t.Errorf("%s: %+v of %d chunks, want %d bytes kept", x.name, stats, chunks, x.kept)
		}
	}
}
