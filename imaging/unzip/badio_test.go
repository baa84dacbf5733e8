package unzip_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"hyzer/bench/tools"
	"hyzer/imaging/unzip"
	"hyzer/imaging/zip"
)

const (
	badDiskBytes = 16 << 20
	goodBytes    = 9 << 20
)

// badDevice is a device that has a medium up to goodBytes only: what is behind it
// was cut off there, and must not grow. The kernel says EIO for the rest.
func badDevice(t *testing.T) string {
	t.Helper()
	fd, err := unix.MemfdCreate("disk", unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Skipf("no files in memory: %v", err)
	}
	file := os.NewFile(uintptr(fd), "disk")
	t.Cleanup(func() { file.Close() })
	if _, err := file.Write(bytes.Repeat([]byte("on disk "), badDiskBytes/8)); err != nil {
		t.Fatal(err)
	}
	device, _ := tools.Loop(t, fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd))
	if err := file.Truncate(goodBytes); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_GROW); err != nil {
		t.Fatal(err)
	}
	return device
}

// namesOffset checks that an error says where on the disk it was: at most a
// chunk's data before what is bad, and not past the end.
func namesOffset(t *testing.T, text string) {
	t.Helper()
	at := regexp.MustCompile(`(?:byte|sector) (\d+)`).FindStringSubmatch(text)
	if at == nil {
		t.Errorf("no offset: %s", text)
		return
	}
	n, err := strconv.ParseInt(at[1], 10, 64)
	if at[0][0] == 's' {
		n *= 512
	}
	if err != nil || n < goodBytes-5<<20 || n > badDiskBytes {
		t.Errorf("offset %d: %s", n, text)
	}
}

// TestDeviceReadFails images a device that cannot be read to its end.
func TestDeviceReadFails(t *testing.T) {
	t.Parallel()
	f := files{t, t.TempDir()}
	device := badDevice(t)
	for _, format := range []string{"-3", "--v5"} {
		var stderr bytes.Buffer
		if code := zip.Main([]string{"-r", format, device, f.path("image")}, nil, io.Discard, &stderr); code == 0 {
			t.Errorf("%s: exit status 0", format)
		}
		if !bytes.Contains(stderr.Bytes(), []byte("input/output error")) {
			t.Errorf("%s: it says %s", format, stderr.String())
		}
		namesOffset(t, stderr.String())
		if left, err := os.ReadDir(f.dir); err != nil || len(left) > 0 {
			t.Errorf("%s: left behind: %v, %v", format, left, err)
		}
	}
}

// TestDeviceWriteFails restores to a device that cannot be written to its end.
func TestDeviceWriteFails(t *testing.T) {
	t.Parallel()
	f := files{t, t.TempDir()}
	for _, format := range []string{"-3", "--v5"} {
		disk, image := f.write("disk", newNoise(badDiskBytes)), f.path("image")
		var stderr bytes.Buffer
		if code := zip.Main([]string{"-r", format, disk, image}, nil, io.Discard, &stderr); code != 0 {
			t.Fatalf("%s: exit status %d: %s", format, code, stderr.String())
		}
		device := badDevice(t)
		stderr.Reset()
		code := unzip.Main([]string{image, device}, nil, io.Discard, &stderr)
		if code != 1 || !bytes.Contains(stderr.Bytes(), []byte(device+": input/output error")) {
			t.Errorf("%s: exit status %d: %s", format, code, stderr.String())
		}
		namesOffset(t, stderr.String())
	}
}
