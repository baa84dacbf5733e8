package delta_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"testing"

	"hyzer/bench/shared"
	"hyzer/imaging/delta"
	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
	"hyzer/imaging/unzip"
	"hyzer/imaging/view"
	"hyzer/imaging/zip"
)

// open puts images on top of each other, whatever they are for.
func open(t *testing.T, images ...[]byte) *view.Disk {
	t.Helper()
	d, err := stack(t, true, images...)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func stack(t *testing.T, anyBase bool, images ...[]byte) (*view.Disk, error) {
	t.Helper()
	var layers []view.Layer
	for _, image := range images {
		m, err := view.Open(bytes.NewReader(image), int64(len(image)), view.Options{})
		if err != nil {
			t.Fatal(err)
		}
		layers = append(layers, view.Layer{Image: m})
	}
	return view.Stack(t.Context(), anyBase, layers...)
}

func parse(t *testing.T, name string) *sig.File {
	t.Helper()
	f, err := sig.Parse(shared.ReadGzip(t, "vectors/ndz/"+name))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// disk is a block device in memory, full of garbage.
type disk struct{ data []byte }

func (d *disk) WriteAt(p []byte, off int64) (int, error) { return copy(d.data[off:], p), nil }
func (d *disk) Zero(off, size int64) error               { clear(d.data[off:][:size]); return nil }
func (d *disk) SizeBytes() int64                         { return int64(len(d.data)) }
func (d *disk) Finish(int64) error                       { return nil }

func restore(t *testing.T, zero bool, images ...[]byte) string {
	t.Helper()
	size := open(t, images[0]).Summary().Last * ndz.SectorBytes
	d := &disk{bytes.Repeat([]byte{0xa5}, int(size))}
	for _, image := range images {
		_, err := unzip.File(context.Background(), bytes.NewReader(image), int64(len(image)), d, unzip.Options{ZeroFill: zero, AnyBase: true})
		if err != nil {
			t.Fatal(err)
		}
	}
	sum := sha256.Sum256(d.data)
	return hex.EncodeToString(sum[:])
}

// sums are the golden results, by the file or name of their entry.
func sums(t *testing.T) (deltas, images map[string]string) {
	t.Helper()
	var m struct {
		Entries []struct {
			File, Name string
			Delta      struct{ SHA256 string } `json:"expect_base_then_delta_on_a5_dev"`
			Expect     map[string]struct{ SHA256 string }
		}
	}
	if err := json.Unmarshal(shared.ReadFile(t, "vectors/ndz/MANIFEST.json"), &m); err != nil {
		t.Fatal(err)
	}
	deltas, images = map[string]string{}, map[string]string{}
	for _, e := range m.Entries {
		deltas[e.File+e.Name] = e.Delta.SHA256
		images[e.File+e.Name] = e.Expect["dev_a5"].SHA256
	}
	return deltas, images
}

// TestGolden makes the deltas that imagedelta made, and the images that
// imageundelta made of them, and restores both to the same disks.
func TestGolden(t *testing.T) {
	t.Parallel()
	deltas, images := sums(t)
	ctx := context.Background()
	for _, name := range []string{"ext4-4k", "fat32", "mbr"} {
		base, next := shared.ReadGzip(t, "vectors/ndz/"+name+".ndz.gz"), shared.ReadGzip(t, "vectors/ndz/"+name+".new.ndz.gz")
		from := delta.Image{Disk: open(t, base), Sig: parse(t, name+".sig.gz")}
		to := delta.Image{Disk: open(t, next), Sig: parse(t, name+".new.sig.gz")}
		var made bytes.Buffer
		if _, err := delta.Make(ctx, from, to, &made, zip.Options{}); err != nil {
			t.Fatal(err)
		}
		if got := restore(t, false, base, made.Bytes()); got != deltas[name+".idelta.ndz.gz"] {
			t.Errorf("%s: base and delta make another disk than the C program's", name)
		}
		theirs := shared.ReadGzip(t, "vectors/ndz/"+name+".idelta.ndz.gz")
		if a, b := open(t, made.Bytes()).Summary(), open(t, theirs).Summary(); a.DataBytes != b.DataBytes || a.Last != b.Last {
			t.Errorf("%s: delta of %d bytes up to %d, want %d up to %d", name, a.DataBytes, a.Last, b.DataBytes, b.Last)
		}
		for _, full := range []*sig.File{nil, parse(t, name+".idelta.sig.gz")} {
			var whole bytes.Buffer
			if _, err := delta.Merge(ctx, open(t, base, theirs), full, &whole, zip.Options{}); err != nil {
				t.Fatal(err)
			}
			want := images[name+".undelta.ndz"]
			if full != nil {
				want = images[name+".undeltaS.ndz"] + images[name+".undeltaS.ndz.gz"]
			}
			if got := restore(t, false, whole.Bytes()); got != want {
				t.Errorf("%s: image of base and delta, signature %v, makes another disk than the C program's", name, full != nil)
			}
		}
	}
}

// TestSame makes a delta of nothing, which restores, and refuses strangers.
func TestSame(t *testing.T) {
	t.Parallel()
	image := shared.ReadGzip(t, "vectors/ndz/"+"ext2-1k-z0.ndz.gz")
	a := delta.Image{Disk: open(t, image), Sig: parse(t, "ext2-1k-z0.sig.gz")}
	var empty bytes.Buffer
	made, err := delta.Make(t.Context(), a, a, &empty, zip.Options{})
	if err != nil || !made.Same || made.DataBytes != ndz.SectorBytes {
		t.Errorf("delta of the same image: %+v, %v", made, err)
	}
	if restore(t, false, image, empty.Bytes()) != restore(t, false, image) {
		t.Error("the empty delta changes the disk")
	}
	b := delta.Image{Disk: a.Disk, Sig: parse(t, "ext2-1k-z0.md5-4k.sig.gz")}
	if _, err := delta.Make(t.Context(), a, b, io.Discard, zip.Options{}); err == nil {
		t.Error("signatures of two kinds pass")
	}
	if _, err := delta.Merge(t.Context(), a.Disk, parse(t, "ext4-4k.sig.gz"), io.Discard, zip.Options{}); !errors.Is(err, view.ErrWrongBase) {
		t.Errorf("a signature of another disk: %v", err)
	}
}

// TestGrownFile puts an image of a file together with a delta of what was added
// to it: the sector that was the last one, and short, is not any more.
func TestGrownFile(t *testing.T) {
	t.Parallel()
	old := bytes.Repeat([]byte("an old file "), 100_000)[:1_000_100]
	now := append(bytes.Clone(old), make([]byte, 3<<20+77)...)
	now[len(now)-1] = 1
	made := func(disk []byte, opts zip.Options) []byte {
		var out bytes.Buffer
		src := zip.Source{ReaderAt: bytes.NewReader(disk), Bytes: int64(len(disk))}
		opts.Raw = true
		if _, err := zip.Create(t.Context(), src, &out, opts); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	var signature sig.File
	base := made(old, zip.Options{Signature: &signature})
	chain := open(t, base, made(now, zip.Options{Base: &signature}))
	for _, version := range []ndz.Version{ndz.V3, ndz.V5} {
		var whole, back bytes.Buffer
		if _, err := delta.Merge(t.Context(), chain, nil, &whole, zip.Options{Version: version}); err != nil {
			t.Fatal(err)
		}
		if _, err := unzip.Stream(t.Context(), &whole, &back, unzip.Options{}); err != nil || !bytes.Equal(back.Bytes(), now) {
			t.Errorf("%s: %d bytes, %v, want %d", version, back.Len(), err, len(now))
		}
	}
}
