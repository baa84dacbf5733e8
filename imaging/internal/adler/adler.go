// Package adler is the Adler-32 checksum of zlib streams (RFC 1950, section
// 8.2), eight bytes at a time. The codec of chunks and imaging/zip call it.
package adler

import "encoding/binary"

const (
	mod = 65521
	// groupWords is how many words of eight bytes can be summed up in lanes of
	// 16 bits: 255 * (0 + 1 + ... + 22) is less than 1<<16.
	groupWords = 23
	groupBytes = groupWords * 8
	// runBytesMax is after how much the sums are reduced.
	runBytesMax = 1 << 20

	evenBytes = 0x00ff00ff00ff00ff
	evenLanes = 0x0000ffff0000ffff
)

// New is the checksum of nothing.
const New uint32 = 1

// Checksum is that of data.
func Checksum(data []byte) uint32 { return Update(New, data) }

// Update is the checksum of what sum is of, with data after it.
func Update(sum uint32, data []byte) uint32 {
	a, b := uint64(sum&0xffff), uint64(sum>>16)
	for len(data) > 0 {
		run := data[:min(len(data), runBytesMax)]
		data = data[len(run):]
		for ; len(run) >= groupBytes; run = run[groupBytes:] {
			sum, weighted := group((*[groupBytes]byte)(run))
			b += groupBytes*a + weighted
			a += sum
		}
		for _, x := range run {
			a += uint64(x)
			b += a
		}
		a, b = a%mod, b%mod
	}
	return uint32(b<<16 | a)
}

// group returns the sum of the bytes, and that of each byte times its distance
// from the end. Words are split into even and odd bytes; before lists what the
// sums were at every word.
func group(p *[groupBytes]byte) (sum, weighted uint64) {
	var even, odd, evenBefore, oddBefore uint64
	for i := 0; i < groupBytes; i += 8 {
		w := binary.LittleEndian.Uint64(p[i : i+8])
		evenBefore += even
		oddBefore += odd
		even += w & evenBytes
		odd += w >> 8 & evenBytes
	}
	before := lanes(evenBefore) + lanes(oddBefore)
	sum = lanes(even) + lanes(odd)
	weighted = 8 * (before&0xffffffff + before>>32)
	for weight := uint64(8); weight > 0; weight -= 2 {
		weighted += weight*(even&0xffff) + (weight-1)*(odd&0xffff)
		even, odd = even>>16, odd>>16
	}
	return sum&0xffffffff + sum>>32, weighted
}

// lanes adds lanes of 16 bits to two of 32.
func lanes(x uint64) uint64 { return x&evenLanes + x>>16&evenLanes }

// Combine is the checksum of two strings put together, from theirs and the
// length of the second.
func Combine(first, second uint32, bytes int) uint32 {
	n := uint64(bytes) % mod
	a1, a2 := uint64(first&0xffff), uint64(first>>16)
	b1, b2 := uint64(second&0xffff), uint64(second>>16)
	s1 := (a1 + b1 + mod - 1) % mod
	s2 := (a2 + b2 + n*(a1+mod-1)) % mod
	return uint32(s2<<16 | s1)
}
