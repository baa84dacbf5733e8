package capture

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"hyzer/imaging/manifest"
	"hyzer/imaging/ndz"
	"hyzer/imaging/zip"
	"hyzer/storage/kv/pebblekv"
	"hyzer/storage/registry"
)

const site = `
projects: [{id: proj}]
oses:
  - {project: proj, name: LINUX, versions: [{version: 0, family: Linux, op_mode: NORMALv2}]}
types: [{name: pc, class: pc}]
nodes:
  - {id: pc1, type: pc, interfaces: [{name: eth0, role: ctrl, ip: 127.9.0.1}]}
  - {id: pc2, type: pc, interfaces: [{name: eth0, role: ctrl, ip: 127.9.0.2}]}
`

var (
	pc1   = netip.MustParseAddr("127.9.0.1")
	pc2   = netip.MustParseAddr("127.9.0.2")
	ref   = registry.HeadRef("proj", "IMG")
	linux = registry.HeadRef("proj", "LINUX")
	now   = time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)
)

// image returns an image of three chunks.
var image = sync.OnceValue(func() []byte {
	dir, err := os.MkdirTemp("", "capture")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	raw := make([]byte, 5<<19)
	rand.NewChaCha8([32]byte{7}).Read(raw)
	in, out := filepath.Join(dir, "raw"), filepath.Join(dir, "ndz")
	if err := os.WriteFile(in, raw, 0o600); err != nil {
		panic(err)
	}
	if status := zip.Main([]string{"-r", in, out}, nil, io.Discard, os.Stderr); status != 0 {
		panic("imagezip failed")
	}
	data, err := os.ReadFile(out)
	if err != nil || len(data) != 3*ndz.ChunkBytes {
		panic("want an image of three chunks")
	}
	return data
})

func newStore(t *testing.T) *Store {
	t.Helper()
	db, err := pebblekv.Open("/db", pebblekv.Options{FS: vfs.NewMem(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	reg, err := registry.Open(t.Context(), db, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(reg.Close)
	file, err := registry.ParseSiteFile(strings.NewReader(site))
	if err != nil {
		t.Fatal(err)
	}
	if err := reg.Import(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	s := New(t.TempDir(), reg)
	s.now = func() time.Time { return now }
	return s
}

func grant(t *testing.T, s *Store, g registry.UploadGrant) {
	t.Helper()
	if _, err := s.registry.Update(t.Context(), func(tx *registry.Tx) error { return registry.Put(tx, &g) }); err != nil {
		t.Fatal(err)
	}
}

func toPC1() registry.UploadGrant {
	return registry.UploadGrant{Node: "pc1", Image: ref, Until: now.Add(time.Hour), Part: 1, OS: linux}
}

// upload writes a version and commits it.
func upload(t *testing.T, s *Store, data []byte) error {
	t.Helper()
	g, err := s.Allowed(pc1, ref)
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.Create(g)
	if err != nil {
		t.Fatal(err)
	}
	for piece := range slices.Chunk(data, 100_001) {
		if _, err := f.Write(piece); err != nil {
			return errors.Join(err, f.Abort())
		}
	}
	return f.Commit(t.Context(), now.Add(-time.Hour))
}

// versions checks that every recorded version is whole, and how many there are.
func versions(t *testing.T, s *Store, want int) {
	t.Helper()
	img := s.registry.Snapshot().Image(ref.Key())
	if img == nil {
		if want > 0 {
			t.Errorf("no versions, want %d", want)
		}
		return
	}
	if len(img.Versions) != want {
		t.Errorf("%d versions, want %d", len(img.Versions), want)
	}
	for i, v := range img.Versions {
		got, err := os.ReadFile(v.Path)
		if err != nil || !bytes.Equal(got, image()) {
			t.Errorf("version %d: %d bytes, %v", i, len(got), err)
		}
		if v.Version != i || v.UploadedBy != "pc1" || v.LoadPart != 1 || v.LoadLength != 1 || v.BootOS != linux || v.SizeBytes != int64(len(got)) ||
			!v.Updated.Equal(now.Add(-time.Hour)) {
			t.Errorf("version %d: %+v", i, v)
		}
		text, err := os.ReadFile(v.Path + manifest.Suffix)
		if err != nil {
			t.Fatal(err)
		}
		m, err := manifest.Decode(text)
		if err != nil || m.Version != uint32(i) || m.CheckSize(v.SizeBytes) != nil || m.CheckChunk(2, got[2*ndz.ChunkBytes:]) != nil {
			t.Errorf("version %d: manifest %+v, %v", i, m, err)
		}
	}
}

// leftovers lists the files that belong to no version.
func leftovers(t *testing.T, s *Store) (names []string) {
	t.Helper()
	err := filepath.WalkDir(s.dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && !s.uses(strings.TrimSuffix(path, manifest.Suffix)) {
			names = append(names, e.Name())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestAllowed(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	at := func(v int) registry.Ref { return registry.Ref{Project: "proj", Name: "IMG", Version: v} }
	grant(t, s, toPC1())
	late := toPC1()
	late.Node, late.Until = "pc2", now
	grant(t, s, late)
	for _, c := range []struct {
		client netip.Addr
		ref    registry.Ref
		want   error
	}{
		{pc1, ref, nil},
		{pc1, at(0), nil},
		{pc1, at(1), ErrNoGrant},
		{pc1, registry.HeadRef("proj", "OTHER"), ErrNoGrant},
		{pc2, ref, ErrNoGrant}, // ran out
		{netip.MustParseAddr("127.9.0.9"), ref, ErrNoNode},
	} {
		if _, err := s.Allowed(c.client, c.ref); !errors.Is(err, c.want) {
			t.Errorf("%v, %v: %v, want %v", c.client, c.ref, err, c.want)
		}
	}
	if err := upload(t, s, image()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Allowed(pc1, at(0)); !errors.Is(err, ErrNoGrant) {
		t.Errorf("a version that exists may be written: %v", err)
	}
	if s.Present(at(1)) == "" || s.Present(registry.HeadRef("proj", "OTHER")) != "" {
		t.Error("present versions are wrong")
	}
}

// TestUpload: each upload is a version of its own, with what it has from the
// one before.
func TestUpload(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	grant(t, s, toPC1())
	if err := upload(t, s, image()); err != nil {
		t.Fatal(err)
	}
	g := toPC1()
	g.OS, g.Part = registry.Ref{}, 0 // as it was
	grant(t, s, g)
	if err := upload(t, s, image()); err != nil {
		t.Fatal(err)
	}
	versions(t, s, 2)
	if left := leftovers(t, s); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestBroken: an image that is cut or damaged anywhere leaves nothing.
func TestBroken(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	grant(t, s, toPC1())
	if err := upload(t, s, image()); err != nil {
		t.Fatal(err)
	}
	flip := func(at int) []byte {
		b := bytes.Clone(image())
		b[at] ^= 0xff
		return b
	}
	for name, data := range map[string][]byte{
		"empty": nil, "one byte": image()[:1], "in a header": image()[:ndz.ChunkBytes+100],
		"in data": image()[:2*ndz.ChunkBytes-1], "a byte short": image()[:3*ndz.ChunkBytes-1],
		"a byte more": append(bytes.Clone(image()), 0), "text": []byte(strings.Repeat("no image\n", 300000)),
		"magic": flip(0), "second header": flip(ndz.ChunkBytes + 5), "data": flip(2*ndz.ChunkBytes + 5000),
		"order": slices.Concat(image()[ndz.ChunkBytes:2*ndz.ChunkBytes], image()[:ndz.ChunkBytes]),
	} {
		if err := upload(t, s, data); err == nil {
			t.Errorf("%s: was taken", name)
		}
	}
	versions(t, s, 1)
	if left := leftovers(t, s); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestCrash stops a commit before each of its steps, as if the machine died:
// the version before is what it was, and the next upload succeeds.
func TestCrash(t *testing.T) {
	t.Parallel()
	var steps []string
	s := newStore(t)
	grant(t, s, toPC1())
	s.step = func(what string) error { steps = append(steps, what); return nil }
	if err := upload(t, s, image()); err != nil {
		t.Fatal(err)
	}
	if len(steps) < 6 {
		t.Fatalf("only %v", steps)
	}
	for _, at := range steps {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			grant(t, s, toPC1())
			if err := upload(t, s, image()); err != nil {
				t.Fatal(err)
			}
			s.step = func(what string) error {
				if what == at {
					return errCrash
				}
				return nil
			}
			if err := upload(t, s, image()); !errors.Is(err, errCrash) {
				t.Fatal(err)
			}
			versions(t, s, 1)
			s.step = nil
			if err := s.Sweep(); err != nil {
				t.Fatal(err)
			}
			if err := upload(t, s, image()); err != nil {
				t.Fatal(err)
			}
			versions(t, s, 2)
			if left := leftovers(t, s); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// TestOvertaken: a version that an operator adds meanwhile is kept.
func TestOvertaken(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	grant(t, s, toPC1())
	s.step = func(what string) error {
		if what != "record" {
			return nil
		}
		_, err := s.registry.Update(context.Background(), func(tx *registry.Tx) error {
			v := registry.ImageVersion{Version: 0, Path: "/elsewhere", LoadPart: 1, LoadLength: 1, BootOS: linux}
			return registry.Put(tx, &registry.Image{Project: ref.Project, Name: ref.Name, Versions: []registry.ImageVersion{v}})
		})
		return err
	}
	if err := upload(t, s, image()); !errors.Is(err, ErrOvertaken) {
		t.Fatal(err)
	}
	if got := s.Present(ref); got != "/elsewhere" {
		t.Errorf("the newest version is %s", got)
	}
}

func BenchmarkCheck(b *testing.B) {
	b.SetBytes(int64(len(image())))
	b.ReportAllocs()
	for b.Loop() {
		c, err := newChecker()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.Write(image()); err != nil {
			b.Fatal(err)
		}
	}
}
