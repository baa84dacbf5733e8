package noderun

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fill writes lines until n bytes have been kept or cut.
func fill(j *journal, n int64) {
	for i := 0; j.total < n; i++ {
		fmt.Fprintf(j, "line %d %s\n", i, strings.Repeat(".", 1000))
	}
}

// TestJournalKeepsHeadAndTail at every size, with the disk and without.
func TestJournalKeepsHeadAndTail(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		bytes  int64
		noDisk bool
		cut    bool
	}{
		{1, false, false}, {1, true, false},
		{journalHeadBytesMax + journalTailBytesMax - 2000, true, false},
		{journalHeadBytesMax + journalTailBytesMax + 5000, true, true},
		{4 * journalTailBytesMax, true, true},
		{journalFileBytesMax, false, false},
		{journalFileBytesMax + journalTailBytesMax/2, false, false},
		{journalFileBytesMax + 3*journalTailBytesMax, false, true},
	} {
		path := filepath.Join(t.TempDir(), "logs", "x.log")
		if c.noDisk {
			path = "/proc/nonexistent/x.log"
		}
		j, err := newJournal(path)
		if (err != nil) != c.noDisk {
			t.Fatal(err)
		}
		fmt.Fprint(j, "FIRST ")
		fill(j, c.bytes)
		fmt.Fprint(j, "LAST")
		total := j.total
		name, onDisk, err := j.seal()
		if err != nil || onDisk == c.noDisk {
			t.Fatalf("%s, on disk %v, %v", name, onDisk, err)
		}
		fmt.Fprint(j, "after the end")
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(got[:60], []byte("Z FIRST ")) || !bytes.HasSuffix(got, []byte("LAST")) {
			t.Errorf("%+v: %.60q ... %.20q", c, got, got[len(got)-20:])
		}
		head, note, cut := bytes.Cut(got, []byte("\n["))
		if cut != c.cut || !cut && int64(len(got)) != total {
			t.Errorf("%+v: %d of %d bytes, cut %v", c, len(got), total, cut)
		}
		if cut {
			var n int64
			number, tail, _ := bytes.Cut(note, []byte(" bytes cut]\n"))
			if _, err := fmt.Sscan(string(number), &n); err != nil || int64(len(head)+len(tail))+n != total {
				t.Errorf("%+v: %d + %s + %d is not %d", c, len(head), number, len(tail), total)
			}
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestJournalOfLastRun stays beside the new one, and a link in its place is
// not followed.
func TestJournalOfLastRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, victim := filepath.Join(dir, "x.log"), filepath.Join(dir, "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, path); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		j, err := newJournal(path)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(j, "run %d", i)
		if _, _, err := j.seal(); err != nil {
			t.Fatal(err)
		}
		j.Close()
	}
	for name, want := range map[string]string{path: "run 2", path + ".old": "run 1", victim: "precious"} {
		if got, err := os.ReadFile(name); err != nil || !strings.HasSuffix(string(got), want) {
			t.Errorf("%s holds %q, %v, want %q", name, got, err, want)
		}
	}
}

// BenchmarkJournal is what a line of a chatty script costs.
func BenchmarkJournal(b *testing.B) {
	j, err := newJournal(filepath.Join(b.TempDir(), "x.log"))
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	line := []byte(strings.Repeat("x", 79) + "\n")
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		_, _ = j.Write(line)
	}
}
