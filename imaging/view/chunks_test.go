package view_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"hyzer/imaging/delta"
	"hyzer/imaging/freemap"
	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
	"hyzer/imaging/view"
	"hyzer/imaging/zip"
)

// TestChecker holds chunks, as they come, against signatures of all kinds of
// blocks, right and wrong: it must find what a Disk finds that is read at random.
func TestChecker(t *testing.T) {
	t.Parallel()
	const sectors = 16 << 20 / 512
	random := rand.New(rand.NewPCG(3, 4))
	disk := make([]byte, sectors*512)
	for i := range disk { // half compresses
		disk[i] = byte(random.Uint32())
		if i/4096%2 == 0 {
			disk[i] &= 1
		}
	}
	data := []freemap.Range{{Start: 3, End: 9000}, {Start: 9001, End: 9002}, {Start: 9100, End: 30_000}, {Start: 30_128, End: sectors - 7}}
	for _, version := range []ndz.Version{ndz.V1, ndz.V3, ndz.V5} {
		var out bytes.Buffer
		src := zip.Source{ReaderAt: bytes.NewReader(disk), Bytes: int64(len(disk))}
		layout := &zip.Layout{Sectors: sectors, Data: append([]freemap.Range(nil), data...)}
		if _, err := zip.Write(t.Context(), src, layout, &out, zip.Options{Version: version}); err != nil {
			t.Fatal(err)
		}
		for _, block := range []uint64{1, 7, 128, 8192, 65536} {
			t.Run(fmt.Sprintf("%s, %d", version, block), func(t *testing.T) {
				t.Parallel()
				m, err := view.Open(bytes.NewReader(out.Bytes()), int64(out.Len()), view.Options{})
				if err != nil {
					t.Fatal(err)
				}
				d, err := view.Stack(t.Context(), false, view.Layer{Image: m})
				if err != nil {
					t.Fatal(err)
				}
				s, err := delta.Sign(t.Context(), d, sig.SHA1, block)
				if err != nil {
					t.Fatal(err)
				}
				for name, s := range signatures(t, s) {
					want, err := d.Check(t.Context(), s)
					if err != nil {
						t.Fatal(err)
					}
					if got := checkChunks(t, out.Bytes(), s); got != want {
						t.Errorf("%s: found %+v, want %+v", name, got, want)
					}
					if right := want.Fault() == nil; right != (name == "right" || name == "of free sectors") {
						t.Errorf("%s: %+v", name, want)
					}
				}
			})
		}
	}
}

// signatures are a right one and others made of it.
func signatures(t *testing.T, right *sig.File) map[string]*sig.File {
	t.Helper()
	all := map[string]*sig.File{"right": right}
	for name, change := range map[string]func(i int, r *sig.Record) bool{
		"wrong":           func(i int, r *sig.Record) bool { r.Hash[0] ^= byte(i % 2); return true },
		"short":           func(i int, r *sig.Record) bool { return i%3 != 2 },
		"of free sectors": func(_ int, r *sig.Record) bool { r.Size += freeAfter(r.End()); return true },
		"empty":           func(int, *sig.Record) bool { return false },
	} {
		f := &sig.File{Type: right.Type, BlockSectors: right.BlockSectors}
		c := right.From(0)
		for i := 1; c.Next(); i++ {
			if r := c.Record(); change(i, &r) {
				if err := f.Append(r); err != nil {
					t.Fatal(err)
				}
			}
		}
		if c.Err() != nil {
			t.Fatal(c.Err())
		}
		all[name] = f
	}
	return all
}

// freeAfter is how much of the free space of TestChecker's disk a record that
// ends before it is to cover.
func freeAfter(end uint64) uint64 {
	switch end {
	case 9000:
		return 1
	case 30_000:
		return 100
	}
	return 0
}

// checkChunks hands the chunks to a Checker as they are decoded.
func checkChunks(t *testing.T, image []byte, s *sig.File) view.Checked {
	t.Helper()
	c := view.NewChecker(s)
	err := ndz.Each(context.Background(), bytes.NewReader(image), len(image)/ndz.ChunkBytes, c.Workers(3), ndz.DecodeOptions{AsStored: true},
		func(_ int, h *ndz.Header, d *ndz.Decoder) error { return c.Chunk(h, d) })
	if err != nil {
		t.Fatal(err)
	}
	return c.Checked()
}
