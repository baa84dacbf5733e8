package diskloader

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"hyzer/imaging/zip"
	"hyzer/multicast/server"
)

// Where the test's image is: two megabytes of noise in the first partition of a
// disk that is zero otherwise.
const (
	testDiskBytes = 16 << 20
	noiseAt       = 4 << 20
	noiseBytes    = 2 << 20
)

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// send makes an image of a disk and serves it on loopback until the test is
// over. It returns the disk and the session.
func send(t *testing.T, slice bool) (source []byte, at netip.AddrPort) {
	t.Helper()
	source = make([]byte, testDiskBytes)
	table := standardTable(testDiskBytes / sectorBytes)
	copy(source, table[:])
	_, _ = rand.NewChaCha8([32]byte{1}).Read(source[noiseAt : noiseAt+noiseBytes])
	if slice {
		source = source[noiseAt : noiseAt+noiseBytes]
	}
	dir := t.TempDir()
	disk, image := filepath.Join(dir, "disk"), filepath.Join(dir, "image.ndz")
	if err := os.WriteFile(disk, source, 0o644); err != nil {
		t.Fatal(err)
	}
	src, closer, err := zip.OpenSource(disk)
	if err != nil {
		t.Fatal(err)
	}
	defer closer.Close()
	if _, err := zip.CreateFile(t.Context(), src, image, "", zip.Options{Bare: slice, Raw: slice}); err != nil {
		t.Fatal(err)
	}
	return source, serveImage(t, image)
}

func serveImage(t *testing.T, path string) netip.AddrPort {
	t.Helper()
	return serveWith(t, path, func(*server.Config) {})
}

// clientAddress is that of a loader on loopback.
func clientAddress() netip.Addr { return netip.AddrFrom4([4]byte{127, 9, 0, 3}) }

// serveWith is serveImage with a config that is changed first.
func serveWith(t *testing.T, path string, change func(*server.Config)) netip.AddrPort {
	t.Helper()
	image, err := server.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	group := netip.AddrFrom4([4]byte{239, 196, byte(os.Getpid() >> 8), byte(os.Getpid())})
	cfg := server.Config{
		Image: image, Address: netip.AddrPortFrom(group, 0), Iface: loopback, ShareHost: true, Mode2: true,
		Log: slog.New(slog.DiscardHandler), Pace: server.Pace{BitsPerSec: 400_000_000},
	}
	change(&cfg)
	s, err := server.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-ended // it says that it was stopped
	})
	return s.Address()
}

// TestRun loads whole disks and a partition from a real server and reads every
// byte of the disk.
func TestRun(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		slice bool
		line  string
		want  func(source []byte) []byte // the disk, which was all 0xa5
	}{
		{"whole disk wiped first", false, "PART=0 ZFILL=2", func(source []byte) []byte { return append(source, make([]byte, 4<<20)...) }},
		{"whole disk, free space zeroed", false, "PART=0 ZFILL=1", func(source []byte) []byte { return append(source, make([]byte, 4<<20)...) }},
		{"partition of a disk without a table", true, "PART=2", func(source []byte) []byte {
			disk := newDisk(testDiskBytes+4<<20, 0xa5)
			table := standardTable(uint64(len(disk.data) / sectorBytes))
			copy(disk.data, table[:])
			at, err := Partition(disk, 2)
			if err != nil {
				t.Fatal(err)
			}
			copy(disk.data[at.Start*sectorBytes:], source)
			return disk.data
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			source, at := send(t, test.slice)
			disk := newDisk(testDiskBytes+4<<20, 0xa5)
			var asked []string
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			err := Run(ctx, Config{
				Ask: func(_ context.Context, command string) (string, error) {
					asked = append(asked, command)
					if command == "loadinfo" {
						return fmt.Sprintf("ADDR=%v %s DISK=vda IMAGEID=a,b,c\n", at, test.line), nil
					}
					return "", nil
				},
				OpenDisk: func(name string) (Disk, error) {
					if name != "vda" {
						return nil, io.EOF
					}
					return disk, nil
				},
				Server: loopback, Local: netip.AddrFrom4([4]byte{127, 9, 0, 1}), Log: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			if want := []string{"state RELOADSETUP", "loadinfo", "state RELOADING", "state RELOADDONEV2"}; !slices.Equal(asked, want) {
				t.Errorf("asked %q, want %q", asked, want)
			}
			if want := test.want(source); !bytes.Equal(disk.data, want) {
				i := 0
				for disk.data[i] == want[i] {
					i++
				}
				t.Errorf("byte %d of the disk is %#x, want %#x", i, disk.data[i], want[i])
			}
		})
	}
}
