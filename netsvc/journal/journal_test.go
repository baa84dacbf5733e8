package journal

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fill writes lines until n bytes have been kept or cut.
func fill(j *Journal, n int64) {
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
		{headBytesMax + tailBytesMax - 2000, true, false},
		{headBytesMax + tailBytesMax + 5000, true, true},
		{4 * tailBytesMax, true, true},
		{fileBytesMax, false, false},
		{fileBytesMax + tailBytesMax/2, false, false},
		{fileBytesMax + 3*tailBytesMax, false, true},
	} {
		path := filepath.Join(t.TempDir(), "logs", "x.log")
		if c.noDisk {
			path = "/proc/nonexistent/x.log"
		}
		j, err := New(path)
		if (err != nil) != c.noDisk {
			t.Fatal(err)
		}
		fmt.Fprint(j, "FIRST ")
		fill(j, c.bytes)
		fmt.Fprint(j, "LAST")
		total := j.total
		name, onDisk, err := j.Seal()
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
		j, err := New(path)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(j, "run %d", i)
		if _, _, err := j.Seal(); err != nil {
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
	j, err := New(filepath.Join(b.TempDir(), "x.log"))
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

// TestInMemory wants the first and the last of a long log, in bounds and
// without times, and a second writer that gets what came before it too.
func TestInMemory(t *testing.T) {
	t.Parallel()
	j := InMemory()
	fmt.Fprint(j, "the first line\n")
	var also bytes.Buffer
	j.Also(&also)
	fmt.Fprint(j, "the second line\n")
	const short = "the first line\nthe second line\n"
	if got := string(j.Bytes()); got != short || also.String() != short {
		t.Errorf("%q, and also %q", got, also.String())
	}
	fill(j, headBytesMax+3*tailBytesMax)
	fmt.Fprint(j, "the last line\n")
	text := string(j.Bytes())
	if !strings.HasPrefix(text, short) || !strings.HasSuffix(text, "\nthe last line\n") || !strings.Contains(text, " bytes cut]\n") {
		t.Errorf("journal is %.60q ... %q", text, text[max(0, len(text)-40):])
	}
	if len(text) > headBytesMax+tailBytesMax+40 || int64(also.Len()) != j.total {
		t.Errorf("%d bytes kept, %d passed on of %d", len(text), also.Len(), j.total)
	}
}
