package imaging_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"hyzer/bench/shared"
	"hyzer/imaging/delta"
	"hyzer/imaging/internal/sigtest"
	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
	"hyzer/imaging/view"
	"hyzer/imaging/zip"
)

// entry is one line of the manifest of the golden files.
type entry struct {
	File    string
	Name    string
	Kind    string
	SHA256  string
	Content string `json:"content_sha256"`
	Note    string
	Made    string `json:"made_by"`
}

func (e entry) base() string { return strings.TrimSuffix(e.File, ".gz") }

// TestEveryEntry does with every golden file what can be done with one of its
// kind; none may be of a kind that nothing is done with. What the entries say
// about restores, signatures, deltas, free space and descriptions is tested in
// imaging/unzip, sig, delta, zip, freemap/ext and ndz.
func TestEveryEntry(t *testing.T) {
	t.Parallel()
	var m struct{ Entries []entry }
	if err := json.Unmarshal(shared.ReadFile(t, "vectors/ndz/MANIFEST.json"), &m); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, e := range m.Entries {
		kind := e.kind()
		seen[kind]++
		if kind == "result" {
			continue // of a run of the C programs, without a file
		}
		check := map[string]func(*testing.T, entry, []byte){
			"image": rewrite, "delta": rewrite, "malformed": malformed, "source": source, "source-patch": patch,
			"signature": signature, "text": text, "key": key,
		}[kind]
		if check == nil {
			t.Errorf("%s%s is of a kind that is not known: %q", e.File, e.Name, kind)
			continue
		}
		t.Run(e.File+e.Name, func(t *testing.T) {
			t.Parallel()
			check(t, e, e.read(t))
		})
	}
	want := map[string]int{"image": 38, "delta": 6, "malformed": 33, "source": 24, "source-patch": 3, "signature": 44, "key": 3}
	for kind, n := range want {
		if seen[kind] < n {
			t.Errorf("%d entries of kind %s, want %d: %v", seen[kind], kind, n, seen)
		}
	}
}

// kind is what an entry is, also where it does not say.
func (e entry) kind() string {
	switch {
	case e.File == "":
		return "result"
	case e.Kind != "":
		return e.Kind
	case strings.HasSuffix(e.File, ".txt"):
		return "text"
	case strings.HasSuffix(e.File, "key"):
		return "key"
	}
	return ""
}

// read reads the file of an entry, and holds it against its sums.
func (e entry) read(t *testing.T) []byte {
	t.Helper()
	b := shared.ReadFile(t, "vectors/ndz/"+e.File)
	if got := sha256.Sum256(b); hex.EncodeToString(got[:]) != e.SHA256 {
		t.Errorf("%s is not the golden file", e.File)
	}
	if e.Content == "" {
		return b
	}
	b = shared.ReadGzip(t, "vectors/ndz/"+e.File)
	if got := sha256.Sum256(b); hex.EncodeToString(got[:]) != e.Content {
		t.Errorf("%s does not unpack to the golden content", e.File)
	}
	return b
}

// decodeFor has the keys of golden images.
func decodeFor(t *testing.T, e entry) (o ndz.DecodeOptions) {
	t.Helper()
	var err error
	if strings.HasPrefix(e.File, "v4-enc") {
		o.Key, err = ndz.ParseKey(shared.ReadFile(t, "vectors/ndz/v4.ekey"))
	}
	if err == nil && strings.HasSuffix(e.File, "signed.ndz.gz") && !strings.Contains(e.File, "unsigned") {
		o.SigningKey, err = ndz.ParseSigningKey(shared.ReadFile(t, "vectors/ndz/"+strings.TrimSuffix(e.File, ".ndz.gz")+".skey"))
	}
	o.Checksum = strings.HasPrefix(e.File, "v4-") && !strings.HasPrefix(e.File, "v4-uuid") && !strings.HasPrefix(e.File, "v4-enc.")
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func openView(t *testing.T, image []byte, o ndz.DecodeOptions) (*view.Disk, error) {
	t.Helper()
	m, err := view.Open(bytes.NewReader(image), int64(len(image)), view.Options{Decode: o})
	if err != nil {
		return nil, err
	}
	d, err := view.Stack(t.Context(), true, view.Layer{Image: m})
	if err != nil {
		t.Fatal(err)
	}
	return d, nil
}

// rewrite writes an image anew in every version and reads it back: nothing of
// it may get lost.
func rewrite(t *testing.T, e entry, image []byte) {
	d, err := openView(t, image, decodeFor(t, e))
	if err != nil {
		t.Fatal(err)
	}
	rewriteDisk(t, d)
}

func rewriteDisk(t *testing.T, d *view.Disk) {
	t.Helper()
	want := describe(t, d)
	for _, f := range forms() {
		if f.name != "V3" && f.name != "V5" {
			continue // the model is held against all
		}
		var out bytes.Buffer
		if _, err := delta.Merge(t.Context(), d, nil, &out, f.opts); err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		again, err := openView(t, out.Bytes(), f.decode())
		if err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		if got := describe(t, again); got != want {
			t.Errorf("%s: comes back as\n%.300s\nwas\n%.300s", f.name, got, want)
		}
	}
}

// describe is all that a disk holds.
func describe(t *testing.T, d *view.Disk) string {
	t.Helper()
	relocs, err := d.Relocs()
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	for _, r := range d.Data() {
		if _, err := io.Copy(h, io.NewSectionReader(d, int64(r.Start)*sectorBytes, int64(r.Sectors())*sectorBytes)); err != nil {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("%d sectors %x %v %v", d.Sectors(), h.Sum(nil), relocs, d.Data())
}

// wellFormed are the broken images whose data is beyond doubt, and the one that
// is wrong only for a disk of a certain size.
const wellFormed = " good v2-ok reloc-bad-type wrong-index regionsize-other region-outside-disk "

// malformed opens and reads a broken image, and its description: both must end
// with an error. Restores are tested in imaging/unzip.
func malformed(t *testing.T, e entry, image []byte) {
	name := strings.TrimSuffix(strings.TrimPrefix(e.File, "malformed/"), ".ndz.gz")
	d, err := openView(t, image, ndz.DecodeOptions{})
	if err == nil {
		for _, r := range d.Data() {
			if _, err = io.Copy(io.Discard, io.NewSectionReader(d, int64(r.Start)*sectorBytes, int64(r.Sectors())*sectorBytes)); err != nil {
				break
			}
		}
	}
	if sound := strings.Contains(wellFormed, " "+name+" "); sound != (err == nil) {
		t.Errorf("sound %v: %v", sound, err)
	} else if sound && name != "region-outside-disk" {
		rewriteDisk(t, d)
	}
	if _, err := sig.Image(t.Context(), bytes.NewReader(image), int64(len(image)), sig.HashOptions{}); (err == nil) != strings.Contains(wellFormed, " "+name+" ") {
		t.Errorf("hashing it: %v", err)
	}
}

// source makes images of a golden disk and reads back what is in use.
func source(t *testing.T, e entry, data []byte) {
	src := zip.Source{ReaderAt: bytes.NewReader(data), Bytes: int64(len(data))}
	for _, version := range []ndz.Version{ndz.V3, ndz.V5} {
		opts := zip.Options{Version: version, KeepDeleted: true}
		layout, err := zip.Analyze(src, opts)
		if err != nil {
			opts.Raw = true // nothing that is known
			if layout, err = zip.Analyze(src, opts); err != nil {
				t.Fatal(err)
			}
		}
		var out bytes.Buffer
		if _, err := zip.Write(t.Context(), src, layout, &out, opts); err != nil {
			t.Fatal(err)
		}
		d, err := openView(t, out.Bytes(), ndz.DecodeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(d.Data()) != fmt.Sprint(layout.Data) {
			t.Errorf("%s: other data is in use", version)
		}
		for _, r := range layout.Data {
			got, want := make([]byte, r.Sectors()*sectorBytes), make([]byte, r.Sectors()*sectorBytes)
			copy(want, data[r.Start*sectorBytes:])
			if _, err := d.ReadAt(got, int64(r.Start)*sectorBytes); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: sectors [%d,%d) read back otherwise, %v", version, r.Start, r.End, err)
			}
		}
	}
}

// patch lays a golden patch over its disk, which then is another golden disk.
func patch(t *testing.T, e entry, records []byte) {
	const blockBytes = 4096
	disk := shared.ReadGzip(t, "vectors/ndz/"+strings.TrimSuffix(e.File, ".new.blocks.gz")+".img.gz")
	for ; len(records) > 0; records = records[4+blockBytes:] {
		copy(disk[int(binary.LittleEndian.Uint32(records))*blockBytes:], records[4:4+blockBytes])
	}
	sum := sha256.Sum256(disk)
	if _, want, _ := strings.Cut(e.Note, "sha256 "); want != hex.EncodeToString(sum[:]) {
		t.Errorf("makes a disk with sum %x, want %s", sum, want)
	}
	source(t, e, disk)
}

// signature reads a golden signature and writes it again.
func signature(t *testing.T, e entry, b []byte) {
	f, err := sig.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if f.Len() == 0 {
		t.Error("no records")
	}
	if !bytes.Equal(sigtest.Bytes(t, f), b) {
		t.Error("is written otherwise than it was read")
	}
}

// text is what other programs say; it must be about a file that is there.
func text(t *testing.T, e entry, b []byte) {
	if len(b) == 0 {
		t.Error("is empty")
	}
}

func key(t *testing.T, e entry, b []byte) {
	var err error
	if strings.HasSuffix(e.File, ".ekey") {
		_, err = ndz.ParseKey(b)
	} else {
		_, err = ndz.ParseSigningKey(b)
	}
	if err != nil {
		t.Error(err)
	}
}
