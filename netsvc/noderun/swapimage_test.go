package noderun

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hyzer/imaging/sig"
	"hyzer/imaging/unzip"
	"hyzer/imaging/zip"
)

// swapSite is a node's files: a disk, the image it was loaded with, and the
// folders of its experiment.
type swapSite struct {
	devices, projects, swapinfo string
	base                        []byte // image
	disk                        []byte // now
	signature                   *sig.File
}

const swapDiskBytes = 4 << 20

func newSwapSite(t *testing.T) *swapSite {
	t.Helper()
	dir := t.TempDir()
	s := &swapSite{devices: filepath.Join(dir, "dev"), projects: filepath.Join(dir, "proj")}
	s.swapinfo = filepath.Join(s.projects, "p", "exp", "e", "swapinfo")
	for _, d := range []string{s.devices, s.swapinfo, filepath.Join(s.swapinfo, "..", "logs")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	old := make([]byte, swapDiskBytes)
	for i := range old {
		old[i] = byte(i >> 8)
	}
	// A DOS label with one partition of unknown content, from sector 63.
	clear(old[446:510])
	copy(old[446:], []byte{0, 0, 0, 0, 0xda, 0, 0, 0, 63, 0, 0, 0})
	binary.LittleEndian.PutUint32(old[446+12:], swapDiskBytes/512-63)
	copy(old[510:], []byte{0x55, 0xaa})
	s.signature = &sig.File{}
	var image bytes.Buffer
	opts := zip.Options{Raw: true, Signature: s.signature}
	if _, err := zip.Create(t.Context(), zip.Source{ReaderAt: bytes.NewReader(old), Bytes: swapDiskBytes}, &image, opts); err != nil {
		t.Fatal(err)
	}
	s.base, s.disk = image.Bytes(), bytes.Clone(old)
	copy(s.disk[1<<20:], strings.Repeat("changed!", 1000))
	s.write(t, filepath.Join(s.devices, "sd0"), s.disk)
	if err := s.signature.WriteFile(filepath.Join(s.swapinfo, "p-STD.sig")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("p-STD.sig", filepath.Join(s.swapinfo, "nodea.sig")); err != nil {
		t.Fatal(err)
	}
	s.write(t, filepath.Join(s.swapinfo, "nodea.part"), []byte("DISK=sd0 LOADPART=0 BOOTPART=1\n"))
	return s
}

func (s *swapSite) write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func (s *swapSite) image() string { return filepath.Join(s.swapinfo, "nodea-swap.ndz") }

func (s *swapSite) change(v *saver) { v.devices, v.projects = s.devices, s.projects }

// memoryDisk is a disk in memory to load on.
type memoryDisk struct{ data []byte }

func (d *memoryDisk) ReadAt(p []byte, at int64) (int, error) {
	return bytes.NewReader(d.data).ReadAt(p, at)
}
func (d *memoryDisk) WriteAt(p []byte, at int64) (int, error) { return copy(d.data[at:], p), nil }
func (d *memoryDisk) Zero(at, size int64) error               { clear(d.data[at:][:size]); return nil }
func (d *memoryDisk) SizeBytes() int64                        { return int64(len(d.data)) }
func (d *memoryDisk) Finish(int64) error                      { return nil }

// TestSwapImageWholePath asks the real server who the node is, and lays the
// delta over the base image.
func TestSwapImageWholePath(t *testing.T) {
	t.Parallel()
	appliance, s := newSite(t), newSwapSite(t)
	for range 2 { // the second replaces the first
		var errs bytes.Buffer
		if status := createSwapImage(nil, appliance.env, &errs, s.change); status != 0 {
			t.Fatalf("exit %d: %s", status, &errs)
		}
		if !strings.Contains(errs.String(), "delta image size") {
			t.Errorf("said %q", &errs)
		}
	}
	delta, err := os.ReadFile(s.image())
	if err != nil {
		t.Fatal(err)
	}
	loaded := &memoryDisk{make([]byte, swapDiskBytes)}
	for _, image := range [][]byte{s.base, delta} {
		if _, err := unzip.File(context.Background(), bytes.NewReader(image), int64(len(image)), loaded, unzip.Options{Base: s.signature}); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(loaded.data, s.disk) {
		t.Error("base and delta do not give the disk")
	}
	s.onlyFiles(t, "nodea-swap.ndz nodea.part nodea.sig p-STD.sig")
	if logs, err := os.ReadDir(filepath.Join(s.swapinfo, "..", "logs")); err != nil || len(logs) == 0 || !strings.HasPrefix(logs[0].Name(), "imagezip.nodea.") {
		t.Errorf("logs %v, %v", logs, err)
	}
}

// TestSwapImageGrowth: while an image is made its size can be seen, and at the
// end only the image is left.
func TestSwapImageGrowth(t *testing.T) {
	t.Parallel()
	s := newSwapSite(t)
	var out bytes.Buffer
	v := &saver{swapinfo: s.swapinfo, vname: "nodea"}
	s.write(t, filepath.Join(s.swapinfo, ".nodea-swap.ndz.tmp123"), make([]byte, 4242))
	v.noteGrowth(&out)
	line, err := os.ReadFile(s.image() + growthSuffix)
	if err != nil || !strings.HasPrefix(string(line), "BYTES=4242 TIME=") || out.String() != "create-swapimage: 4242 bytes so far\n" {
		t.Errorf("%q, %v, said %q", line, err, &out)
	}
	if err := os.Remove(filepath.Join(s.swapinfo, ".nodea-swap.ndz.tmp123")); err != nil {
		t.Fatal(err)
	}
	appliance := newSite(t)
	out.Reset()
	if status := createSwapImage(nil, appliance.env, &out, func(v *saver) { s.change(v); v.growth = time.Microsecond }); status != 0 {
		t.Fatalf("exit %d: %s", status, &out)
	}
	info, err := os.Stat(s.image())
	if err != nil || !strings.Contains(out.String(), " bytes so far\n") || !strings.HasSuffix(out.String(), fmt.Sprintf("nodea-swap.ndz has %d bytes\n", info.Size())) {
		t.Errorf("%v, said %q", err, &out)
	}
	s.onlyFiles(t, "nodea-swap.ndz nodea.part nodea.sig p-STD.sig")
}

func (s *swapSite) onlyFiles(t *testing.T, want string) {
	t.Helper()
	entries, err := os.ReadDir(s.swapinfo)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); err != nil || got != want {
		t.Errorf("swapinfo holds %s, %v, want %s", got, err, want)
	}
}

// TestSwapImageFailures keep the image that was there.
func TestSwapImageFailures(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		args   string
		spoil  func(t *testing.T, s *swapSite)
		reply  string
		want   string
		status int
	}{
		{"free node", "", nil, "FREE\n", "in no experiment", 1},
		{"bad names", "", nil, "ALLOCATED=p/.. NICKNAME=nodea\n", "names no experiment", 1},
		{"no name", "", nil, "ALLOCATED=p/e nodea\n", "has no name", 1},
		{"no part", "", func(t *testing.T, s *swapSite) { os.Remove(filepath.Join(s.swapinfo, "nodea.part")) }, "", "nothing to save", 1},
		{"bad part", "", func(t *testing.T, s *swapSite) {
			s.write(t, filepath.Join(s.swapinfo, "nodea.part"), []byte("DISK=../etc LOADPART=0"))
		}, "", "is no disk", 1},
		{"long part", "", func(t *testing.T, s *swapSite) {
			s.write(t, filepath.Join(s.swapinfo, "nodea.part"), bytes.Repeat([]byte("x"), 1000))
		}, "", "is over 256 bytes", 1},
		{"no signature", "", func(t *testing.T, s *swapSite) { os.Remove(filepath.Join(s.swapinfo, "nodea.sig")) }, "", "image before it is kept", 1},
		{"bad signature", "", func(t *testing.T, s *swapSite) {
			s.write(t, filepath.Join(s.swapinfo, "p-STD.sig"), []byte("nonsense"))
		}, "", "image before it is kept", 1},
		{"no disk", "", func(t *testing.T, s *swapSite) { os.Remove(filepath.Join(s.devices, "sd0")) }, "", "image before it is kept", 1},
		{"no such partition", "", func(t *testing.T, s *swapSite) {
			s.write(t, filepath.Join(s.swapinfo, "nodea.part"), []byte("DISK=sd0 LOADPART=2 BOOTPART=2"))
		}, "", "image before it is kept", 1},
		{"name with a slash", "-n a/b", nil, "", "no name of a node", 1},
		{"statistics only", "-s", nil, "", "delta image size", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSwapSite(t)
			s.write(t, s.image(), []byte("before"))
			if c.spoil != nil {
				c.spoil(t, s)
			}
			reply := c.reply
			if reply == "" {
				reply = "ALLOCATED=p/e NICKNAME=nodea\n"
			}
			var errs bytes.Buffer
			status := createSwapImage(strings.Fields(c.args), nil, &errs, func(v *saver) {
				s.change(v)
				v.boss = &fakeBoss{answer: func(int, Call) (string, error) { return reply, nil }}
			})
			if status != c.status || !strings.Contains(errs.String(), c.want) {
				t.Errorf("exit %d, %s", status, &errs)
			}
			if got, err := os.ReadFile(s.image()); err != nil || string(got) != "before" {
				t.Errorf("image is now %.40q, %v", got, err)
			}
		})
	}
}

// TestFullSwapImage needs neither a signature nor, with both options, a server.
func TestFullSwapImage(t *testing.T) {
	t.Parallel()
	s := newSwapSite(t)
	args := []string{"-f", "-d", s.swapinfo, "-n", "nodea"}
	os.Remove(filepath.Join(s.swapinfo, "nodea.sig"))
	var errs bytes.Buffer
	status := createSwapImage(args, nil, &errs, func(v *saver) {
		s.change(v)
		v.boss = &fakeBoss{answer: func(int, Call) (string, error) { return "", io.ErrUnexpectedEOF }}
	})
	image, err := os.ReadFile(s.image())
	if status != 0 || err != nil {
		t.Fatalf("exit %d, %v: %s", status, err, &errs)
	}
	loaded := &memoryDisk{make([]byte, swapDiskBytes)}
	if _, err := unzip.File(t.Context(), bytes.NewReader(image), int64(len(image)), loaded, unzip.Options{}); err != nil || !bytes.Equal(loaded.data, s.disk) {
		t.Errorf("the image is not the disk: %v", err)
	}
}
