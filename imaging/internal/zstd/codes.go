package zstd

import "math/bits"

// The three kinds of codes of a sequence (RFC 8878, 3.1.1.3.2.1).
const (
	litLengths = iota
	offsets
	matchLengths
	kinds
)

const (
	litLengthCodes   = 36
	matchLengthCodes = 53
	// codesTable is the size of tables by codes, and an index without a check.
	codesTable = 64
	codesMask  = codesTable - 1
	// matchBase is the shortest match that can be coded.
	matchBase = 3
	// repeats is how many distances are remembered.
	repeats = 3
)

// codeBook is how lengths become codes, and how many bits follow them.
type codeBook struct {
	litCode   [64]uint8 // of shorter ones
	matchCode [128]uint8
	litBits   [codesTable]uint8
	matchBits [codesTable]uint8
}

func newCodeBook() *codeBook {
	b := &codeBook{}
	fill(b.litBits[:litLengthCodes], b.litCode[:], 16, []uint8{1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
	fill(b.matchBits[:matchLengthCodes], b.matchCode[:], 32, []uint8{1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
	return b
}

// fill makes a table of codes that are the lengths themselves first, and then
// have more bits.
func fill(codeBits, codes []uint8, plain int, more []uint8) {
	copy(codeBits[plain:], more)
	at := 0
	for c := range codeBits {
		for range 1 << codeBits[c] {
			if at == len(codes) {
				return
			}
			codes[at] = uint8(c)
			at++
		}
	}
}

func (b *codeBook) lit(n uint32) uint8 {
	if n < uint32(len(b.litCode)) {
		return b.litCode[n]
	}
	return uint8(bits.Len32(n)) + 18
}

func (b *codeBook) match(n uint32) uint8 {
	if n -= matchBase; n < uint32(len(b.matchCode)) {
		return b.matchCode[n]
	}
	return uint8(bits.Len32(n)) + 35
}

// history is the last distances, which have short codes (3.1.1.5).
type history [repeats]uint32

func newHistory() history { return history{1, 4, 8} }

// value is what is coded for the distance of s.
func (h *history) value(s sequence) uint32 {
	d := s.distance
	r := *h
	if s.literals > 0 {
		switch d {
		case r[0]:
			return 1
		case r[1]:
			h[0], h[1] = d, r[0]
			return 2
		case r[2]:
			*h = history{d, r[0], r[1]}
			return 3
		}
		*h = history{d, r[0], r[1]}
		return d + repeats
	}
	switch d {
	case r[1]:
		h[0], h[1] = d, r[0]
		return 1
	case r[2]:
		*h = history{d, r[0], r[1]}
		return 2
	}
	*h = history{d, r[0], r[1]}
	if d == r[0]-1 {
		return 3
	}
	return d + repeats
}
