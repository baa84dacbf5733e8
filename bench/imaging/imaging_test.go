package imaging

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary be our imaging programs, too, and measure one.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 1 && os.Args[1] == "tool":
		os.Exit(Main(context.Background(), os.Args[1:], os.Stdout))
	case len(os.Args) > 2 && os.Args[1] == "peak":
		if err := printPeak(os.Args[2], os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func files(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	r := rand.NewChaCha8([32]byte{3})
	for i := range 12 {
		data := make([]byte, 700<<10)
		r.Read(data[:400<<10])
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestRun compares whatever is installed on a small disk.
func TestRun(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("mke2fs"); err != nil {
		t.Skip("mke2fs is not installed")
	}
	dir := t.TempDir()
	o := options{dir: dir, from: files(t), mb: 8, rounds: 2, keep: true, self: []string{os.Args[0], "tool"}}
	var out bytes.Buffer
	if err := o.run(t.Context(), &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	text, err := os.ReadFile(filepath.Join(dir, "imaging.txt"))
	if err != nil || !strings.HasSuffix(out.String(), string(text)) {
		t.Errorf("table in the file is another: %v", err)
	}
	for _, task := range []string{taskCreate, taskNowhere, taskFile, taskHash, taskDelta} {
		if !strings.Contains(string(text), fmt.Sprintf("%-20s %-20s", task, oursV3)) {
			t.Errorf("no result of ours for %s in\n%s", task, text)
		}
	}
	a, b := size(t, dir, "h.ndz"), size(t, dir, "h.ddz")
	if b == 0 || b > a/2 {
		t.Errorf("delta of %d bytes for an image of %d", b, a)
	}
	figure, err := os.ReadFile(filepath.Join(dir, "imaging.svg"))
	if err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(bytes.NewReader(figure))
	for err == nil {
		_, err = d.Token()
	}
	if err != io.EOF {
		t.Errorf("figure: %v", err)
	}
}

func size(t *testing.T, dir, name string) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, "work", name))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// TestTable prints known figures.
func TestTable(t *testing.T) {
	t.Parallel()
	peers := []*peer{
		{task: taskHash, name: oursV3, runs: []run{{wall: 3 * time.Second, cpu: 4 * time.Second, madeBytes: 10e6}, {wall: time.Second, cpu: 2 * time.Second, madeBytes: 10e6}}},
		{task: taskHash, name: theirs, runs: []run{{wall: 2 * time.Second, cpu: 2 * time.Second, madeBytes: 8e6}}},
		{task: taskHash, name: "rdiff", absent: "rdiff"},
		{task: taskDelta, name: oursV3, err: errors.New("delta of 5 %, hyzer: exit status 1: no room")},
	}
	const want = `
100 MB of real files, N cores; the best round of each; ratios are ours to the other

                                                                         hyzer V3 to it      hyzer V5 to it
task                 program                wall s    cpu s    out MB    wall   cpu  size    wall   cpu  size
hash                 hyzer V3                 1.00     2.00      10.0
hash                 C                        2.00     2.00       8.0    0.50  1.00  1.25
hash                 rdiff                rdiff is not installed
failed: delta of 5 %, hyzer: exit status 1: no room
`
	got := table(peers, 100e6)
	if i, j := strings.Index(got, "files, ")+7, strings.Index(got, " cores"); i > 7 && j > i {
		got = got[:i] + "N" + got[j:]
	}
	if got != want {
		t.Errorf("table is\n%s", got)
	}
	if oursFailed(peers) == nil || oursFailed(peers[:2]) != nil {
		t.Error("failure of ours is not told")
	}
}

// TestMeasure runs a command that fails, once.
func TestMeasure(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := &peer{task: taskCreate, name: "x", command: "echo once >>log; echo oops; exit 3"}
	for range 2 {
		if err := p.measure(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
	}
	log, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil || string(log) != "once\n" || p.err == nil || !strings.Contains(p.err.Error(), "oops") {
		t.Errorf("log %q, %v, %v", log, err, p.err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (&peer{command: "true"}).measure(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("measuring after the end: %v", err)
	}
}
