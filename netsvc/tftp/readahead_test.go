package tftp

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestReadAhead reads in every order and compares with the file.
func TestReadAhead(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(9, 9))
	for _, size := range []int{1, 1432, 1433, readAheadBytes, readAheadBytes + 1, 100_000} {
		want := content(size)
		f := readAhead(translated{bytes.NewReader(want)}, 1432)
		for range 500 {
			off := rng.IntN(size + 1)
			p := make([]byte, min(rng.IntN(1433), size-off))
			if n, err := f.ReadAt(p, int64(off)); err != nil && len(p) > 0 || !bytes.Equal(p[:n], want[off:off+len(p)]) {
				t.Fatalf("size %d: %d bytes at %d: %d, %v", size, len(p), off, n, err)
			}
		}
	}
}
