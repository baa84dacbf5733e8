package sha1pair

import (
	"crypto/sha1"
	"encoding/binary"
)

const (
	blockBytes  = sha1.BlockSize
	lengthBytes = 8 // of the length at the end of the padding
)

// state is the words a to e of the sum.
type state [5]uint32

// Sum returns the sums of p and q, which are of one length.
func Sum(p, q []byte) (x, y [sha1.Size]byte) {
	if len(p) != len(q) {
		panic("sha1pair: two lengths")
	}
	if !supported() {
		return sha1.Sum(p), sha1.Sum(q)
	}
	begin := state{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}
	h := [2]state{begin, begin}
	whole := len(p) / blockBytes
	if whole > 0 {
		blocks(&h, &p[0], &q[0], whole)
	}
	endP, n := pad(p)
	endQ, _ := pad(q)
	blocks(&h, &endP[0], &endQ[0], n)
	return h[0].sum(), h[1].sum()
}

// pad returns the end of p from the last whole block on, padded to n blocks.
func pad(p []byte) (end [2 * blockBytes]byte, n int) {
	rest := copy(end[:], p[len(p)/blockBytes*blockBytes:])
	end[rest] = 0x80
	if n = 1; rest+1+lengthBytes > blockBytes {
		n = 2
	}
	binary.BigEndian.PutUint64(end[n*blockBytes-lengthBytes:], uint64(len(p))*8)
	return end, n
}

func (h state) sum() (x [sha1.Size]byte) {
	for i, word := range h {
		binary.BigEndian.PutUint32(x[4*i:], word)
	}
	return x
}
