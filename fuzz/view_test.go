package fuzz

import (
	"bytes"
	"testing"

	"hyzer/imaging/ndz"
	"hyzer/imaging/view"
)

// FuzzView reads an image of one chunk at random, alone and over itself. What
// it reads twice, with other windows, must be the same.
func FuzzView(f *testing.F) {
	addChunks(f)
	const readBytes = 70000
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := view.Open(bytes.NewReader(fullChunk(b)), ndz.ChunkBytes, view.Options{CacheBytes: 1 << 20})
		if err != nil {
			return
		}
		d, err := view.Stack(t.Context(), true, view.Layer{Image: m}, view.Layer{Image: m})
		if err != nil {
			t.Fatal(err)
		}
		data := m.Data()
		p, q := make([]byte, readBytes), make([]byte, readBytes)
		for _, r := range data[:min(len(data), 4)] {
			for _, at := range []uint64{r.End, r.Start, r.Start / 2} {
				offset := int64(at)*ndz.SectorBytes - 100
				n, err := m.ReadAt(p, offset)
				k, err2 := d.ReadAt(q, offset)
				if n != k || (err == nil) != (err2 == nil) || !bytes.Equal(p[:n], q[:k]) {
					t.Fatalf("at %d: %d bytes, %v; over itself %d, %v", offset, n, err, k, err2)
				}
			}
		}
	})
}
