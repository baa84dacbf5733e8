package diskloader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"hyzer/imaging/sig"
	"hyzer/imaging/unzip"
	"hyzer/imaging/zip"
)

// deltaSite makes an image of a disk, and of what it became: a delta with a
// mark. It returns the last content and the two images.
func deltaSite(t *testing.T) (now []byte, full, delta string) {
	t.Helper()
	old := make([]byte, 4<<20)
	_, _ = rand.NewChaCha8([32]byte{5}).Read(old)
	now = bytes.Clone(old)
	copy(now[1<<20:], "something else")
	dir := t.TempDir()
	full, delta = filepath.Join(dir, "full.ndz"), filepath.Join(dir, "delta.ndz")
	before, after := &sig.File{}, &sig.File{}
	for _, c := range []struct {
		content []byte
		path    string
		opts    zip.Options
	}{{old, full, zip.Options{Raw: true, Signature: before}}, {now, delta, zip.Options{Raw: true, Signature: after, Base: before}}} {
		source := zip.Source{ReaderAt: bytes.NewReader(c.content), Bytes: int64(len(c.content))}
		if _, err := zip.CreateFile(t.Context(), source, c.path, c.path+".sig", c.opts); err != nil {
			t.Fatal(err)
		}
	}
	return now, full, delta
}

// runLines runs a loader on a disk with a loadinfo of a line per session.
func runLines(t *testing.T, disk Disk, at ...netip.AddrPort) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	return Run(ctx, Config{
		Ask: func(_ context.Context, command string) (reply string, err error) {
			for n, a := range at {
				if command == "loadinfo" {
					reply += fmt.Sprintf("ADDR=%v PART=0 DISK=vda IMAGEID=a,b,image%d\n", a, n)
				}
			}
			return reply, nil
		},
		OpenDisk: func(string) (Disk, error) { return disk, nil },
		Server:   loopback, Local: netip.AddrFrom4([4]byte{127, 9, 0, 2}), Log: slog.New(slog.DiscardHandler),
	})
}

// TestDelta: a marked delta is restored after its base in one load, and refused
// where its base is not known to be.
func TestDelta(t *testing.T) {
	t.Parallel()
	now, full, delta := deltaSite(t)
	fullAt, deltaAt := serveImage(t, full), serveImage(t, delta)
	disk := newDisk(len(now), 0xa5)
	if err := runLines(t, disk, fullAt, deltaAt); err != nil || !bytes.Equal(disk.data, now) {
		t.Errorf("base and delta: %v, content equal %v", err, bytes.Equal(disk.data, now))
	}
	for name, at := range map[string][]netip.AddrPort{"alone": {deltaAt}, "twice": {fullAt, deltaAt, deltaAt}} {
		disk := newDisk(len(now), 0xa5)
		err := runLines(t, disk, at...)
		if !errors.Is(err, unzip.ErrBaseUnknown) && !errors.Is(err, unzip.ErrWrongBase) {
			t.Errorf("delta %s: %v", name, err)
		}
		if name == "alone" && !bytes.Equal(disk.data, newDisk(len(now), 0xa5).data) {
			t.Error("a delta without its base was written")
		}
	}
}

// TestStates: what lies over another takes its place.
func TestStates(t *testing.T) {
	t.Parallel()
	s := states{}
	whole, one, two := Image{Disk: "a"}, Image{Disk: "a", Part: 1}, Image{Disk: "a", Part: 2}
	other := Image{Disk: "b", Part: 1}
	for n, image := range []Image{whole, other} {
		s.set(image, [32]byte{byte(n + 1)})
	}
	s.lose(one)
	s.set(one, [32]byte{3})
	s.set(two, [32]byte{})
	if s.of(whole) != ([32]byte{}) || s.of(one) != [32]byte{3} || s.of(two) != ([32]byte{}) || s.of(other) != [32]byte{2} {
		t.Errorf("states %+v", s)
	}
	if s.lose(whole); s.of(one) != ([32]byte{}) || s.of(other) != [32]byte{2} {
		t.Errorf("states %+v after the whole disk was written over", s)
	}
}
