package fuzz

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"hash/crc32"
	"reflect"
	"testing"

	"crypto/sha256"

	"hyzer/imaging/manifest"
	"hyzer/imaging/ndz"
	"hyzer/imaging/unzip"
	"hyzer/imaging/v5"
	"hyzer/imaging/zip"
)

// v5Image is a small image of everything V5 has, with a short last sector.
func v5Image(f *testing.F, codec v5.Codec) []byte {
	f.Helper()
	disk := make([]byte, 12*4096+100)
	for i := range disk[:9000] {
		disk[i] = byte(i * i >> 9)
	}
	copy(disk[16384:], disk[:4096])
	copy(disk[32768:], disk[4096:8192])
	var out bytes.Buffer
	src := zip.Source{ReaderAt: bytes.NewReader(disk), Bytes: int64(len(disk))}
	if _, err := zip.Create(context.Background(), src, &out, zip.Options{Raw: true, Version: ndz.V5, Codec: &codec, ImageID: &ndz.ImageID{7}}); err != nil {
		f.Fatal(err)
	}
	return out.Bytes()
}

// v5HeadSum makes the sum of a head right, which no fuzzer finds.
func v5HeadSum(head []byte) {
	sum := crc32.ChecksumIEEE(head[:8])
	binary.LittleEndian.PutUint32(head[40:], crc32.Update(sum, crc32.IEEETable, head[44:v5.HeadBytes]))
}

// v5Sums does the same for both sums of a chunk.
func v5Sums(chunk []byte) {
	v5HeadSum(chunk)
	h := sha256.New()
	h.Write(chunk[:8])
	h.Write(chunk[40:])
	copy(chunk[8:], h.Sum(nil))
}

func addV5(f *testing.F) {
	for codec := v5.None; codec <= v5.Zlib; codec++ {
		f.Add(bytes.TrimRight(v5Image(f, codec)[:v5.ChunkBytes], "\x00"))
	}
	bomb := v5.Header{SectorBytes: 512, Last: v5.RestoredBytesMax / 512, Records: []v5.Record{{Kind: v5.Zeros, Sectors: v5.RestoredBytesMax / 512}}}
	chunk, err := bomb.Seal(nil, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(chunk[:v5.HeadBytes])
}

// FuzzV5Header checks that what parses can be written and comes back.
func FuzzV5Header(f *testing.F) {
	addV5(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		head := make([]byte, v5.HeadBytes)
		copy(head, b)
		v5HeadSum(head)
		h, err := v5.ParseHeader(head)
		if err != nil {
			return
		}
		sealed, err := h.Seal(nil, make([]byte, h.PayloadBytes))
		if err != nil {
			t.Fatalf("parsed header cannot be written: %v", err)
		}
		again, err := v5.ParseHeader(sealed)
		if err != nil || !reflect.DeepEqual(h, again) || !bytes.Equal(sealed[:v5.HeadBytes][44:], head[44:]) {
			t.Fatalf("comes back different: %+v, was %+v, %v", again, h, err)
		}
	})
}

// FuzzV5Chunk restores chunks as a multicast client does: nothing is written
// past the disk, nothing before all was checked, and no more than is bounded.
func FuzzV5Chunk(f *testing.F) {
	addV5(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		chunk := fullChunk(b[:min(len(b), v5.ChunkBytes)])
		v5Sums(chunk)
		var d v5.Decoder
		h, err := d.Decode(chunk)
		if err != nil {
			if d.Runs(func(v5.Run) error { return nil }) == nil {
				t.Fatal("hands out data of a chunk that it refused")
			}
			return
		}
		var restored, stream int64
		end := int64(h.First) * int64(h.SectorBytes)
		err = d.Runs(func(r v5.Run) error {
			if r.Offset < end || r.Data != nil && int64(len(r.Data)) != r.Bytes {
				t.Fatalf("run at %d of %d bytes after %d", r.Offset, r.Bytes, end)
			}
			if end, restored = r.Offset+r.Bytes, restored+r.Bytes; r.Data != nil && !r.Repeat {
				stream += r.Bytes
			}
			return nil
		})
		if err != nil || restored != h.RestoredBytes() || restored > v5.RestoredBytesMax || stream != int64(h.StreamBytes) {
			t.Fatalf("%d bytes of a stream of %d, %d restored: %v", stream, h.StreamBytes, restored, err)
		}
		disk := &boundedDisk{t: t, size: 64 << 20}
		w, err := unzip.NewWriter(disk, unzip.Options{Workers: 1, AnyBase: true})
		if err != nil {
			t.Fatal(err)
		}
		_ = w.Chunk(context.Background(), h.Index, chunk)
		_, _ = w.Close()
	})
}

// FuzzManifest checks that what decodes encodes to the same bytes.
func FuzzManifest(f *testing.F) {
	for _, delta := range []bool{false, true} {
		id := manifest.Identity{ImageID: manifest.ImageID{1}, Version: 3}
		if delta {
			id.Base = manifest.StateID{2}
		}
		m, err := manifest.Build(bytes.NewReader(make([]byte, 3<<20/2)), id)
		if err == nil && delta {
			err = m.Sign(ed25519.NewKeyFromSeed(make([]byte, 32)))
		}
		if err != nil {
			f.Fatal(err)
		}
		text, err := m.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if n := len(b) - sha256.Size; n > 0 {
			sum := sha256.Sum256(b[:n])
			copy(b[n:], sum[:])
		}
		m, err := manifest.Decode(b)
		if err != nil {
			return
		}
		if text, err := m.Encode(); err != nil || !bytes.Equal(text, b) {
			t.Fatalf("encodes to other bytes: %v", err)
		}
		_ = m.CheckChunk(len(m.Chunks)-1, b)
		if key := m.Signer(); key != nil {
			_ = m.Verify(key)
		}
	})
}
