package unzip

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// pieces parts a text at its spaces.
func pieces(s string) (list [][]byte) {
	for _, p := range strings.Split(s, " ") {
		list = append(list, []byte(p))
	}
	return list
}

func TestCutPieces(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		n    int64
		want string
	}{
		{"abc", 0, "[] [abc]"},
		{"abc", 1, "[a] [bc]"},
		{"abc", 3, "[abc] []"},
		{"abc", 9, "[abc] []"},
		{"ab cde f", 2, "[ab] [cde f]"},
		{"ab cde f", 4, "[ab cd] [e f]"},
		{"ab cde f", 6, "[ab cde f] []"},
	} {
		all := pieces(c.text)
		before, after := cutPieces(all, c.n)
		if got := fmt.Sprintf("%s %s", before, after); got != c.want {
			t.Errorf("%s after %d: %s, want %s", c.text, c.n, got, c.want)
		}
		if got := fmt.Sprintf("%s", all); got != "["+c.text+"]" {
			t.Errorf("%s after %d: is %s then", c.text, c.n, got)
		}
	}
}

// TestRun gathers pieces: what does not go on with a run, or is one too many for
// the kernel, is not taken.
func TestRun(t *testing.T) {
	t.Parallel()
	var r run
	for i := range int64(runPiecesMax) {
		if !r.add(100+3*i, []byte("abc")) {
			t.Fatalf("piece %d is not taken", i)
		}
		if i == 1 && r.add(200, []byte("x")) {
			t.Error("a piece from elsewhere is taken")
		}
	}
	if r.add(r.end, []byte("x")) {
		t.Error("a piece too many is taken")
	}
}

// TestPieces writes pieces that no block ends with, more of them than go into
// the kernel at once.
func TestPieces(t *testing.T) {
	t.Parallel()
	target, err := OpenTarget(filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	var list [][]byte
	var want []byte
	for i := range 2 * runPiecesMax {
		p := []byte(strings.Repeat(fmt.Sprintf("%04d ", i), 100+i%37))
		list, want = append(list, p), append(want, p...)
	}
	n, err := target.writePieces(list[:runPiecesMax], 1000)
	if err != nil {
		t.Fatal(err)
	}
	m, err := target.writePieces(list[runPiecesMax:], 1000+n)
	if err != nil || n+m != int64(len(want)) {
		t.Fatalf("%d and %d bytes, %v", n, m, err)
	}
	got, err := os.ReadFile(target.f.Name())
	if err != nil || string(got[1000:]) != string(want) {
		t.Errorf("another content of %d bytes, %v", len(got), err)
	}
}
