package adler

import (
	"bytes"
	"hash/adler32"
	"math/rand/v2"
	"testing"
)

func TestUpdate(t *testing.T) {
	t.Parallel()
	data := make([]byte, 3<<20)
	rand.NewChaCha8([32]byte{5}).Read(data)
	high := bytes.Repeat([]byte{0xff}, 3<<20)
	for _, all := range [][]byte{data, high} {
		for _, n := range []int{0, 1, 7, 8, groupBytes - 1, groupBytes, groupBytes + 1, 5553, runBytesMax, runBytesMax + 1, len(all)} {
			p := all[:n]
			if got, want := Checksum(p), adler32.Checksum(p); got != want {
				t.Errorf("%d bytes: %#x, want %#x", n, got, want)
			}
			cut := n / 3
			if got, want := Update(Checksum(p[:cut]), p[cut:]), adler32.Checksum(p); got != want {
				t.Errorf("%d bytes in two: %#x, want %#x", n, got, want)
			}
			if got, want := Combine(Checksum(p[:cut]), Checksum(p[cut:]), n-cut), adler32.Checksum(p); got != want {
				t.Errorf("%d bytes combined: %#x, want %#x", n, got, want)
			}
		}
	}
}

func BenchmarkUpdate(b *testing.B) {
	data := make([]byte, 1<<16)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		Checksum(data)
	}
}

func BenchmarkLibrary(b *testing.B) {
	data := make([]byte, 1<<16)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		adler32.Checksum(data)
	}
}
