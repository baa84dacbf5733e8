package unzip_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"hyzer/bench/tools"
	"hyzer/imaging/freemap"
	"hyzer/imaging/unzip"
	"hyzer/imaging/zip"
)

const loopDiskBytes = 32 << 20

// loopImage is an image of a disk of which a few ranges are in use, and the
// disk with everything else zero.
func loopImage(t *testing.T) (image, disk []byte) {
	t.Helper()
	disk = make([]byte, loopDiskBytes)
	random := rand.NewChaCha8([32]byte{21})
	layout := &zip.Layout{Sectors: loopDiskBytes / 512}
	for _, r := range []freemap.Range{{Start: 8, End: 4000}, {Start: 4003, End: 4009}, {Start: 30_000, End: 41_111}, {Start: 65_400, End: 65_472}} {
		random.Read(disk[r.Start*512 : r.End*512])
		layout.Data = append(layout.Data, r)
	}
	var out bytes.Buffer
	src := zip.Source{ReaderAt: bytes.NewReader(disk), Bytes: loopDiskBytes}
	if _, err := zip.Write(context.Background(), src, layout, &out, zip.Options{}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), disk
}

// TestLoopDevice restores onto a device full of something else: free space must
// read as zeros, and not be kept by the file under the device.
func TestLoopDevice(t *testing.T) {
	t.Parallel()
	f := files{t, t.TempDir()}
	image, want := loopImage(t)
	f.write("image", image)
	backing := f.write("backing", bytes.Repeat([]byte("garbage "), loopDiskBytes/8))
	device, detach := tools.Loop(t, backing)
	var stderr bytes.Buffer
	if code := unzip.Main([]string{"-z", f.path("image"), device}, nil, io.Discard, &stderr); code != 0 {
		t.Fatalf("exit status %d: %s", code, stderr.String())
	}
	got, err := os.ReadFile(device)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("device is not the disk: %d bytes, %v", len(got), err)
	}
	detach()
	info, err := os.Stat(backing)
	if err != nil {
		t.Fatal(err)
	}
	if kept := info.Sys().(*syscall.Stat_t).Blocks * 512; kept > loopDiskBytes/2 {
		t.Errorf("%d bytes of %d are still kept", kept, info.Size())
	}
}

// TestPunchFile does the same with a file that is gone on with.
func TestPunchFile(t *testing.T) {
	t.Parallel()
	f := files{t, t.TempDir()}
	image, want := loopImage(t)
	f.write("image", image)
	f.write("out", bytes.Repeat([]byte("garbage "), loopDiskBytes/8))
	var stderr bytes.Buffer
	if code := unzip.Main([]string{"-K", "-z", f.path("image"), f.path("out")}, nil, io.Discard, &stderr); code != 0 {
		t.Fatalf("exit status %d: %s", code, stderr.String())
	}
	if !bytes.Equal(f.read("out"), want) {
		t.Error("file is not the disk")
	}
	info, err := os.Stat(filepath.Join(f.dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	if kept := info.Sys().(*syscall.Stat_t).Blocks * 512; kept > loopDiskBytes/2 {
		t.Errorf("%d bytes of %d are still kept", kept, info.Size())
	}
}

// TestCRC prints what the old program does for the same disk, of 2048 bytes, and
// writes no output.
func TestCRC(t *testing.T) {
	t.Parallel()
	f := files{t, t.TempDir()}
	disk := make([]byte, 2048)
	for i := range disk {
		disk[i] = byte(i * i >> 3)
	}
	var image, stderr bytes.Buffer
	src := zip.Source{ReaderAt: bytes.NewReader(disk), Bytes: int64(len(disk))}
	if _, err := zip.Create(t.Context(), src, &image, zip.Options{Raw: true}); err != nil {
		t.Fatal(err)
	}
	name := f.write("image", image.Bytes())
	if code := unzip.Main([]string{"-C", name, f.path("out")}, nil, io.Discard, &stderr); code != 0 {
		t.Fatalf("exit status %d: %s", code, stderr.String())
	}
	if !bytes.Contains(stderr.Bytes(), []byte(name+": CRC=164738489\n")) {
		t.Errorf("it says %s", stderr.String())
	}
	if _, err := os.Stat(f.path("out")); !os.IsNotExist(err) {
		t.Errorf("there is an output: %v", err)
	}
}
