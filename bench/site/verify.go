package site

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"

	"hyzer/imaging/freemap"
)

// compareBytes is how much is compared at a time.
const compareBytes = 1 << 20

// ZeroFilledSHA256 is the sum that a disk of so many bytes must have when the
// image was loaded onto it at offset and all else is zero. mke2fs leaves free
// space of a new file zero, so the source is that disk.
func (m *Image) ZeroFilledSHA256(diskBytes, offset int64) (string, error) {
	f, err := os.Open(m.Source)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	for _, part := range []struct {
		r     io.Reader
		bytes int64
	}{{zeroReader{}, offset}, {f, m.DiskBytes}, {zeroReader{}, diskBytes - offset - m.DiskBytes}} {
		if _, err := io.CopyN(h, part.r, part.bytes); err != nil && part.bytes > 0 {
			return "", fmt.Errorf("%s: %w", m.Source, err)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// DiskSHA256 is the sum of a node's disk.
func DiskSHA256(path string) (string, error) { return sumFile(path) }

// Verify compares everything that the image must have written, free space left
// out, with a disk on which the image begins at offset. The error names the
// first byte that differs.
func (m *Image) Verify(disk io.ReaderAt, offset int64) error {
	source, err := os.Open(m.Source)
	if err != nil {
		return err
	}
	defer source.Close()
	wiped := m.layout.Wipe
	for _, r := range m.layout.Data {
		if err := compare(source, disk, r, offset, wiped); err != nil {
			return err
		}
	}
	return nil
}

// VerifyFile is Verify for a disk's file.
func (m *Image) VerifyFile(path string, offset int64) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := m.Verify(f, offset); err != nil {
		return fmt.Errorf("disk %s: %w", path, err)
	}
	return nil
}

// compare compares one range of sectors. What of it is wiped must be zero.
func compare(source, disk io.ReaderAt, r freemap.Range, offset int64, wiped []freemap.Range) error {
	want, got := make([]byte, compareBytes), make([]byte, compareBytes)
	for at, end := int64(r.Start)*sectorBytes, int64(r.End)*sectorBytes; at < end; {
		n := min(compareBytes, end-at)
		if _, err := source.ReadAt(want[:n], at); err != nil {
			return fmt.Errorf("reading the image's source at byte %d: %w", at, err)
		}
		if _, err := disk.ReadAt(got[:n], offset+at); err != nil {
			return fmt.Errorf("reading at byte %d: %w", offset+at, err)
		}
		wipe(want[:n], at, wiped)
		if !bytes.Equal(want[:n], got[:n]) {
			return fmt.Errorf("byte %d is not what the image has there", offset+at+firstDifference(want[:n], got[:n]))
		}
		at += n
	}
	return nil
}

// wipe zeroes what of b, which is from byte at, lies in the ranges.
func wipe(b []byte, at int64, ranges []freemap.Range) {
	for _, r := range ranges {
		from, to := max(int64(r.Start)*sectorBytes-at, 0), min(int64(r.End)*sectorBytes-at, int64(len(b)))
		if from < to {
			clear(b[from:to])
		}
	}
}

func firstDifference(a, b []byte) int64 {
	for i := range a {
		if a[i] != b[i] {
			return int64(i)
		}
	}
	return int64(len(a))
}

// Fsck runs e2fsck over the file system at offset on a disk, changing nothing.
// Anything it finds is an error.
func Fsck(ctx context.Context, path string, offset int64) error {
	program, err := exec.LookPath("e2fsck")
	if err != nil {
		return fmt.Errorf("e2fsck: %w", ErrNoTools)
	}
	if offset > 0 {
		path += "?offset=" + strconv.FormatInt(offset, 10)
	}
	if out, err := exec.CommandContext(ctx, program, "-f", "-n", path).CombinedOutput(); err != nil {
		return fmt.Errorf("e2fsck %s: %w: %.400s", path, err, out)
	}
	return nil
}
