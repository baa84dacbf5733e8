package unzip_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"hyzer/bench/shared"
	"hyzer/imaging/ndz"
	"hyzer/imaging/unzip"
)

// entry is one line of the golden images' manifest.
type entry struct {
	File      string            `json:"file"`
	Name      string            `json:"name"`
	Kind      string            `json:"kind"`
	DiskSize  int64             `json:"disksize"`
	UnzipArgs string            `json:"unzip_args"`
	Expect    map[string]expect `json:"expect"`
	Delta     *expectDelta      `json:"expect_base_then_delta_on_a5_dev"`
}

type expect struct {
	Exit   int    `json:"exit"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

type expectDelta struct {
	SHA256 string `json:"sha256"`
}

func manifest(t *testing.T) []entry {
	t.Helper()
	var m struct{ Entries []json.RawMessage }
	if err := json.Unmarshal(shared.ReadFile(t, "vectors/ndz/MANIFEST.json"), &m); err != nil {
		t.Fatal(err)
	}
	var entries []entry
	for _, raw := range m.Entries {
		var e entry
		if err := json.Unmarshal(raw, &e); err != nil {
			t.Fatalf("%v in %.200s", err, raw)
		}
		entries = append(entries, e)
	}
	return entries
}

func golden(t *testing.T, name string) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(shared.ReadFile(t, "vectors/ndz/"+name)))
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// args turns the options of the C command that an entry needs into ours.
func args(t *testing.T, e entry) ndz.DecodeOptions {
	t.Helper()
	var o ndz.DecodeOptions
	var err error
	f := strings.Fields(e.UnzipArgs)
	for i := 0; i < len(f); i++ {
		switch f[i] {
		case "-u":
			i++
			var id ndz.ImageID
			id, err = ndz.ParseImageID(f[i])
			o.ImageID = &id
		case "-a":
			i++
			name := strings.TrimSuffix(e.File, ".ndz.gz") + ".skey"
			o.SigningKey, err = ndz.ParseSigningKey(shared.ReadFile(t, "vectors/ndz/"+name))
		case "-k":
			i++
			o.Key, err = ndz.ParseKey(shared.ReadFile(t, "vectors/ndz/v4.ekey"))
		case "-c":
			o.Checksum = true
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return o
}

// disk is a block device in memory. As on a real one, a block may be read while
// its neighbour's writer writes to it.
type disk struct {
	mu       sync.Mutex
	data     []byte
	finished bool
}

func newDisk(size int64) *disk { return &disk{data: bytes.Repeat([]byte{0xa5}, int(size))} }

func (d *disk) WriteAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > int64(len(d.data)) {
		return 0, io.ErrShortWrite
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return copy(d.data[off:], p), nil
}
func (d *disk) ReadAt(p []byte, off int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return bytes.NewReader(d.data).ReadAt(p, off)
}
func (d *disk) Zero(off, size int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.data[off:][:size])
	return nil
}
func (d *disk) SizeBytes() int64   { return int64(len(d.data)) }
func (d *disk) Finish(int64) error { d.finished = true; return nil }

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// TestGolden restores every golden image in every way the C program was
// recorded with.
func TestGolden(t *testing.T) {
	t.Parallel()
	tested := 0
	for _, e := range manifest(t) {
		if e.File == "" || len(e.Expect) == 0 {
			continue
		}
		for how, want := range e.Expect {
			if want.Exit != 0 {
				continue // the C program crashed
			}
			tested++
			t.Run(e.File+"/"+how, func(t *testing.T) {
				t.Parallel()
				image := golden(t, e.File)
				size := want.Bytes
				if size == 0 {
					size = e.DiskSize
				}
				if size == 0 {
					size = 8 << 20 // the V4 images
				}
				got := restore(t, image, how, size, args(t, e))
				if sum(got) != want.SHA256 {
					t.Errorf("restored %d bytes with sum %s, want %d with %s", len(got), sum(got), want.Bytes, want.SHA256)
				}
			})
		}
	}
	if tested < 100 {
		t.Errorf("the manifest has only %d restores", tested)
	}
}

func restore(t *testing.T, image []byte, how string, size int64, o ndz.DecodeOptions) []byte {
	t.Helper()
	ctx, src := context.Background(), bytes.NewReader(image)
	opts := unzip.Options{Decode: o, ZeroFill: strings.HasSuffix(how, "_z"), Workers: 3}
	switch how {
	case "stdout":
		var out bytes.Buffer
		if _, err := unzip.Stream(ctx, src, &out, opts); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	case "dev_a5", "dev_a5_z":
		d := newDisk(size)
		if _, err := unzip.File(ctx, src, int64(len(image)), d, opts); err != nil {
			t.Fatal(err)
		}
		if !d.finished {
			t.Error("target was not finished")
		}
		return d.data
	}
	got := restoreFile(t, image, opts)
	if how == "file" {
		// The C program leaves out the free space at the end.
		if int64(len(got)) < size || len(bytes.Trim(got[size:], "\x00")) > 0 {
			t.Errorf("file of %d bytes, want %d and zeros after them", len(got), size)
		}
		got = got[:min(size, int64(len(got)))]
	}
	return got
}

func restoreFile(t *testing.T, image []byte, opts unzip.Options) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk")
	target, err := unzip.OpenTarget(path)
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	if _, err := unzip.File(context.Background(), bytes.NewReader(image), int64(len(image)), target, opts); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestGoldenDelta lays every delta over its base.
func TestGoldenDelta(t *testing.T) {
	t.Parallel()
	for _, e := range manifest(t) {
		if e.Delta == nil {
			continue
		}
		t.Run(e.File, func(t *testing.T) {
			t.Parallel()
			base := golden(t, strings.Split(e.File, ".")[0]+".ndz.gz")
			info, err := ndz.Info(bytes.NewReader(base), int64(len(base)))
			if err != nil {
				t.Fatal(err)
			}
			d := newDisk(int64(info.Last) * ndz.SectorBytes)
			for _, image := range [][]byte{base, golden(t, e.File)} {
				_, err := unzip.File(context.Background(), bytes.NewReader(image), int64(len(image)), d, unzip.Options{})
				if err != nil {
					t.Fatal(err)
				}
			}
			if sum(d.data) != e.Delta.SHA256 {
				t.Errorf("base and delta have sum %s, want %s", sum(d.data), e.Delta.SHA256)
			}
		})
	}
}
