package zip_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hyzer/bench/shared"
	"hyzer/bench/tools"
	"hyzer/imaging/ndz"
	"hyzer/imaging/unzip"
	"hyzer/imaging/zip"
)

// TestCommand runs imagezip and restores what it made.
func TestCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out, key := filepath.Join(dir, "x.ndz"), filepath.Join(dir, "key")
	for name, file := range map[string]string{"ext": "ext2-1k", "mbr": "mbr", "odd": "file-odd", "new": "mbr"} {
		img := shared.ReadGzip(t, "vectors/ndz/"+file+".img.gz")
		if name == "new" {
			img = patched(t, file)
		}
		if err := os.WriteFile(filepath.Join(dir, name), img, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args    string
		code    int
		text    string // in standard error
		chunks  int
		version ndz.Version
		unzip   string
	}{
		{"-l ext OUT", 0, "Image size: 1048576 bytes\n", 1, ndz.V3, ""},
		{"ext OUT", 0, "bytes in ", 1, ndz.V3, ""},
		{"-o -z 0 ext OUT", 0, "..", 2, ndz.V3, ""},
		{"-f odd OUT", 0, "100352 input (100352 compressed)", 1, ndz.V3, ""},
		{"-1 -r ext OUT", 0, "MB/second compressed", 1, ndz.V1, ""},
		{"-a SHA1 -e bf_cbc -k KEY -u 00112233445566778899aabbccddeeff -s 1 mbr OUT", 0, "Finished in ", 1, ndz.V4, "-a OUT.skey -k KEY"},
		{"-s 2 -I 2 mbr OUT", 1, "nothing of the source is in use", 0, 0, ""},
		{"-U OUT.base mbr OUT", 0, "", 1, ndz.V3, ""},
		{"-H OUT.base -U OUT.sig -P 50 new OUT", 0, "Auto image selection creating delta image.\n", 1, ndz.V3, "--any-base"},
		{"-H OUT.base -P 1 new OUT", 0, "Auto image selection creating full image.\n", 1, ndz.V3, ""},
		{"-H OUT.base new OUT", 0, "Hash blocks compared:          101\n  Identical:                    93 (92.1%)\n", 1, ndz.V3, "--any-base"},
		{"-U OUT.sig ext OUT", 0, "Signature file:         <none>\n", 1, ndz.V3, ""},
		{"-r - OUT", 0, "512 input (512 compressed)", 1, ndz.V3, ""},
		{"- OUT", 1, "can only be imaged raw", 0, 0, ""},
		{"-X ext OUT", 0, "Finished in ", 1, ndz.V3, ""},
		{"-i mbr", 0, "P1: start 4096, 24576 sectors, type 0x83: ext", 0, 0, ""},
		{"-n ext OUT", 1, "has no ntfs file system", 0, 0, ""},
		{"odd OUT", 1, "no partition table and no known file system", 0, 0, ""},
		{"none OUT", 1, "no such file", 0, 0, ""},
		{"-z 10 ext OUT", 1, "not a number from 0 to 9", 0, 0, ""},
		{"-s 9 mbr OUT", 1, "no partition 9", 0, 0, ""},
		{"-H odd mbr OUT", 1, "not a signature", 0, 0, ""},
		{"-P 5 mbr OUT", 0, "Finished in ", 1, ndz.V3, ""},
		{". OUT", 1, " is a folder", 0, 0, ""},
		{"", 1, "usage: imagezip", 0, 0, ""},
	} {
		args := strings.Fields(strings.NewReplacer("OUT", out, "KEY", key).Replace(c.args))
		for i, a := range args {
			if _, err := os.Stat(filepath.Join(dir, a)); err == nil && a != "." {
				args[i] = filepath.Join(dir, a)
			}
		}
		os.Remove(out)
		var stdout, stderr bytes.Buffer
		code := zip.Main(args, strings.NewReader("from a pipe\n"), &stdout, &stderr)
		if code != c.code || !strings.Contains(stderr.String(), c.text) {
			t.Errorf("%s: exit %d, want %d and %q; %s", c.args, code, c.code, c.text, stderr.String())
			continue
		}
		checkMade(t, c.args, out, c.chunks, c.version)
		if c.chunks > 0 {
			args := strings.Fields(strings.NewReplacer("OUT", out, "KEY", key).Replace(c.unzip))
			if code := unzip.Main(append(args, out, filepath.Join(dir, "disk")), nil, &stdout, &stderr); code != 0 {
				t.Errorf("%s: cannot be restored: %s", c.args, stderr.String())
			}
		}
	}
}

// TestNoKeys makes no image, and leaves no key of one behind.
func TestNoKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	disk := filepath.Join(dir, "disk")
	if err := os.WriteFile(disk, noise(1<<20, 1), 0o600); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	if code := zip.Main([]string{"-a", "SHA1", "-e", "bf_cbc", disk, filepath.Join(dir, "image")}, nil, io.Discard, &stderr); code != 1 {
		t.Errorf("exit %d: %s", code, stderr.String())
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
		t.Errorf("left %v, %v", list, err)
	}
}

// TestKeysFirst makes an image whose key cannot be written: the image before it
// stays, with its key.
func TestKeysFirst(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	disk, image := filepath.Join(dir, "disk"), filepath.Join(dir, "image")
	if err := errors.Join(os.WriteFile(disk, noise(1<<20, 1), 0o600), os.WriteFile(image, []byte("old"), 0o600), os.Mkdir(image+".skey", 0o700)); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	if code := zip.Main([]string{"-r", "-a", "SHA1", disk, image}, nil, io.Discard, &stderr); code != 1 {
		t.Errorf("exit %d: %s", code, stderr.String())
	}
	if got, err := os.ReadFile(image); err != nil || string(got) != "old" {
		t.Errorf("%d bytes in the place of the old image, %v", len(got), err)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 3 {
		t.Errorf("left %v, %v", list, err)
	}
}

// TestNotItself makes an image of a file under its own name, and under other
// names of it: the file stays what it was.
func TestNotItself(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	disk, hard, soft := filepath.Join(dir, "disk"), filepath.Join(dir, "hard"), filepath.Join(dir, "soft")
	want := noise(1<<20, 1)
	if err := errors.Join(os.WriteFile(disk, want, 0o600), os.Link(disk, hard), os.Symlink(disk, soft)); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{disk, disk}, {disk, hard}, {disk, soft}, {soft, disk}, {"-U", hard, disk, filepath.Join(dir, "image")}} {
		var stderr bytes.Buffer
		if code := zip.Main(append([]string{"-r"}, args...), nil, io.Discard, &stderr); code != 1 || !strings.Contains(stderr.String(), "give the image another name") {
			t.Errorf("%q: exit %d, %s", args, code, stderr.String())
		}
		if got, err := os.ReadFile(disk); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%q: %d bytes of the disk are left, %v", args, len(got), err)
		}
	}
}

// TestOutputKinds makes images under names that are no files: a pipe is written
// to, and a link followed, and both are what they were.
func TestOutputKinds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	disk, pipe, link, file := filepath.Join(dir, "disk"), filepath.Join(dir, "pipe"), filepath.Join(dir, "link"), filepath.Join(dir, "file")
	if err := errors.Join(os.WriteFile(disk, noise(1<<20, 1), 0o600), os.WriteFile(file, nil, 0o600), os.Symlink(file, link), unix.Mkfifo(pipe, 0o600)); err != nil {
		t.Fatal(err)
	}
	read := make(chan []byte)
	go func() {
		b, _ := os.ReadFile(pipe)
		read <- b
	}()
	for _, out := range []string{pipe, link} {
		var stderr bytes.Buffer
		if code := zip.Main([]string{"-r", disk, out}, nil, io.Discard, &stderr); code != 0 {
			t.Fatalf("%s: exit %d, %s", out, code, stderr.String())
		}
	}
	got, err := os.ReadFile(file)
	if piped := <-read; err != nil || len(got) == 0 || !bytes.Equal(piped, got) {
		t.Errorf("%d bytes through the pipe, %d in the file, %v", len(piped), len(got), err)
	}
	for path, mode := range map[string]os.FileMode{pipe: os.ModeNamedPipe, link: os.ModeSymlink} {
		if info, err := os.Lstat(path); err != nil || info.Mode().Type() != mode {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
}

// TestOutputDevice writes an image to a disk, but not to one that is in use.
func TestOutputDevice(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	disk, file, backing := filepath.Join(dir, "disk"), filepath.Join(dir, "file"), filepath.Join(dir, "backing")
	if err := errors.Join(os.WriteFile(disk, noise(1<<20, 1), 0o600), os.WriteFile(backing, make([]byte, 4<<20), 0o600)); err != nil {
		t.Fatal(err)
	}
	device, _ := tools.Loop(t, backing)
	for _, out := range []string{file, device} {
		var stderr bytes.Buffer
		if code := zip.Main([]string{"-r", disk, out}, nil, io.Discard, &stderr); code != 0 {
			t.Fatalf("%s: exit %d, %s", out, code, stderr.String())
		}
	}
	want, err := os.ReadFile(file)
	if got, errB := os.ReadFile(backing); err != nil || errB != nil || !bytes.HasPrefix(got, want) {
		t.Errorf("the device has another image, %v, %v", err, errB)
	}
	user, err := os.OpenFile(device, os.O_RDONLY|unix.O_EXCL, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer user.Close()
	var stderr bytes.Buffer
	if code := zip.Main([]string{"-r", disk, device}, nil, io.Discard, &stderr); code != 1 || !strings.Contains(stderr.String(), "is in use") {
		t.Errorf("device in use: exit %d, %s", code, stderr.String())
	}
}

func checkMade(t *testing.T, args, path string, chunks int, v ndz.Version) {
	t.Helper()
	image, err := os.ReadFile(path)
	if chunks == 0 {
		if err == nil {
			t.Errorf("%s: made an image", args)
		}
		return
	}
	info, err := ndz.Info(bytes.NewReader(image), int64(len(image)))
	if err != nil || info.Chunks != chunks || info.Version != v {
		t.Errorf("%s: image of %d chunks of %s, want %d of %s; %v", args, info.Chunks, info.Version, chunks, v, err)
	}
}
