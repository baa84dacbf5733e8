package sig_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hyzer/imaging/internal/sigtest"
	"hyzer/imaging/sig"
)

// manyRecords is more than a list has in memory, by far.
const manyRecords = 400_000

func numbered(i int) sig.Record {
	r := sig.Record{Start: uint64(i) * 200, Size: 1 + uint64(i%128), Chunk: i / 1000, Spans: i%1000 == 999}
	binary.LittleEndian.PutUint64(r.Hash[:], uint64(i)*7)
	return r
}

// TestLong makes a signature that is not kept in memory, and reads it from all
// ends: it must be as one that is.
func TestLong(t *testing.T) {
	t.Parallel()
	f := &sig.File{Type: sig.SHA1, BlockSectors: 128}
	if f.Len() != 0 || f.From(0).Next() {
		t.Error("a new signature has records")
	}
	empty := f.ID()
	for i := range manyRecords {
		if err := f.Append(numbered(i)); err != nil {
			t.Fatal(err)
		}
	}
	stored := sigtest.Bytes(t, f)
	path := filepath.Join(t.TempDir(), "sig")
	if err := f.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	read, err := sig.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := sig.Parse(stored)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil { // a File keeps it open
		t.Fatal(err)
	}
	for name, f := range map[string]*sig.File{"made": f, "read": read, "parsed": parsed} {
		lookAt(t, name, f)
		if !bytes.Equal(sigtest.Bytes(t, f), stored) {
			t.Errorf("%s: is stored otherwise", name)
		}
	}
	if f.ID() == empty || f.ID() != read.ID() || f.ID() != parsed.ID() {
		t.Error("identities differ")
	}
	if err := read.Append(numbered(manyRecords)); err == nil {
		t.Error("a file was added to")
	}
	again := *f
	again.Reset()
	if again.Len() != 0 || again.ID() != empty || f.Len() != manyRecords {
		t.Error("a reset changes the original, or not the copy")
	}
}

// lookAt reads records in order from some on, and searches for some.
func lookAt(t *testing.T, name string, f *sig.File) {
	t.Helper()
	if f.Len() != manyRecords {
		t.Fatalf("%s: %d records", name, f.Len())
	}
	for _, from := range []int{0, 1, 131_071, 131_072, 262_143, 399_999, 400_000} {
		c, i := f.From(from), from
		for ; c.Next(); i++ {
			if r := c.Record(); r != numbered(i) {
				t.Fatalf("%s: record %d is %+v", name, i, r)
			}
		}
		if i != manyRecords || c.Err() != nil || c.Next() {
			t.Errorf("%s: from %d on there are %d, %v", name, from, i, c.Err())
		}
	}
	for sector, want := range map[uint64]int{0: 0, 1: 1, 199: 1, 200: 1, 201: 1, 202: 2, 200 * 131_072: 131_072, 200 * 399_999: 399_999, 200 * 400_000: 400_000} {
		if got, err := f.Search(sector); got != want || err != nil {
			t.Errorf("%s: sector %d is before the end of record %d, want %d, %v", name, sector, got, want, err)
		}
	}
}

// TestLongDamaged reads long signatures with a fault far behind.
func TestLongDamaged(t *testing.T) {
	t.Parallel()
	f := &sig.File{Type: sig.SHA1, BlockSectors: 128}
	for i := range manyRecords {
		if err := f.Append(numbered(i)); err != nil {
			t.Fatal(err)
		}
	}
	whole := sigtest.Bytes(t, f)
	const at = sig.HeaderBytes + 300_000*sig.RecordBytes
	for name, c := range map[string]struct {
		change func(b []byte) []byte
		want   string
	}{
		"empty record": {func(b []byte) []byte { clear(b[at+4 : at+8]); return b }, "offset 9600032: record 300000 of 0 sectors"},
		"out of order": {func(b []byte) []byte { clear(b[at : at+4]); return b }, "record 300000"},
		"cut short":    {func(b []byte) []byte { return b[:len(b)-1] }, "400000 records in"},
		"too long":     {func(b []byte) []byte { return append(b, 0) }, "400000 records in"},
	} {
		path := filepath.Join(t.TempDir(), "sig")
		if err := os.WriteFile(path, c.change(bytes.Clone(whole)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := sig.ReadFile(path); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
