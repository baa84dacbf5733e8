package freemap

import (
	"encoding/binary"
	"math/bits"
)

// ClearRuns calls fn for every run [from, to) of clear bits among the first n
// of a bitmap whose bit i is bit i%8 of byte i/8.
func ClearRuns(bitmap []byte, n int, fn func(from, to int)) { runs(bitmap, n, ^uint64(0), fn) }

// SetRuns is ClearRuns for set bits.
func SetRuns(bitmap []byte, n int, fn func(from, to int)) { runs(bitmap, n, 0, fn) }

// runs finds runs of set bits of bitmap XOR flip.
func runs(bitmap []byte, n int, flip uint64, fn func(from, to int)) {
	start := -1
	for at := 0; at < n; at += 64 {
		w := word(bitmap, at/8) ^ flip
		if left := n - at; left < 64 {
			w &= 1<<left - 1
		}
		for bit := 0; bit < 64; {
			rest := w >> bit
			if start < 0 {
				if rest == 0 {
					break
				}
				bit += bits.TrailingZeros64(rest)
				start = at + bit
				continue
			}
			ones := bits.TrailingZeros64(^rest)
			if bit += ones; bit >= 64 {
				break
			}
			fn(start, at+bit)
			start = -1
		}
	}
	if start >= 0 {
		fn(start, n)
	}
}

// word is the 64 bits from byte at on; what is past the end is zero.
func word(b []byte, at int) uint64 {
	if at+8 <= len(b) {
		return binary.LittleEndian.Uint64(b[at:])
	}
	var tail [8]byte
	copy(tail[:], b[min(at, len(b)):])
	return binary.LittleEndian.Uint64(tail[:])
}
