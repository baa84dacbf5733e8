package sha1pair

import (
	"crypto/sha1"
	"math/rand/v2"
	"testing"
)

// TestSum holds sums of all lengths around blocks, and of long strings, against
// the standard library's.
func TestSum(t *testing.T) {
	t.Parallel()
	if !supported() {
		t.Log("this processor has no instructions for SHA-1")
	}
	data := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{5}).Read(data)
	lengths := []int{1000, 4096, 64 << 10, 64<<10 + 512, 300_001}
	for n := range 300 {
		lengths = append(lengths, n)
	}
	for _, n := range lengths {
		for _, at := range []int{0, 1, 513} {
			p, q := data[at:][:n:n], data[len(data)-n-at:][:n:n]
			if x, y := Sum(p, q); x != sha1.Sum(p) || y != sha1.Sum(q) {
				t.Errorf("%d bytes: %x and %x, want %x and %x", n, x, y, sha1.Sum(p), sha1.Sum(q))
			}
		}
	}
}

func BenchmarkSum(b *testing.B) {
	p, q := make([]byte, 64<<10), make([]byte, 64<<10)
	b.Run("pair", func(b *testing.B) {
		b.SetBytes(128 << 10)
		b.ReportAllocs()
		for b.Loop() {
			Sum(p, q)
		}
	})
	b.Run("one by one", func(b *testing.B) {
		b.SetBytes(128 << 10)
		for b.Loop() {
			sha1.Sum(p)
			sha1.Sum(q)
		}
	})
}
