package fuzz

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"testing"

	"hyzer/bench/shared"
	"hyzer/imaging/ndz"
	"hyzer/imaging/unzip"
)

func ndzGunzip(tb testing.TB, data []byte) []byte {
	tb.Helper()
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		tb.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// ndzSeeds are small: a chunk's padding is put back by fullChunk.
var ndzSeeds = []string{
	"swap", "lilo-slice1", "bsd-slice1", "file-odd", "raw-v1", "v4-sha1-unsigned", "fat32.hdelta",
	"malformed/good", "malformed/v2-ok", "malformed/reloc-bad-type", "malformed/region-overlap",
	"malformed/size-long", "malformed/zlib-bomb", "malformed/reloc-count-huge",
}

func addChunks(f *testing.F) {
	for _, name := range ndzSeeds {
		image := ndzGunzip(f, shared.ReadFile(f, "vectors/ndz/"+name+".ndz.gz"))
		f.Add(bytes.TrimRight(image[:ndz.ChunkBytes], "\x00"))
	}
}

func fullChunk(b []byte) []byte {
	chunk := make([]byte, ndz.ChunkBytes)
	copy(chunk, b)
	return chunk
}

// FuzzHeader checks that what parses can be written and comes back.
func FuzzHeader(f *testing.F) {
	addChunks(f)
	marked := ndz.Header{Version: ndz.V3, PayloadBytes: 9000, RegionAreaBytes: ndz.HeaderAreaBytes, Last: 99,
		Regions: []ndz.Region{{Start: 7, Size: 9}}, Mark: ndz.Mark{Delta: true, Base: ndz.StateID{1}, State: ndz.StateID{2}}}
	head, err := marked.AppendTo(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(head)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ndz.ParseHeader(b)
		if err != nil {
			return
		}
		area, err := h.AppendTo(nil)
		if err != nil {
			t.Fatalf("parsed header cannot be written: %v", err)
		}
		again, err := ndz.ParseHeader(area)
		if err != nil {
			t.Fatalf("written header does not parse: %v", err)
		}
		if len(again.Regions) != len(h.Regions) || again.DataBytes() != h.DataBytes() || again.Last != h.Last || again.Mark != h.Mark {
			t.Fatalf("comes back different: %+v, was %+v", again, h)
		}
	})
}

// boundedDisk is a target that holds nothing, but minds where writes go.
type boundedDisk struct {
	t    *testing.T
	size int64
	n    int64
}

func (d *boundedDisk) WriteAt(p []byte, off int64) (int, error) {
	d.check(off, int64(len(p)))
	d.n += int64(len(p))
	return len(p), nil
}

func (d *boundedDisk) check(off, size int64) {
	if off < 0 || size < 0 || off+size > d.size {
		d.t.Fatalf("write of %d bytes at %d of %d", size, off, d.size)
	}
}

func (d *boundedDisk) Zero(off, size int64) error { d.check(off, size); return nil }
func (d *boundedDisk) SizeBytes() int64           { return d.size }
func (d *boundedDisk) Finish(int64) error         { return nil }

// FuzzRestore restores a one-chunk image, as it is and into a partition.
// Nothing may be written outside, and nothing at all before an error.
func FuzzRestore(f *testing.F) {
	addChunks(f)
	const diskBytes = 64 << 20
	f.Fuzz(func(t *testing.T, b []byte) {
		chunk := fullChunk(b)
		for _, p := range []ndz.Placement{{}, {Start: 1000, Size: 33792}} {
			d := &boundedDisk{t: t, size: diskBytes}
			opts := unzip.Options{ZeroFill: true, Workers: 1, Decode: ndz.DecodeOptions{Placement: p}}
			stats, err := unzip.File(context.Background(), bytes.NewReader(chunk), ndz.ChunkBytes, d, opts)
			if err != nil && d.n > 0 {
				t.Fatalf("%d bytes were written before: %v", d.n, err)
			}
			if err == nil && stats.WrittenBytes != d.n {
				t.Fatalf("stats say %d bytes, %d were written", stats.WrittenBytes, d.n)
			}
		}
	})
}
