package bootfiles

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

var anyone = netip.MustParseAddr("127.0.0.1")

func testDir(t *testing.T) (*Dir, string) {
	t.Helper()
	base := t.TempDir()
	root := filepath.Join(base, "root")
	for _, folder := range []string{root, filepath.Join(root, "grub")} {
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"root/pxeboot.emu":   "emulab",
		"root/grub/grub.cfg": "menu",
		"root/empty":         "",
		"secret":             "outside",
	} {
		if err := os.WriteFile(filepath.Join(base, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{
		"inside": "grub/grub.cfg", "outside": "../secret", "absolute": filepath.Join(base, "secret"), "loop": "loop",
	} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(root, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	d, err := OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d, root
}

func read(t *testing.T, f File) string {
	t.Helper()
	data, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestDirOpen(t *testing.T) {
	t.Parallel()
	d, _ := testDir(t)
	for _, c := range []struct {
		name, want string
		err        error
	}{
		{"pxeboot.emu", "emulab", nil},
		{"/tftpboot/pxeboot.emu", "emulab", nil},
		{"pxeboot.emu\xff", "emulab", nil},
		{"/grub/grub.cfg", "menu", nil},
		{"//grub//./grub.cfg", "menu", nil},
		{"inside", "menu", nil},
		{"empty", "", nil},
		{"absent", "", fs.ErrNotExist},
		{"pxeboot.emu/below", "", fs.ErrNotExist},
		{"pxeboot.emu\xff\xff", "", ErrRefused},
		{"", "", ErrRefused},
		{"/", "", ErrRefused},
		{"grub", "", ErrRefused},
		{"fifo", "", ErrRefused},
		{"outside", "", ErrRefused},
		{"absolute", "", ErrRefused},
		{"../secret", "", ErrRefused},
		{"/tftpboot/../../secret", "", ErrRefused},
		{"grub/../pxeboot.emu", "", ErrRefused},
		{"..\\secret", "", ErrRefused},
		{"%2e%2e/secret", "", fs.ErrNotExist},
		{"pxeboot.emu\x00", "", ErrRefused},
		{"a\nb", "", ErrRefused},
		{"a\u0085b", "", ErrRefused},
		{fmt.Sprintf("%0500d", 0), "", ErrRefused},
	} {
		f, err := d.Open(t.Context(), anyone, c.name)
		if !errors.Is(err, c.err) {
			t.Errorf("Open(%q): error %v, want %v", c.name, err, c.err)
		}
		if err != nil {
			continue
		}
		if got := read(t, f); got != c.want {
			t.Errorf("Open(%q) reads %q, want %q", c.name, got, c.want)
		}
		f.Close()
	}
	if _, err := d.Open(t.Context(), anyone, "loop"); err == nil {
		t.Error("a symbolic link to itself opened")
	}
}

func TestDirReplacedFile(t *testing.T) {
	t.Parallel()
	d, root := testDir(t)
	old, err := d.Open(t.Context(), anyone, "pxeboot.emu")
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	next := filepath.Join(root, "next")
	if err := os.WriteFile(next, []byte("newer"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(root, "pxeboot.emu")); err != nil {
		t.Fatal(err)
	}
	f, err := d.Open(t.Context(), anyone, "pxeboot.emu")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := read(t, f); got != "newer" {
		t.Errorf("after the rename a new Open reads %q", got)
	}
	if got := read(t, old); got != "emulab" {
		t.Errorf("the transfer under way reads %q", got)
	}
}

// TestDirShares holds the bound on descriptors: readers of one name share one,
// and idle ones are capped.
func TestDirShares(t *testing.T) {
	t.Parallel()
	d, root := testDir(t)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			f, err := d.Open(t.Context(), anyone, "pxeboot.emu")
			if err != nil {
				t.Error(err)
				return
			}
			f.Close()
			f.Close() // a second Close must not count twice
		})
	}
	wg.Wait()
	if len(d.open) != 1 || d.open["pxeboot.emu"].readers != 0 {
		t.Errorf("%d files open, %d readers left", len(d.open), d.open["pxeboot.emu"].readers)
	}
	for i := range idleFilesMax + 10 {
		name := fmt.Sprintf("file%d", i)
		if err := os.WriteFile(filepath.Join(root, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		f, err := d.Open(t.Context(), anyone, name)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	if d.idle.Len() != idleFilesMax || len(d.open) != idleFilesMax {
		t.Errorf("%d idle, %d open; want %d", d.idle.Len(), len(d.open), idleFilesMax)
	}
}

func TestLogName(t *testing.T) {
	t.Parallel()
	long := fmt.Sprintf("%0500d", 0)
	for in, want := range map[string]string{
		"plain":            "plain",
		"a\nb\x1b[31m\xff": `a\nb\x1b[31m\xff`,
		long:               long[:logNameBytesMax] + "...",
	} {
		if got := LogName(in); got != want {
			t.Errorf("LogName(%q) = %q, want %q", in, got, want)
		}
	}
}
