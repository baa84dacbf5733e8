package initramfs

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// member is what a reader finds in an archive.
type member struct {
	name string
	mode uint64
	rdev [2]uint64
	data string
}

// readArchive reads as the kernel does: 13 numbers of 8 hex digits after the
// magic, name and data each filled up to 4 bytes.
func readArchive(t *testing.T, b []byte) (members []member) {
	t.Helper()
	inodes := map[uint64]bool{}
	for at := 0; ; {
		if string(b[at:at+6]) != "070701" || at%4 != 0 {
			t.Fatalf("no header at byte %d: %q", at, b[at:at+6])
		}
		var field [13]uint64
		for i := range field {
			v, err := strconv.ParseUint(string(b[at+6+8*i:at+14+8*i]), 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			field[i] = v
		}
		nameBytes, fileBytes := int(field[11]), int(field[6])
		name := b[at+110 : at+110+nameBytes]
		if name[len(name)-1] != 0 {
			t.Fatalf("name %q is not ended", name)
		}
		start := (at + 110 + nameBytes + 3) / 4 * 4
		m := member{string(name[:len(name)-1]), field[1], [2]uint64{field[9], field[10]}, string(b[start : start+fileBytes])}
		if m.name == "TRAILER!!!" {
			return members
		}
		if inodes[field[0]] {
			t.Errorf("%s has the inode of another", m.name)
		}
		inodes[field[0]] = true
		members = append(members, m)
		at = (start + fileBytes + 3) / 4 * 4
	}
}

func TestWriter(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := NewWriter(&b)
	for _, err := range []error{
		w.Dir("dev"), w.CharDevice("dev/console", 0o600, 5, 1), w.File("/a/b/../c/x", 0o755, []byte("hello")), w.File("a/c/y", 0o644, nil),
		w.Symlink("bin/sh", "../init"), w.Dir("a"), w.Close(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := []member{
		{"dev", 0o040755, [2]uint64{}, ""}, {"dev/console", 0o020600, [2]uint64{5, 1}, ""}, {"a", 0o040755, [2]uint64{}, ""}, {"a/c", 0o040755, [2]uint64{}, ""},
		{"a/c/x", 0o100755, [2]uint64{}, "hello"}, {"a/c/y", 0o100644, [2]uint64{}, ""}, {"bin", 0o040755, [2]uint64{}, ""}, {"bin/sh", 0o120777, [2]uint64{}, "../init"},
	}
	if got := readArchive(t, b.Bytes()); !slices.Equal(got, want) {
		t.Errorf("archive has\n%v, want\n%v", got, want)
	}
	if err := NewWriter(io.Discard).File(strings.Repeat("x", nameMax), 0o644, nil); err == nil {
		t.Error("a name that is too long was taken")
	}
}

// TestBuild makes a RAM disk with modules, twice the same.
func TestBuild(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := map[string]string{
		"init": "program", "modules.dep": "kernel/net/virtio_net.ko: kernel/virtio.ko\nkernel/virtio.ko:\nkernel/other.ko:\n",
		"kernel/net/virtio_net.ko": "net", "kernel/virtio.ko": "virtio", "kernel/other.ko": "other",
		"client.pem": "node", "emulab.pem": "authority", "another.pem": "no",
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	options := Options{Init: filepath.Join(dir, "init"), ModuleDir: dir, Modules: []string{"virtio-net"}, CertDir: dir}
	var first, second bytes.Buffer
	for _, b := range []*bytes.Buffer{&first, &second} {
		if err := Build(b, options); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two builds differ")
	}
	unpacked, err := gzip.NewReader(&first)
	if err != nil {
		t.Fatal(err)
	}
	archive, err := io.ReadAll(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range readArchive(t, archive) {
		if m.mode&typeMask != typeDir {
			got = append(got, fmt.Sprintf("%s %o %s", m.name, m.mode, m.data))
		}
	}
	want := []string{"dev/console 20600 ", "init 100755 program", "etc/emulab/client.pem 100600 node", "etc/emulab/emulab.pem 100600 authority",
		"lib/modules/virtio.ko 100644 virtio", "lib/modules/virtio_net.ko 100644 net",
		"etc/modules 100644 /lib/modules/virtio.ko\n/lib/modules/virtio_net.ko\n"}
	if !slices.Equal(got, want) {
		t.Errorf("RAM disk has\n%q, want\n%q", got, want)
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ dep, modules, want, err string }{
		{"a/x.ko: a/y.ko a/z.ko\na/y.ko: a/z.ko\na/z.ko:\n", "x", "a/z.ko a/y.ko a/x.ko", ""},
		{"x.ko.xz:\ny_z.ko.zst: x.ko.xz\n", "y-z x", "x.ko.xz y_z.ko.zst", ""},
		{"x.ko: y.ko\ny.ko: x.ko\n", "x", "", "needs itself"},
		{"x.ko:\n", "q", "", "no module q"},
	} {
		got, err := order(parseDep(test.dep), strings.Fields(test.modules))
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("modules %s: error %v, want %q", test.modules, err, test.err)
			}
			continue
		}
		if err != nil || !slices.Equal(got, strings.Fields(test.want)) {
			t.Errorf("modules %s: %v, %v, want %s", test.modules, got, err, test.want)
		}
	}
}
