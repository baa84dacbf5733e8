package diskloader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"hyzer/imaging/ndz"
)

// memoryDisk is a disk of a fixed size.
type memoryDisk struct{ data []byte }

func newDisk(size int, fill byte) *memoryDisk {
	return &memoryDisk{bytes.Repeat([]byte{fill}, size)}
}

func (d *memoryDisk) SizeBytes() int64   { return int64(len(d.data)) }
func (d *memoryDisk) Finish(int64) error { return nil }

func (d *memoryDisk) ReadAt(p []byte, at int64) (int, error) {
	return bytes.NewReader(d.data).ReadAt(p, at)
}

func (d *memoryDisk) WriteAt(p []byte, at int64) (int, error) {
	if at < 0 || at+int64(len(p)) > d.SizeBytes() {
		return 0, io.ErrShortWrite
	}
	return copy(d.data[at:], p), nil
}

func (d *memoryDisk) Zero(at, size int64) error {
	if at < 0 || at+size > d.SizeBytes() {
		return fmt.Errorf("zeroing %d bytes at %d of %d", size, at, len(d.data))
	}
	clear(d.data[at : at+size])
	return nil
}

// TestPlace gives a disk without a table the standard one, and keeps a table
// that is there.
func TestPlace(t *testing.T) {
	t.Parallel()
	const sectors = 64 << 20 / sectorBytes
	d := newDisk(64<<20, 0)
	for _, want := range []struct {
		part int
		at   ndz.Placement
	}{
		{1, ndz.Placement{Start: 2048, Size: 63488}}, {2, ndz.Placement{Start: 65536, Size: 32768}},
		{3, ndz.Placement{Start: 98304, Size: 16384}}, {4, ndz.Placement{Start: 114688, Size: sectors - 114688}},
	} {
		got, err := place(d, want.part)
		if err != nil || got != want.at {
			t.Errorf("partition %d is at %+v, %v, want %+v", want.part, got, err, want.at)
		}
	}
	before := slices.Clone(d.data[:sectorBytes])
	if _, err := place(d, 5); err == nil {
		t.Error("partition 5 of four was found")
	}
	if !bytes.Equal(before, d.data[:sectorBytes]) {
		t.Error("a table that was there was changed")
	}
	d.data = d.data[:32<<20] // a smaller disk with the table of a larger one
	if _, err := Partition(d, 4); err == nil || !strings.Contains(err.Error(), "beyond the disk") {
		t.Errorf("error %v for a partition beyond the disk", err)
	}
}

// TestPrepare wipes labels and tables and nothing else.
func TestPrepare(t *testing.T) {
	t.Parallel()
	d := newDisk(64<<20, 0xa5)
	table := standardTable(uint64(len(d.data) / sectorBytes))
	copy(d.data, table[:])
	if err := prepare(d); err != nil {
		t.Fatal(err)
	}
	zeroed := func(at, size int) bool { return bytes.Count(d.data[at:at+size], []byte{0}) == size }
	for _, r := range [][2]int{{0, wipeBytes}, {len(d.data) - wipeBytes, wipeBytes}, {65536 * sectorBytes, labelBytes}, {98304 * sectorBytes, labelBytes}} {
		if !zeroed(r[0], r[1]) {
			t.Errorf("%d bytes at %d are not wiped", r[1], r[0])
		}
	}
	if d.data[65536*sectorBytes+labelBytes] != 0xa5 || d.data[len(d.data)-wipeBytes-1] != 0xa5 {
		t.Error("more was wiped than labels")
	}
	for _, size := range []int{0, sectorBytes, wipeBytes} {
		if err := prepare(newDisk(size, 1)); err != nil {
			t.Errorf("disk of %d bytes: %v", size, err)
		}
	}
}

// TestRunFails wants each failure told, and never RELOADDONEV2 after it.
func TestRunFails(t *testing.T) {
	t.Parallel()
	const line = "ADDR=nowhere PART=0 DISK=vda IMAGEID=a,b,c\n"
	broken := errors.New("connection refused")
	for _, test := range []struct {
		name    string
		answers map[string]string
		fail    string // command that fails
		disk    error
		err     string
		asked   []string // without repeats
	}{
		{"tmcd is down", nil, "state RELOADSETUP", nil, "reporting RELOADSETUP: connection refused", []string{"state RELOADSETUP"}},
		{"nothing to load", map[string]string{"loadinfo": "\n"}, "", nil, "nothing to load", []string{"state RELOADSETUP", "loadinfo"}},
		{"bad loadinfo", map[string]string{"loadinfo": "PART=x\n"}, "", nil, "PART=x", []string{"state RELOADSETUP", "loadinfo"}},
		{"no loadinfo", nil, "loadinfo", nil, "connection refused", []string{"state RELOADSETUP", "loadinfo"}},
		{"no disk", map[string]string{"loadinfo": line}, "", errors.New("there is no disk"), "disk vda for image a,b,c: there is no disk", []string{"state RELOADSETUP", "loadinfo"}},
		{"RELOADING is lost", map[string]string{"loadinfo": line}, "state RELOADING", nil, "reporting RELOADING", []string{"state RELOADSETUP", "loadinfo", "state RELOADING"}},
		{"no session", map[string]string{"loadinfo": line}, "", nil, "image a,b,c on partition 0 of disk vda: ADDR=nowhere", []string{"state RELOADSETUP", "loadinfo", "state RELOADING"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var asked []string
				err := Run(t.Context(), Config{
					Ask: func(_ context.Context, command string) (string, error) {
						if !slices.Contains(asked, command) {
							asked = append(asked, command)
						}
						if command == test.fail {
							return "", broken
						}
						return test.answers[command], nil
					},
					OpenDisk: func(string) (Disk, error) { return newDisk(4<<20, 0), test.disk },
					Server:   netip.MustParseAddr("127.0.0.1"), Local: netip.MustParseAddr("127.0.0.1"),
					Log: slog.New(slog.DiscardHandler),
				})
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("error %v, want %q", err, test.err)
				}
				if !slices.Equal(asked, test.asked) {
					t.Errorf("asked %q, want %q", asked, test.asked)
				}
			})
		})
	}
}
