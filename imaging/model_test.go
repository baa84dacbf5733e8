package imaging_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"hyzer/imaging/delta"
	"hyzer/imaging/freemap"
	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
	"hyzer/imaging/unzip"
	"hyzer/imaging/v5"
	"hyzer/imaging/view"
	"hyzer/imaging/zip"
)

const (
	sectorBytes = ndz.SectorBytes
	garbage     = 0xa5
)

// model is a disk as a list of units, the sectors of the disk: what is in each,
// and if it is in use. All that images do is said in terms of it.
type model struct {
	unit int // bytes
	data []byte
	used []bool
}

// newModel makes a disk of random content, a random part of it in use.
func newModel(r *rand.Rand, unit int) *model {
	n := 1 + r.IntN(6000*sectorBytes/unit+1)
	m := &model{unit: unit, data: make([]byte, n*unit), used: make([]bool, n)}
	m.change(r, 40)
	m.used[r.IntN(n)] = true
	return m
}

// change overwrites, takes into use and frees random runs.
func (m *model) change(r *rand.Rand, runs int) {
	for range 1 + r.IntN(runs) {
		from := r.IntN(len(m.used))
		to := min(len(m.used), from+1+r.IntN(1<<r.IntN(11)))
		p := m.data[from*m.unit : to*m.unit]
		switch r.IntN(4) {
		case 0:
			clear(p)
		case 1:
			copy(p, bytes.Repeat([]byte{byte(r.Uint32())}, len(p)))
		case 2:
			for i := range p {
				p[i] = byte(r.Uint32())
			}
		}
		use := r.IntN(4) > 0
		for i := from; i < to; i++ {
			m.used[i] = use
		}
	}
}

func (m *model) clone() *model {
	return &model{m.unit, bytes.Clone(m.data), append([]bool(nil), m.used...)}
}

// ranges are the sectors in use.
func (m *model) ranges() (list []freemap.Range) {
	per := uint64(m.unit / sectorBytes)
	for i, use := range m.used {
		if use {
			list = freemap.Append(list, uint64(i)*per, uint64(i+1)*per)
		}
	}
	return list
}

// over is what a disk of content below becomes when the image of m is restored
// to it; free space becomes as fill says, or stays.
func (m *model) over(below []byte, fill *byte) []byte {
	out := append(bytes.Clone(below[:min(len(below), len(m.data))]), bytes.Repeat([]byte{garbage}, max(0, len(m.data)-len(below)))...)
	for i, use := range m.used {
		p := out[i*m.unit : (i+1)*m.unit]
		if use {
			copy(p, m.data[i*m.unit:])
		} else if fill != nil {
			copy(p, bytes.Repeat([]byte{*fill}, m.unit))
		}
	}
	return out
}

// minus is m without what is the same in old by the blocks of a signature: a
// block is the same if the same part of it is in use, with the same content.
func (m *model) minus(old *model, blockSectors uint64) *model {
	d := m.clone()
	per := int(blockSectors) * sectorBytes / m.unit
	for from := 0; from < len(m.used); from += per {
		for a := from; a < min(from+per, len(m.used)); a++ {
			b := a
			for b < min(from+per, len(m.used)) && m.used[b] {
				b++
			}
			if b > a && old.hasRun(a, b, from, from+per) && bytes.Equal(m.data[a*m.unit:b*m.unit], old.data[a*m.unit:b*m.unit]) {
				clear(d.used[a:b])
			}
			a = max(a, b)
		}
	}
	return d
}

// hasRun tells whether the units [a,b) are in use, and those beside them in
// [low,high) are not.
func (m *model) hasRun(a, b, low, high int) bool {
	if b > len(m.used) || a > low && m.used[a-1] || b < min(high, len(m.used)) && m.used[b] {
		return false
	}
	for _, use := range m.used[a:b] {
		if !use {
			return false
		}
	}
	return true
}

// disk is a device in memory.
type disk struct{ data []byte }

func (d *disk) WriteAt(p []byte, off int64) (int, error) { return copy(d.data[off:], p), nil }
func (d *disk) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(d.data).ReadAt(p, off)
}
func (d *disk) Zero(off, size int64) error { clear(d.data[off:][:size]); return nil }
func (d *disk) SizeBytes() int64           { return int64(len(d.data)) }
func (d *disk) Finish(int64) error         { return nil }

// form is a way to write images.
type form struct {
	name string
	unit int
	opts zip.Options
}

func forms() []form {
	key, zlib, none := bytes.Repeat([]byte{3}, ndz.KeyBytes), v5.Zlib, v5.None
	return []form{
		{"V3", sectorBytes, zip.Options{}},
		{"V4, encrypted", sectorBytes, zip.Options{Key: key, Checksum: true}},
		{"V5", sectorBytes, zip.Options{Version: ndz.V5}},
		{"V5, zlib, 1 KiB", 1024, zip.Options{Version: ndz.V5, Codec: &zlib, SectorBytes: 1024}},
		{"V5, 4 KiB", 4096, zip.Options{Version: ndz.V5, SectorBytes: 4096}},
		{"V5, not compressed", sectorBytes, zip.Options{Version: ndz.V5, Codec: &none}},
	}
}

// image writes the image of m, with its signature.
func (f form) image(t *testing.T, m *model) ([]byte, *sig.File) {
	t.Helper()
	var out bytes.Buffer
	opts := f.opts
	opts.Signature, opts.Workers = &sig.File{Type: sig.MD5, BlockSectors: 16}, 2
	layout := &zip.Layout{Sectors: uint64(len(m.data) / sectorBytes), Data: m.ranges()}
	if _, err := zip.Write(t.Context(), zip.Source{ReaderAt: bytes.NewReader(m.data), Bytes: int64(len(m.data))}, layout, &out, opts); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), opts.Signature
}

func (f form) decode() ndz.DecodeOptions {
	return ndz.DecodeOptions{Key: f.opts.Key, Checksum: f.opts.Checksum}
}

// restore lays images over a disk, the first perhaps with zero-fill.
func (f form) restore(t *testing.T, below []byte, zero bool, images ...[]byte) []byte {
	t.Helper()
	d := &disk{bytes.Clone(below)}
	for i, image := range images {
		opts := unzip.Options{Decode: f.decode(), ZeroFill: zero && i == 0, AnyBase: true, Workers: 2}
		if _, err := unzip.File(t.Context(), bytes.NewReader(image), int64(len(image)), d, opts); err != nil {
			t.Fatal(err)
		}
	}
	return d.data
}

func (f form) stack(t *testing.T, images ...[]byte) *view.Disk {
	t.Helper()
	var layers []view.Layer
	for _, image := range images {
		m, err := view.Open(bytes.NewReader(image), int64(len(image)), view.Options{Decode: f.decode(), CacheBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		layers = append(layers, view.Layer{Image: m})
	}
	d, err := view.Stack(t.Context(), true, layers...)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func readAll(t *testing.T, r io.ReaderAt) []byte {
	t.Helper()
	b, err := io.ReadAll(io.NewSectionReader(r, 0, 1<<62))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestModel holds images, deltas, chains and signatures of random disks against
// the model, in every form.
func TestModel(t *testing.T) {
	t.Parallel()
	for _, f := range forms() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(8) {
				if checkModel(t, f, rand.New(rand.NewPCG(seed, 77))); t.Failed() {
					t.Fatalf("with seed %d", seed)
				}
			}
		})
	}
}

func checkModel(t *testing.T, f form, r *rand.Rand) {
	t.Helper()
	zero := byte(0)
	same := func(what string, got, want []byte) {
		t.Helper()
		if !bytes.Equal(got, want) {
			t.Errorf("%s: another disk", what)
		}
	}
	a := newModel(r, f.unit)
	b := a.clone()
	b.change(r, 10)
	b.used[r.IntN(len(b.used))] = true
	dirty := bytes.Repeat([]byte{garbage}, len(a.data))
	imageA, sigA := f.image(t, a)
	imageB, sigB := f.image(t, b)

	same("restore", f.restore(t, dirty, false, imageA), a.over(dirty, nil))
	same("restore with zeros", f.restore(t, dirty, true, imageA), a.over(dirty, &zero))
	same("view", readAll(t, f.stack(t, imageA)), a.over(dirty, &zero))
	bad, err := sig.Check(t.Context(), bytes.NewReader(a.data), sigA, 2, nil)
	if bad.Bad > 0 || err != nil {
		t.Errorf("signature: %d blocks differ, %v", bad.Bad, err)
	}
	if got := freemap.Total(f.stack(t, imageA).Data()); got != freemap.Total(a.ranges()) {
		t.Errorf("%d sectors in use, want %d", got, freemap.Total(a.ranges()))
	}

	var d bytes.Buffer
	from, to := delta.Image{Disk: f.stack(t, imageA), Sig: sigA}, delta.Image{Disk: f.stack(t, imageB), Sig: sigB}
	made, err := delta.Make(t.Context(), from, to, &d, f.opts)
	if err != nil {
		t.Fatal(err)
	}
	change := b.minus(a, sigA.BlockSectors)
	want := freemap.Total(change.ranges()) * sectorBytes
	if made.Same != (want == 0) || !made.Same && uint64(made.DataBytes) != want {
		t.Errorf("delta of %d bytes, want %d", made.DataBytes, want)
	}
	onDisk := change.over(a.over(dirty, nil), nil)
	same("delta", f.restore(t, dirty, false, imageA, d.Bytes()), onDisk)
	chain := f.stack(t, imageA, d.Bytes())
	same("view of a chain", readAll(t, chain), change.over(a.over(dirty, &zero), nil))

	var whole bytes.Buffer
	if _, err := delta.Merge(t.Context(), chain, sigB, &whole, f.opts); err != nil {
		t.Fatal(err)
	}
	same("merge", f.restore(t, dirty, true, whole.Bytes()), b.over(dirty, &zero))
	if got := fmt.Sprint(f.stack(t, whole.Bytes()).Data()); got != fmt.Sprint(b.ranges()) {
		t.Errorf("merge: in use %s, want %v", got, b.ranges())
	}
}
