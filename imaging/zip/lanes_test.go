package zip_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hyzer/imaging/freemap"
	"hyzer/imaging/ndz"
	"hyzer/imaging/v5"
	"hyzer/imaging/zip"
)

// noisyDisk is a disk that does not compress: a megabyte again and again, each time
// with its number in every block.
type noisyDisk []byte

func newNoisyDisk() noisyDisk {
	n := make(noisyDisk, 1<<20)
	rand.NewChaCha8([32]byte{8}).Read(n)
	return n
}

func (n noisyDisk) ReadAt(p []byte, offset int64) (int, error) {
	for at := 0; at < len(p); {
		from := int(offset+int64(at)) % len(n)
		at += copy(p[at:], n[from:])
	}
	for at := 0; at+8 <= len(p); at += 4096 {
		copy(p[at:], fmt.Sprintf("%08d", (offset+int64(at))>>20))
	}
	return len(p), nil
}

func wholeDisk(bytes int64) *zip.Layout {
	return &zip.Layout{Scheme: "test", Sectors: uint64(bytes) / 512, Data: []freemap.Range{{End: uint64(bytes) / 512}}}
}

// TestV5LanesWait has a lane make far more chunks than may wait, and holds the
// image against that of one lane.
func TestV5LanesWait(t *testing.T) {
	t.Parallel()
	const size = 136 << 20
	var sums []string
	for _, workers := range []int{1, 2} {
		h := sha256.New()
		codec := v5.None
		stats, err := zip.Write(context.Background(), zip.Source{ReaderAt: newNoisyDisk(), Bytes: size}, wholeDisk(size), h,
			zip.Options{Version: ndz.V5, Codec: &codec, Workers: workers, ImageID: &ndz.ImageID{2}, SegmentBytes: 128 << 20})
		if err != nil || stats.DataBytes != size {
			t.Fatalf("%d workers: %+v, %v", workers, stats, err)
		}
		sums = append(sums, fmt.Sprintf("%x", h.Sum(nil)))
	}
	if sums[0] != sums[1] {
		t.Error("two lanes make another image than one")
	}
}

// damaged is a disk that cannot be read from a byte on.
type damaged struct {
	io.ReaderAt
	from int64
}

func (d damaged) ReadAt(p []byte, offset int64) (int, error) {
	if n := d.from - offset; n < int64(len(p)) {
		n, _ := d.ReaderAt.ReadAt(p[:max(0, n)], offset)
		return n, errors.New("medium error")
	}
	return d.ReaderAt.ReadAt(p, offset)
}

// TestV5LaneFails names the sector that cannot be read, in whichever lane, after
// all chunks before the segment that has it.
func TestV5LaneFails(t *testing.T) {
	t.Parallel()
	const size = 24 << 20
	for sector := int64(100); sector < size/512; sector += 15000 {
		var out bytes.Buffer
		src := zip.Source{ReaderAt: damaged{newNoisyDisk(), sector * 512}, Bytes: size}
		_, err := zip.Write(context.Background(), src, wholeDisk(size), &out, zip.Options{Version: ndz.V5, Workers: 2, SegmentBytes: 8 << 20})
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("sector %d:", sector)) {
			t.Errorf("error %v, want one about sector %d", err, sector)
		}
		if least := max(0, sector*512-(12<<20)); int64(out.Len()) < least {
			t.Errorf("%d bytes of chunks before sector %d, want %d", out.Len(), sector, least)
		}
	}
}

// failing is an output that takes some chunks.
type failing struct{ left int }

func (f *failing) Write(p []byte) (int, error) {
	if f.left--; f.left < 0 {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}

// TestV5LanesStop ends lanes that wait, when the output fails and when the
// context ends.
func TestV5LanesStop(t *testing.T) {
	t.Parallel()
	const size = 18 << 20
	for _, chunks := range []int{0, 6, 13} {
		ctx, cancel := context.WithCancel(context.Background())
		opts := zip.Options{Version: ndz.V5, Workers: 2, SegmentBytes: 8 << 20}
		src := zip.Source{ReaderAt: newNoisyDisk(), Bytes: size}
		if _, err := zip.Write(ctx, src, wholeDisk(size), &failing{chunks}, opts); !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("error %v after %d chunks", err, chunks)
		}
		opts.Progress = func(s zip.Stats) {
			if s.Chunks > chunks {
				cancel()
			}
		}
		if _, err := zip.Write(ctx, src, wholeDisk(size), io.Discard, opts); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v when the context ends after %d chunks", err, chunks)
		}
	}
}

// slowDisk is a disk on which each megabyte takes a millisecond to read, so that
// lanes are as fast as they read.
type slowDisk struct{ io.ReaderAt }

func (s slowDisk) ReadAt(p []byte, offset int64) (int, error) {
	time.Sleep(time.Duration(len(p)) * time.Millisecond >> 20)
	return s.ReaderAt.ReadAt(p, offset)
}

// TestV5LanesAbreast counts, in virtual time, how many lanes are busy though their
// chunks wait for each other.
func TestV5LanesAbreast(t *testing.T) {
	t.Parallel()
	const segment, size = 70 << 20, 70 * 9 << 20
	noise, codec := newNoisyDisk(), v5.None
	for _, c := range []struct {
		workers   int
		busyLeast float64
	}{{1, 1}, {2, 1.8}, {4, 3}} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			_, err := zip.Write(t.Context(), zip.Source{ReaderAt: slowDisk{noise}, Bytes: size}, wholeDisk(size), io.Discard,
				zip.Options{Version: ndz.V5, Codec: &codec, Workers: c.workers, SegmentBytes: segment})
			if err != nil {
				t.Fatal(err)
			}
			busy := float64(size>>20) / float64(time.Since(start).Milliseconds())
			t.Logf("%d lanes: %.2f were busy", c.workers, busy)
			if busy < c.busyLeast || busy > float64(c.workers) {
				t.Errorf("%d lanes: %.2f were busy, want at least %.2f", c.workers, busy, c.busyLeast)
			}
		})
	}
}
