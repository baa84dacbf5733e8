package sig_test

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"hyzer/bench/shared"
	"hyzer/imaging/internal/sigtest"
	"hyzer/imaging/sig"
)

// TestGolden hashes every golden image that has a signature by imagehash, and
// wants that signature byte for byte.
func TestGolden(t *testing.T) {
	t.Parallel()
	var m struct {
		Entries []struct {
			File   string
			MadeBy string `json:"made_by"`
		}
	}
	if err := json.Unmarshal(shared.ReadFile(t, "vectors/ndz/MANIFEST.json"), &m); err != nil {
		t.Fatal(err)
	}
	tested := 0
	for _, e := range m.Entries {
		if !strings.HasSuffix(e.File, "sig.gz") || !strings.HasPrefix(e.MadeBy, "imagehash -c") {
			continue
		}
		tested++
		t.Run(e.File, func(t *testing.T) {
			t.Parallel()
			want := shared.ReadGzip(t, "vectors/ndz/"+e.File)
			opts := sig.HashOptions{Workers: 2, JoinSpans: strings.Contains(e.MadeBy, " -X")}
			if strings.Contains(e.MadeBy, "-D md5 -b 4096") {
				opts.Type, opts.BlockSectors = sig.MD5, 8
			}
			name := e.File[:strings.LastIndex(strings.TrimSuffix(e.File, "sig.gz"), ".")]
			name = strings.TrimSuffix(name, ".md5-4k") + ".ndz.gz"
			image := shared.ReadGzip(t, "vectors/ndz/"+name)
			f, err := sig.Image(context.Background(), bytes.NewReader(image), int64(len(image)), opts)
			if err != nil {
				t.Fatal(err)
			}
			if got := sigtest.Bytes(t, f); !bytes.Equal(got, want) {
				t.Errorf("signature of %s differs: %d bytes, want %d", name, len(got), len(want))
			}
			parsed, err := sig.Parse(want)
			if err != nil || !bytes.Equal(sigtest.Bytes(t, parsed), want) {
				t.Errorf("golden signature does not come back: %v", err)
			}
		})
	}
	if tested < 30 {
		t.Errorf("only %d signatures in the manifest", tested)
	}
}

// TestCheck finds the blocks of a disk that were changed.
func TestCheck(t *testing.T) {
	t.Parallel()
	disk, f := shared.ReadGzip(t, "vectors/ndz/"+"mbr.img.gz"), &sig.File{}
	var err error
	if f, err = sig.Parse(shared.ReadGzip(t, "vectors/ndz/"+"mbr.sig.gz")); err != nil {
		t.Fatal(err)
	}
	bad, err := sig.Check(context.Background(), bytes.NewReader(disk), f, 2, nil)
	if err != nil || bad.Bad > 0 {
		t.Fatalf("%d bad blocks on the very disk, %v", bad.Bad, err)
	}
	records := sigtest.Records(t, f)
	for _, i := range []int{70, 3, 40} {
		disk[records[i].Start*512+5] ^= 1
	}
	var starts []uint64
	bad, err = sig.Check(context.Background(), bytes.NewReader(disk), f, 2, func(m sig.Mismatch, same bool) error {
		if !same {
			starts = append(starts, m.Start)
		}
		return nil
	})
	if err != nil || bad.Bad != 3 || bad.Records != len(records) || !slices.Equal(starts, []uint64{records[3].Start, records[40].Start, records[70].Start}) {
		t.Errorf("bad blocks %v at %v, %v", bad, starts, err)
	}
	if _, err = sig.Check(context.Background(), bytes.NewReader(disk[:1<<20]), f, 2, nil); err == nil {
		t.Error("a disk that is too short passes")
	}
}
