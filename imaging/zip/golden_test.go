package zip_test

import (
	"bytes"
	stdzlib "compress/zlib"
	"context"
	"io"
	"testing"

	"hyzer/bench/shared"
	"hyzer/imaging/freemap"
	"hyzer/imaging/internal/sigtest"
	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
	"hyzer/imaging/unzip"
	"hyzer/imaging/zip"
)

func source(img []byte) zip.Source {
	return zip.Source{ReaderAt: bytes.NewReader(img), Bytes: int64(len(img))}
}

// disk is a block device in memory, full of garbage.
type disk struct{ data []byte }

func newDisk(size int) *disk { return &disk{bytes.Repeat([]byte{0xa5}, size)} }

func (d *disk) WriteAt(p []byte, off int64) (int, error) { return copy(d.data[off:], p), nil }
func (d *disk) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(d.data).ReadAt(p, off)
}
func (d *disk) Zero(off, size int64) error { clear(d.data[off:][:size]); return nil }
func (d *disk) SizeBytes() int64           { return int64(len(d.data)) }
func (d *disk) Finish(int64) error         { return nil }

var sources = []struct {
	name  string
	opts  zip.Options
	fails bool
}{
	{name: "ext2-1k"}, {name: "ext3-2k"}, {name: "ext4-4k"}, {name: "ext4-64bit"}, {name: "ext4-Z"},
	{name: "ext4-bigalloc"}, {name: "ext4-csum"}, {name: "ext4-frag-F0"},
	{name: "ext4-frag-F0", opts: zip.Options{MinFreeSectors: -1}},
	{name: "ext4-Z", opts: zip.Options{KeepDeleted: true}},
	{name: "raw", opts: zip.Options{Raw: true}},
	{name: "file-odd", opts: zip.Options{Raw: true}},
	{name: "raw", opts: zip.Options{Raw: true, Version: ndz.V1}},
	{name: "raw", opts: zip.Options{Raw: true, Version: ndz.V2}},
	{name: "ext4-csum", opts: zip.Options{Checksum: true}},
	{name: "ext4-csum", opts: zip.Options{Checksum: true, Key: bytes.Repeat([]byte{7}, ndz.KeyBytes)}},
	{name: "mbr"}, {name: "mbr", opts: zip.Options{Slice: 1}}, {name: "mbr-extended"}, {name: "mbr-unusedentry"},
	{name: "gpt"}, {name: "gpt", opts: zip.Options{Slice: 3}}, {name: "lilo-slice1"}, {name: "bsd-mbr"},
	{name: "gpt", opts: zip.Options{Slice: 99}, fails: true},
}

// TestRoundTrip makes images of the golden disks and restores them over
// garbage: all that is in use must be there, and nothing else written.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, c := range sources {
		for level := range 10 {
			if level != 4 && (c.name != "raw" || c.opts.Version != 0) {
				continue
			}
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				img := shared.ReadGzip(t, "vectors/ndz/"+c.name+".img.gz")
				opts := c.opts
				opts.Level, opts.Workers, opts.Signature = &level, 3, &sig.File{}
				layout, err := zip.Analyze(source(img), opts)
				if (err != nil) != c.fails {
					t.Fatalf("fails %v: %v", c.fails, err)
				}
				if err == nil {
					roundTrip(t, img, layout, opts)
				}
			})
		}
	}
}

func roundTrip(t *testing.T, img []byte, layout *zip.Layout, opts zip.Options) {
	t.Helper()
	ctx := context.Background()
	var out bytes.Buffer
	stats, err := zip.Write(ctx, source(img), layout, &out, opts)
	if err != nil {
		t.Fatal(err)
	}
	if int64(out.Len()) != stats.ImageBytes {
		t.Errorf("%d bytes of image, stats say %d", out.Len(), stats.ImageBytes)
	}
	want := expected(img, layout)
	got := newDisk(len(want))
	decode := ndz.DecodeOptions{Checksum: opts.Checksum, Key: opts.Key}
	if _, err := unzip.File(ctx, bytes.NewReader(out.Bytes()), stats.ImageBytes, got, unzip.Options{Decode: decode, Workers: 2}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.data, want) {
		t.Error("restored disk differs in the data, or free space was written")
	}
	if opts.Key == nil {
		checkRules(t, out.Bytes())
	}
	checkSignature(t, layout, got.data, opts.Signature)
}

// expected is the disk after a restore over garbage.
func expected(img []byte, l *zip.Layout) []byte {
	img = img[l.Base*512:]
	want := bytes.Repeat([]byte{0xa5}, int(l.Sectors)*512)
	each := func(list []freemap.Range, fn func(p []byte, from int)) {
		for _, r := range list {
			end := min(int(r.End)*512, len(img))
			fn(want[r.Start*512:end], int(r.Start)*512)
		}
	}
	each(l.Data, func(p []byte, from int) { copy(p, img[from:]) })
	each(l.Wipe, func(p []byte, _ int) { clear(p) })
	return want
}

// checkRules holds every chunk against what old readers insist on, with
// another inflater.
func checkRules(t *testing.T, image []byte) {
	t.Helper()
	for i := range len(image) / ndz.ChunkBytes {
		chunk := image[i*ndz.ChunkBytes:][:ndz.ChunkBytes]
		h, err := ndz.ParseHeader(chunk)
		if err != nil {
			t.Fatal(ndz.InChunk(err, i))
		}
		if h.Index != i {
			t.Errorf("chunk %d calls itself %d", i, h.Index)
		}
		for k := 1; k < len(h.Regions); k++ {
			if h.Regions[k].Start <= h.Regions[k-1].End() {
				t.Errorf("chunk %d: regions %d and %d touch", i, k-1, k)
			}
		}
		payload := bytes.NewReader(chunk[ndz.HeaderAreaBytes:][:h.PayloadBytes])
		z, err := stdzlib.NewReader(payload)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, z)
		if err != nil || n != h.DataBytes() || payload.Len() != 0 {
			t.Errorf("chunk %d: inflated to %d bytes, want %d; %d left over; %v", i, n, h.DataBytes(), payload.Len(), err)
		}
		if len(bytes.Trim(chunk[ndz.HeaderAreaBytes+h.PayloadBytes:], "\x00")) > 0 {
			t.Errorf("chunk %d: padding is not zero", i)
		}
	}
}

func checkSignature(t *testing.T, l *zip.Layout, data []byte, f *sig.File) {
	t.Helper()
	var ranges []freemap.Range
	for _, r := range sigtest.Records(t, f) {
		ranges = freemap.Append(ranges, r.Start, r.End())
		p := append([]byte(nil), data[r.Start*512:r.End()*512]...)
		if short := l.Relocs; len(short) > 0 && r.End() == l.Sectors {
			clear(p[len(p)-512+short[0].Size:])
		}
		h := f.Type.New()
		h.Write(p)
		if !bytes.Equal(h.Sum(nil), r.Hash[:]) {
			t.Errorf("hash of sectors [%d,%d) is wrong", r.Start, r.End())
		}
		if r.Size > f.BlockSectors || r.End() > f.BlockEnd(r.Start) {
			t.Errorf("record [%d,%d) crosses a block", r.Start, r.End())
		}
	}
	if len(ranges) != len(l.Data) {
		t.Errorf("signature has %d ranges, want %d", len(ranges), len(l.Data))
	}
	back, err := sig.Parse(sigtest.Bytes(t, f))
	if err != nil || back.Len() != f.Len() {
		t.Errorf("signature does not come back: %v", err)
	}
}
