package sig_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"hyzer/imaging/freemap"
	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
	"hyzer/imaging/zip"
)

// rawImage is an image of a disk with noise at both ends, so that it has several
// chunks, and with zeros between: a chunk with far more blocks than are held.
func rawImage(t *testing.T) (image []byte, device oddBlocks) {
	t.Helper()
	disk := make([]byte, rawDiskBytes)
	random := rand.NewChaCha8([32]byte{5})
	random.Read(disk[:rawNoiseBytes])
	random.Read(disk[rawDiskBytes-rawNoiseBytes:])
	layout := &zip.Layout{Sectors: rawDiskBytes / 512, Data: []freemap.Range{{Start: 0, End: rawDiskBytes / 512}}}
	var out bytes.Buffer
	src := zip.Source{ReaderAt: bytes.NewReader(disk), Bytes: rawDiskBytes}
	if _, err := zip.Write(t.Context(), src, layout, &out, zip.Options{}); err != nil {
		t.Fatal(err)
	}
	if chunks := out.Len() / ndz.ChunkBytes; chunks < 5 {
		t.Fatalf("only %d chunks", chunks)
	}
	return out.Bytes(), oddBlocks{disk}
}

// oddBlocks is a disk of which every second sector differs from another.
type oddBlocks struct{ other []byte }

func (d oddBlocks) ReadAt(p []byte, offset int64) (int, error) {
	for i := range p {
		at := offset + int64(i)
		p[i] = d.other[at] ^ byte(at/512%2)
	}
	return len(p), nil
}

const (
	rawDiskBytes  = 24 << 20
	rawNoiseBytes = 4 << 20
)

// TestCompareOrder has every second sector differ: the blocks come in their
// order, whatever the workers do, and are not gathered.
func TestCompareOrder(t *testing.T) {
	t.Parallel()
	image, device := rawImage(t)
	for _, workers := range []int{1, 2, 5} {
		next := uint64(1)
		opts := sig.HashOptions{BlockSectors: 1, Workers: workers}
		found, err := sig.Compare(t.Context(), bytes.NewReader(image), int64(len(image)), device, opts, func(m sig.Mismatch) error {
			if m.Start != next || m.Size != 1 {
				return fmt.Errorf("block of %d sectors at %d, want 1 at %d", m.Size, m.Start, next)
			}
			next += 2
			return nil
		})
		if err != nil || found.Bad != rawDiskBytes/1024 || found.Records != rawDiskBytes/512 || found.First.Start != 1 {
			t.Errorf("%d workers: %+v, %v", workers, found, err)
		}
	}
}

// TestCompareEnds has the listing fail, and the caller give up: no worker waits
// for its turn for ever.
func TestCompareEnds(t *testing.T) {
	t.Parallel()
	image, device := rawImage(t)
	compare := func(ctx context.Context, each func(sig.Mismatch) error) error {
		_, err := sig.Compare(ctx, bytes.NewReader(image), int64(len(image)), device, sig.HashOptions{BlockSectors: 1, Workers: 4}, each)
		return err
	}
	full := errors.New("no space left")
	if err := compare(t.Context(), func(sig.Mismatch) error { return full }); !errors.Is(err, full) {
		t.Errorf("listing fails: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := compare(ctx, func(sig.Mismatch) error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("caller gives up: %v", err)
	}
}
