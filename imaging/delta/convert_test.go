package delta_test

import (
	"bytes"
	"context"
	"reflect"
	"strings"
	"testing"

	"hyzer/bench/shared"
	"hyzer/imaging/delta"
	"hyzer/imaging/freemap"
	"hyzer/imaging/manifest"
	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
	"hyzer/imaging/unzip"
	"hyzer/imaging/v5"
	"hyzer/imaging/zip"
)

// convert writes an image in another version.
func convert(t *testing.T, image []byte, opts zip.Options) []byte {
	t.Helper()
	var out bytes.Buffer
	if _, err := delta.Merge(t.Context(), open(t, image), nil, &out, opts); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// restored is what an image makes of a disk of garbage, moved to a place.
func restored(t *testing.T, image []byte, at ndz.Placement) []byte {
	t.Helper()
	sum, err := ndz.Info(bytes.NewReader(image), int64(len(image)))
	if err != nil {
		t.Fatal(err)
	}
	d := &disk{bytes.Repeat([]byte{0xa5}, int(max(sum.Last, at.Start+at.Size))*ndz.SectorBytes)}
	opts := unzip.Options{Decode: ndz.DecodeOptions{Placement: at}, AnyBase: true}
	if _, err := unzip.File(t.Context(), bytes.NewReader(image), int64(len(image)), d, opts); err != nil {
		t.Fatal(err)
	}
	return d.data
}

// TestConvert takes images of the old program to V5 and back.
func TestConvert(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		at   ndz.Placement
	}{
		{name: "ext4-4k"}, {name: "ext4-4k.hdelta"}, {name: "mbr"}, {name: "raw-v1"}, {name: "file-odd"}, {name: "v4-uuid"}, {name: "swap"},
		{"bsd-slice1", ndz.Placement{Start: 4096, Size: 65536}}, {"lilo-slice1", ndz.Placement{Start: 4096, Size: 65536}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			old := shared.ReadGzip(t, "vectors/ndz/"+c.name+".ndz.gz")
			want := open(t, old)
			five := convert(t, old, zip.Options{Version: ndz.V5, ImageVersion: 4})
			three := convert(t, five, zip.Options{})
			for version, image := range map[ndz.Version][]byte{ndz.V5: five, ndz.V3: three} {
				got := open(t, image)
				sum, was := got.Summary(), want.Summary()
				if sum.Version != version || sum.Last != was.Last || sum.EndBytes != was.EndBytes || sum.Mark != was.Mark {
					t.Errorf("%s: summary %+v, was %+v", version, sum, was)
				}
				if !reflect.DeepEqual(got.Data(), want.Data()) {
					t.Errorf("%s: data at %v, was at %v", version, got.Data(), want.Data())
				}
				if !reflect.DeepEqual(relocsOf(t, image), relocsOf(t, old)) {
					t.Errorf("%s: relocations %v, were %v", version, relocsOf(t, image), relocsOf(t, old))
				}
				if !bytes.Equal(restored(t, image, c.at), restored(t, old, c.at)) {
					t.Errorf("%s: restores another disk", version)
				}
			}
			if id := want.Summary().ImageID; id != (ndz.ImageID{}) && open(t, five).Summary().ImageID != id {
				t.Error("V5: image id is lost")
			}
		})
	}
}

func relocsOf(t *testing.T, image []byte) []ndz.Reloc {
	t.Helper()
	relocs, err := open(t, image).Relocs()
	if err != nil {
		t.Fatal(err)
	}
	return relocs
}

// TestConvertMark keeps what a delta goes on top of, both ways, and the name of
// the image.
func TestConvertMark(t *testing.T) {
	t.Parallel()
	before := bytes.Repeat([]byte("before"), 200000)
	after := append(bytes.Repeat([]byte("after"), 1000), before[5000:]...)
	src := func(b []byte) zip.Source { return zip.Source{ReaderAt: bytes.NewReader(b), Bytes: int64(len(b))} }
	s, m := &sig.File{}, &manifest.Manifest{}
	var full, over bytes.Buffer
	if _, err := zip.Create(context.Background(), src(before), &full, zip.Options{Raw: true, Signature: s}); err != nil {
		t.Fatal(err)
	}
	opts := zip.Options{Raw: true, Base: s, Version: ndz.V5, ImageID: &ndz.ImageID{9}, ImageVersion: 7, Manifest: m}
	if _, err := zip.Create(context.Background(), src(after), &over, opts); err != nil {
		t.Fatal(err)
	}
	three := convert(t, over.Bytes(), zip.Options{})
	again := convert(t, over.Bytes(), zip.Options{Version: ndz.V5, Codec: new(v5.Codec)})
	mark := open(t, over.Bytes()).Summary().Mark
	if !mark.Delta || mark.Base != s.ID() || mark.State.IsZero() {
		t.Errorf("mark %+v", mark)
	}
	if got := open(t, three).Summary().Mark; got != mark {
		t.Errorf("V3: mark %+v, was %+v", got, mark)
	}
	if sum := open(t, again).Summary(); sum.Mark != mark || sum.ImageID != *opts.ImageID || sum.ImageVersion != 7 {
		t.Errorf("V5: summary %+v", sum)
	}
	want := manifest.Identity{ImageID: manifest.ImageID{9}, Version: 7, Base: manifest.StateID(mark.Base), State: manifest.StateID(mark.State)}
	if m.Identity != want {
		t.Errorf("manifest of %+v, want %+v", m.Identity, want)
	}
}

// TestConvertRefuses has what V3 cannot hold.
func TestConvertRefuses(t *testing.T) {
	t.Parallel()
	far := uint64(1) << 33
	l := &zip.Layout{Sectors: far + 8, Data: []freemap.Range{{Start: 0, End: 8}, {Start: far, End: far + 8}}}
	var big, wide bytes.Buffer
	src := zip.Source{ReaderAt: bytes.NewReader(make([]byte, 4096)), Bytes: 4096}
	five := zip.Options{Version: ndz.V5}
	if _, err := zip.Write(t.Context(), zip.Source{ReaderAt: endless{}, Bytes: 1 << 62}, l, &big, five); err != nil {
		t.Fatal(err)
	}
	five.SectorBytes, five.Raw = 4096, true
	if _, err := zip.Create(t.Context(), src, &wide, five); err != nil {
		t.Fatal(err)
	}
	for want, image := range map[string][]byte{"2 TiB": big.Bytes(), "": wide.Bytes()} {
		var out bytes.Buffer
		if _, err := delta.Merge(t.Context(), open(t, image), nil, &out, zip.Options{}); (err == nil) != (want == "") || want != "" && (!strings.Contains(err.Error(), want) || out.Len() > 0) {
			t.Errorf("error %v, want %q; %d bytes written", err, want, out.Len())
		}
		again := convert(t, image, zip.Options{Version: ndz.V5})
		if got, was := open(t, again), open(t, image); !reflect.DeepEqual(got.Data(), was.Data()) || got.Summary().SectorBytes != was.Summary().SectorBytes {
			t.Errorf("V5: %+v, was %+v", got.Summary(), was.Summary())
		}
	}
}

// endless is a disk of bytes that tell where they are.
type endless struct{}

func (endless) ReadAt(p []byte, at int64) (int, error) {
	for i := range p {
		p[i] = byte((at + int64(i)) >> 9)
	}
	return len(p), nil
}
