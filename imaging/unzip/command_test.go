package unzip_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hyzer/bench/shared"
	"hyzer/imaging/unzip"
)

// slices are the golden restores with -s, by the beginning of their name.
var slices = []struct {
	image        string
	size         int
	kind         byte
	start, count uint32
	sum          string
}{
	{"bsd-slice1", 17839104, 0xa5, 1000, 33792, "70bbaf5fb3fdf6dd431204738238bf605b2b9ccb641b8b28e1728a234aaf9d50"},
	{"lilo-slice1", 8812032, 0x83, 777, 16384, "ce8306dd5cd725eadb915b447c80f266dbf843c1cd7feac19bd1678fd66f7d24"},
}

// mbrDisk is a disk of garbage with one partition.
func mbrDisk(size int, kind byte, start, count uint32) []byte {
	disk := newDisk(int64(size)).data
	clear(disk[446:510])
	copy(disk[446:], []byte{0x80, 1, 1, 0, kind, 0xfe, 0xff, 0xff})
	disk[510], disk[511] = 0x55, 0xaa
	binary.LittleEndian.PutUint32(disk[454:], start)
	binary.LittleEndian.PutUint32(disk[458:], count)
	return disk
}

type files struct {
	t   *testing.T
	dir string
}

func (f files) path(name string) string { return filepath.Join(f.dir, name) }

func (f files) write(name string, data []byte) string {
	f.t.Helper()
	if err := os.WriteFile(f.path(name), data, 0o600); err != nil {
		f.t.Fatal(err)
	}
	return f.path(name)
}

func (f files) read(name string) []byte {
	f.t.Helper()
	data, err := os.ReadFile(f.path(name))
	if err != nil {
		f.t.Fatal(err)
	}
	return data
}

// run runs imageunzip and returns exit status, standard output and error.
func run(stdin []byte, args ...string) (int, []byte, string) {
	var stdout, stderr bytes.Buffer
	code := unzip.Main(args, bytes.NewReader(stdin), &stdout, &stderr)
	return code, stdout.Bytes(), stderr.String()
}

// TestSlice restores slice images into partitions, as the C program did.
func TestSlice(t *testing.T) {
	t.Parallel()
	for _, c := range slices {
		f := files{t, t.TempDir()}
		in := f.write("x.ndz", golden(t, c.image+".ndz.gz"))
		out := f.write("disk", mbrDisk(c.size, c.kind, c.start, c.count))
		if code, _, text := run(nil, "-s", "1", in, out); code != 0 {
			t.Fatalf("%s: exit %d, %s", c.image, code, text)
		}
		if got := sum(f.read("disk")); got != c.sum {
			t.Errorf("%s: disk has sum %s, want %s", c.image, got, c.sum)
		}
		if code, _, text := run(nil, "-zs1", "-D", "0x17", in, out); code != 0 || f.read("disk")[450] != 0x17 {
			t.Errorf("%s: -D: exit %d, %s", c.image, code, text)
		}
		if code, _, text := run(nil, "-s", "2", in, out); code != 1 || !strings.Contains(text, "no partition 2") {
			t.Errorf("%s: -s 2: exit %d, %s", c.image, code, text)
		}
	}
}

// TestSliceTooSmall cuts the image off at the end of the partition.
func TestSliceTooSmall(t *testing.T) {
	t.Parallel()
	const start, count = 100, 2000
	f := files{t, t.TempDir()}
	in := f.write("x.ndz", golden(t, "ext2-1k.ndz.gz"))
	disk := mbrDisk(4<<20, 0x83, start, count)
	out := f.write("disk", disk)
	code, _, text := run(nil, "-z", "-s", "1", in, out)
	if code != 0 || !strings.Contains(text, "it is cut off") {
		t.Fatalf("exit %d, %s", code, text)
	}
	got, whole := f.read("disk"), restoreFile(t, golden(t, "ext2-1k.ndz.gz"), unzip.Options{})
	if !bytes.Equal(got[start*512:(start+count)*512], whole[:count*512]) {
		t.Error("partition has wrong data")
	}
	if !bytes.Equal(got[:start*512], disk[:start*512]) || !bytes.Equal(got[(start+count)*512:], disk[(start+count)*512:]) {
		t.Error("something outside the partition was written")
	}
}

// TestCommand checks the command's ways in and out, texts and exit status.
func TestCommand(t *testing.T) {
	t.Parallel()
	f := files{t, t.TempDir()}
	image := golden(t, "raw.ndz.gz")
	in, out := f.write("raw.ndz", image), f.path("out")
	want := golden(t, "raw.img.gz")
	for _, c := range []struct {
		name, args string
		stdin      []byte
		code       int
		stdout     bool
		text       string // in standard error
	}{
		{"file", in + " " + out, nil, 0, false, "Decompressed 1572864 bytes, wrote 1572864 bytes (1572864 actual) in "},
		{"dots", "-o " + in + " " + out, nil, 0, false, ".\nDecompressed"},
		{"pipe to file", "- " + out, image, 0, false, "Decompressed"},
		{"to pipe", in, nil, 0, true, "WARNING: forcing zero-fill"},
		{"pipe to pipe", "-z - -", image, 0, true, "1572864 bytes of data in "},
		{"one core", "-n -W 10 " + in + " " + out, nil, 0, false, "Decompressed"},
		{"empty pipe", "- " + out, nil, 1, false, "image is empty"},
		{"cut pipe", "- " + out, image[:5000], 1, false, "chunk 0, offset 5000: image ends inside a chunk"},
		{"no file", f.path("none") + " " + out, nil, 1, false, "no such file"},
		{"no output folder", in + " " + f.path("none/out"), nil, 1, false, "no such file"},
		{"no arguments", "", nil, 1, false, "usage: imageunzip"},
		{"bad option", "-q " + in, nil, 1, false, "invalid option -- 'q'"},
		{"bad pattern", "-p x " + in + " " + out, nil, 1, false, `option -p: "x" is not a number`},
		{"bad slice", "-s 999 " + in + " " + out, nil, 1, false, "not a number from 1 to 128"},
		{"id of V3", "-u 00112233445566778899aabbccddeeff " + in + " " + out, nil, 1, false, "V3 has none"},
		{"version", "-v", nil, 0, false, "V5"},
	} {
		os.Remove(out)
		code, stdout, text := run(c.stdin, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(text, c.text) {
			t.Errorf("%s: exit %d, want %d; %s", c.name, code, c.code, text)
		}
		switch {
		case c.stdout && !bytes.Equal(stdout, want):
			t.Errorf("%s: wrong data on standard output", c.name)
		case code == 0 && !c.stdout && c.name != "version" && !bytes.Equal(f.read("out"), want):
			t.Errorf("%s: wrong data in the file", c.name)
		}
	}
}

// TestNotItself restores an image to itself, by several names: it stays what it
// was.
func TestNotItself(t *testing.T) {
	t.Parallel()
	f := files{t, t.TempDir()}
	want := golden(t, "ext2-1k.ndz.gz")
	image, link := f.write("image", want), f.path("link")
	if err := os.Link(image, link); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{image, image}, {image, link}, {"-N", image, link}, {"-n", "-z", link, image}} {
		if code, _, text := run(nil, args...); code != 1 || !bytes.Equal(f.read("image"), want) {
			t.Errorf("%q: exit %d, %s", args, code, text)
		}
	}
}

// TestCopyHalf copies an image that is cut: what was under the name stays, and
// nothing is beside it.
func TestCopyHalf(t *testing.T) {
	t.Parallel()
	f := files{t, t.TempDir()}
	whole := golden(t, "ext2-1k-z0.ndz.gz") // of two chunks
	in, out := f.write("cut", whole[:len(whole)-1]), f.write("out", []byte("old"))
	if code, _, text := run(nil, "-N", in, out); code != 1 || string(f.read("out")) != "old" {
		t.Errorf("exit %d, %d bytes; %s", code, len(f.read("out")), text)
	}
	f.write("cut", whole)
	if code, _, text := run(nil, "-N", in, out); code != 0 || !bytes.Equal(f.read("out"), whole) {
		t.Errorf("whole: exit %d, %d bytes; %s", code, len(f.read("out")), text)
	}
	if list, err := os.ReadDir(f.dir); err != nil || len(list) != 2 {
		t.Errorf("left %v, %v", list, err)
	}
	if code, _, text := run(nil, "-N", in, "/dev/null"); code != 0 {
		t.Errorf("to /dev/null: exit %d, %s", code, text)
	}
}

// TestKeyFiles gives the keys of a signed and encrypted image as files.
func TestKeyFiles(t *testing.T) {
	t.Parallel()
	f := files{t, t.TempDir()}
	in, out := f.write("x.ndz", golden(t, "v4-enc-signed.ndz.gz")), f.path("out")
	skey, ekey := shared.Path(t, "vectors/ndz/v4-enc-signed.skey"), shared.Path(t, "vectors/ndz/v4.ekey")
	const id = "00112233445566778899aabbccddeeff"
	for _, c := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{"-u", id, "-a", skey, "-k", ekey, in, out}, 0, "Decompressed"},
		{[]string{"-a", skey, in, out}, 1, "payload is encrypted"},
		{[]string{"-c", "-k", ekey, in, out}, 1, "checksum is signed"},
		{[]string{"-a", ekey, in, out}, 1, "signing key"},
		{[]string{"-k", skey, in, out}, 1, "encryption key"},
		{[]string{"-a", shared.Path(t, "vectors/ndz/v4-signed.skey"), "-k", ekey, in, out}, 1, "signature"},
	} {
		if code, _, text := run(nil, c.args...); code != c.code || !strings.Contains(text, c.text) {
			t.Errorf("%q: exit %d, want %d; %s", c.args, code, c.code, text)
		}
	}
}

// TestKeepFile applies a delta to a file, which -K keeps from being emptied.
func TestKeepFile(t *testing.T) {
	t.Parallel()
	f := files{t, t.TempDir()}
	base, delta := f.write("base.ndz", golden(t, "mbr.ndz.gz")), f.write("delta.ndz", golden(t, "mbr.hdelta.ndz.gz"))
	next := f.write("new.ndz", golden(t, "mbr.new.ndz.gz"))
	for _, args := range [][]string{{base, f.path("a")}, {"-K", delta, f.path("a")}, {next, f.path("b")}} {
		if code, _, text := run(nil, args...); code != 0 {
			t.Fatalf("%q: exit %d, %s", args, code, text)
		}
	}
	// The delta leaves what became free; everything in the new image is there.
	if code, _, text := run(nil, "-K", next, f.path("a")); code != 0 {
		t.Fatal(text)
	}
	a, b := f.read("a"), f.read("b")
	if len(a) != len(b) {
		t.Errorf("%d bytes, want %d", len(a), len(b))
	}
}
