package zip_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"testing"

	"hyzer/bench/shared"
	"hyzer/imaging/freemap"
	"hyzer/imaging/internal/sigtest"
	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
	"hyzer/imaging/unzip"
	"hyzer/imaging/zip"
)

// patched is a golden disk with its golden changes laid over it.
func patched(t *testing.T, name string) []byte {
	t.Helper()
	const blockBytes = 4096
	img, changes := shared.ReadGzip(t, "vectors/ndz/"+name+".img.gz"), shared.ReadGzip(t, "vectors/ndz/"+name+".new.blocks.gz")
	for ; len(changes) > 0; changes = changes[4+blockBytes:] {
		copy(img[int(binary.LittleEndian.Uint32(changes))*blockBytes:], changes[4:4+blockBytes])
	}
	return img
}

func parseSig(t *testing.T, name string) *sig.File {
	t.Helper()
	f, err := sig.Parse(shared.ReadGzip(t, "vectors/ndz/"+name))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestDelta makes the deltas that the C program made with -H, from its
// signatures, and lays them over its base images.
func TestDelta(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"ext4-4k", "fat32", "mbr"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			img := patched(t, name)
			full := &sig.File{}
			opts := zip.Options{KeepDeleted: true, Base: parseSig(t, name+".sig.gz"), Signature: full, Workers: 2}
			var delta bytes.Buffer
			if _, err := zip.Create(context.Background(), source(img), &delta, opts); err != nil {
				t.Fatal(err)
			}
			got, last := imageRanges(t, delta.Bytes())
			want, wantLast := imageRanges(t, shared.ReadGzip(t, "vectors/ndz/"+name+".hdelta.ndz.gz"))
			if more := freemap.Subtract(got, want); len(freemap.Subtract(want, got)) > 0 || last != wantLast ||
				len(more) > 0 && fmt.Sprint(more) != "[{63 2048}]" {
				t.Errorf("delta has %v up to %d, want %v up to %d", got, last, want, wantLast)
			}
			base := shared.ReadGzip(t, "vectors/ndz/"+name+".ndz.gz")
			d := newDisk(len(img))
			for _, image := range [][]byte{base, delta.Bytes()} {
				if _, err := unzip.File(context.Background(), bytes.NewReader(image), int64(len(image)), d, unzip.Options{Base: opts.Base}); err != nil {
					t.Fatal(err)
				}
			}
			if bad, err := sig.Check(context.Background(), bytes.NewReader(d.data), full, 1, nil); err != nil || bad.Bad > 0 {
				t.Errorf("%d blocks are not as the new signature says, %v", bad.Bad, err)
			}
			if name != "mbr" { // of which we keep more
				checkDeltaSum(t, name, d.data)
				sameSignature(t, full, parseSig(t, name+".new.Usig.gz"))
			}
		})
	}
}

func checkDeltaSum(t *testing.T, name string, disk []byte) {
	t.Helper()
	var m struct {
		Entries []struct {
			File  string
			Delta struct{ SHA256 string } `json:"expect_base_then_delta_on_a5_dev"`
		}
	}
	if err := json.Unmarshal(shared.ReadFile(t, "vectors/ndz/MANIFEST.json"), &m); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(disk)
	for _, e := range m.Entries {
		if e.File == name+".hdelta.ndz.gz" && e.Delta.SHA256 != hex.EncodeToString(sum[:]) {
			t.Errorf("base and delta make another disk than the C program's")
		}
	}
}

// sameSignature compares all but the chunks, which depend on the compressor.
func sameSignature(t *testing.T, got, want *sig.File) {
	t.Helper()
	if got.Len() != want.Len() {
		t.Fatalf("%d records, want %d", got.Len(), want.Len())
	}
	all := sigtest.Records(t, got)
	for i, r := range sigtest.Records(t, want) {
		g := all[i]
		if g.Start != r.Start || g.Size != r.Size || g.Hash != r.Hash {
			t.Errorf("record %d is [%d,%d) %x, want [%d,%d) %x", i, g.Start, g.End(), g.Hash, r.Start, r.End(), r.Hash)
		}
	}
}

// TestNoDelta makes a delta against the very disk, and one that is better a
// full image.
func TestNoDelta(t *testing.T) {
	t.Parallel()
	img := noise(6<<20, 8)
	base := &sig.File{}
	var full, delta bytes.Buffer
	ctx := context.Background()
	stats, err := zip.Create(ctx, source(img), &full, zip.Options{Raw: true, Signature: base})
	if err != nil {
		t.Fatal(err)
	}
	again := &sig.File{}
	if _, err = zip.Create(ctx, source(img), &delta, zip.Options{Raw: true, Base: base, Signature: again}); err != nil {
		t.Fatal(err)
	}
	d := &disk{bytes.Clone(img)}
	done, err := unzip.File(ctx, bytes.NewReader(delta.Bytes()), int64(delta.Len()), d, unzip.Options{Base: base})
	if err != nil || done.WrittenBytes != ndz.SectorBytes || !bytes.Equal(d.data, img) {
		t.Errorf("delta of nothing wrote %d bytes, %v", done.WrittenBytes, err)
	}
	delta.Reset()
	sameSignature(t, again, base)
	for i := range len(img) * 2 / 3 {
		img[i]++
	}
	var chosen *zip.Layout
	opts := zip.Options{Raw: true, Base: base, FullPercent: 50, Chosen: func(l *zip.Layout) { chosen = l }}
	got, err := zip.Create(ctx, source(img), &delta, opts)
	if err != nil || chosen.Delta || got.DataBytes != stats.DataBytes {
		t.Errorf("delta of two thirds is %+v, %v", got, err)
	}
}
