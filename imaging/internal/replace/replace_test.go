package replace

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// names lists a folder.
func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestTogether checks that no file has its name before all are written.
func TestTogether(t *testing.T) {
	t.Parallel()
	dir, mtime := t.TempDir(), time.Unix(1e9, 0)
	paths := []string{filepath.Join(dir, "x"), filepath.Join(dir, "x.sig")}
	write(t, paths[0], "old")
	var s Set
	for _, path := range paths {
		f, err := s.Create(path, 0o666)
		if err == nil {
			_, err = f.WriteString("new")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if read(t, paths[0]) != "old" || len(names(t, dir)) != 3 {
		t.Errorf("before: %q in %q", read(t, paths[0]), names(t, dir))
	}
	if err := s.Commit(mtime); err != nil {
		t.Fatal(err)
	}
	s.Discard()
	for _, path := range paths {
		if info, err := os.Stat(path); err != nil || read(t, path) != "new" || !info.ModTime().Equal(mtime) {
			t.Errorf("%s: %q, %v", path, read(t, path), err)
		}
	}
	if got := names(t, dir); len(got) != 2 {
		t.Errorf("left %q", got)
	}
}

// TestNoHalfSet checks that where one file cannot be made durable, none of them
// takes the place of another.
func TestNoHalfSet(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var s Set
	for _, name := range []string{"x", "x.sig"} {
		write(t, filepath.Join(dir, name), "old")
		if _, err := s.Create(filepath.Join(dir, name), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	s.files[0].Close() // which no fsync survives
	if err := s.Commit(time.Now()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("commit: %v", err)
	}
	s.Discard()
	for _, name := range []string{"x", "x.sig"} {
		if got := read(t, filepath.Join(dir, name)); got != "old" {
			t.Errorf("%s is %q", name, got)
		}
	}
	if got := names(t, dir); len(got) != 2 {
		t.Errorf("left %q", got)
	}
}

// TestMode checks that a file keeps its mode, and that a new one is as any other
// program makes them.
func TestMode(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	other, err := os.OpenFile(filepath.Join(dir, "other"), os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	info, err := other.Stat()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		old  os.FileMode // 0: there is none
		mode os.FileMode
		want os.FileMode
	}{
		{"new", 0, 0o666, info.Mode()},
		{"key", 0, 0o600, 0o600},
		{"private", 0o600, 0o666, 0o600},
		{"group", 0o664, 0o666, 0o664},
	} {
		path := filepath.Join(dir, c.name)
		if c.old != 0 {
			write(t, path, "old")
			if err := os.Chmod(path, c.old); err != nil {
				t.Fatal(err)
			}
		}
		err := File(path, c.mode, time.Now(), func(*os.File) error { return nil })
		if info, errStat := os.Stat(path); err != nil || errStat != nil || info.Mode() != c.want {
			t.Errorf("%s: %v, %v, %v, want %v", c.name, err, errStat, info.Mode(), c.want)
		}
	}
}

// TestSweep checks that what a killed program left goes, and nothing else.
func TestSweep(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	stay := []string{".x.tmp", ".x.tmp1.bak", ".xx.tmp1", ".x.sig.tmp1", "x.tmp1"}
	for _, name := range append([]string{".x.tmp1", ".x.tmp18446744073709551615"}, stay...) {
		write(t, filepath.Join(dir, name), "")
	}
	if err := os.Symlink(filepath.Join(dir, "x.tmp1"), filepath.Join(dir, ".x.tmp2")); err != nil {
		t.Fatal(err)
	}
	var first, second Set
	a, err := first.Create(filepath.Join(dir, "x"), 0o666)
	if err != nil {
		t.Fatal(err)
	}
	b, err := second.Create(filepath.Join(dir, "x"), 0o666)
	if err != nil {
		t.Fatal(err)
	}
	want := append([]string{".x.tmp2", filepath.Base(a.Name()), filepath.Base(b.Name())}, stay...)
	slices.Sort(want)
	if got := names(t, dir); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if err := errors.Join(first.Commit(time.Now()), second.Commit(time.Now())); err != nil {
		t.Error(err)
	}
	first.Discard()
	second.Discard()
}

// TestSweptAtOnce checks that a file that a sweep finds before it is locked is
// not written to.
func TestSweptAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), ".x.tmp1")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	removeStale(path)
	if held(f) {
		t.Error("a file that is gone is held")
	}
	write(t, path, "")
	g, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	again, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if !held(g) || held(again) {
		t.Error("two hold one file")
	}
}

// TestNotRegular checks that links stay, and that devices and pipes are not
// replaced.
func TestNotRegular(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, link := filepath.Join(dir, "x"), filepath.Join(dir, "link")
	write(t, path, "old")
	if err := os.Symlink("x", link); err != nil {
		t.Fatal(err)
	}
	if err := File(link, 0o666, time.Now(), func(f *os.File) error { _, err := f.WriteString("new"); return err }); err != nil {
		t.Fatal(err)
	}
	if target, err := os.Readlink(link); err != nil || target != "x" || read(t, path) != "new" {
		t.Errorf("link to %q, %v; %q", target, err, read(t, path))
	}
	if err := File("/dev/null", 0o666, time.Now(), nil); err == nil {
		t.Error("a device is replaced")
	}
}
