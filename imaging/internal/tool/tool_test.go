package tool

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestStatus(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		done       bool
		parse, run error
		code       int
		want       string
	}{
		{"done", true, nil, errors.New("not run"), 0, ""},
		{"usage", false, errors.New("what?"), nil, 1, "x: what?\nusage: x\n"},
		{"fails", false, nil, errors.New("no disk"), 1, "x: no disk\n"},
		{"works", false, nil, nil, 0, ""},
	} {
		var stderr bytes.Buffer
		code := Main("x", "usage: x\n", &stderr, func() (bool, error) { return c.done, c.parse },
			func(context.Context) (int, error) { return Status(c.run) })
		if code != c.code || stderr.String() != c.want {
			t.Errorf("%s: status %d, %q", c.name, code, stderr.String())
		}
	}
}

func TestWorkers(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int{1: 1, WorkersMax: WorkersMax, 1000: WorkersMax} {
		if got := Workers(n); got != want {
			t.Errorf("%d workers asked for: %d, want %d", n, got, want)
		}
	}
	if n := Workers(0); n < 1 || n > WorkersMax {
		t.Errorf("%d workers by default", n)
	}
}

func TestApart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b, link := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(a, nil, 0o600), os.WriteFile(b, nil, 0o600), os.Link(a, link)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		out   string
		in    []string
		apart bool
	}{
		{b, []string{a, link}, true},
		{link, []string{b, a}, false},
		{a, []string{a}, false},
		{filepath.Join(dir, "none"), []string{a, filepath.Join(dir, "none")}, true},
	} {
		if err := Apart(c.out, c.in...); (err == nil) != c.apart {
			t.Errorf("%s apart from %q: %v", c.out, c.in, err)
		}
	}
}
