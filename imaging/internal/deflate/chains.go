package deflate

import "math/bits"

const (
	hash4Bits = 15
	hash3Bits = 13
	// headBias makes the zero value of a head a place too far back for any
	// match.
	headBias = windowBytes + 1
)

// chains finds places where the next bytes occurred before. Places with the
// same hash of four bytes are chained; of those with the same three bytes the
// last one is known.
type chains struct {
	head4 [1 << hash4Bits]int32 // last place of a hash, plus headBias
	head3 [1 << hash3Bits]int32 // likewise, of places searched from
	back  [windowBytes]uint16   // from a place to the one before it in its chain; 0: none
}

func (f *chains) reset() { *f = chains{} }

func hash4(four uint32) uint32 { return four * 0x9E3779B1 >> (32 - hash4Bits) }
func hash3(four uint32) uint32 { return four << 8 * 0x9E3779B1 >> (32 - hash3Bits) }

// skip enters n places.
func (f *chains) skip(data []byte, at, n int) {
	for end := min(at+n, len(data)-3); at < end; at++ {
		h := &f.head4[hash4(load32(data, at))]
		step := at + headBias - int(*h)
		*h = int32(at + headBias)
		if step > windowBytes {
			step = 0
		}
		f.back[at%windowBytes] = uint16(step)
	}
}

// longest enters place at and returns the longest match there of more than
// best and at most most bytes; length 0 if there is none.
func (f *chains) longest(data []byte, at, best, most int, e *effort) (length, distance int) {
	four := load32(data, at)
	head := &f.head4[hash4(four)]
	place := int(*head) - headBias
	*head = int32(at + headBias)
	low := at - windowBytes
	if best < matchBytesMin {
		head := &f.head3[hash3(four)]
		place3 := int(*head) - headBias
		*head = int32(at + headBias)
		if place3 >= low && (load32(data, place3)^four)<<8 == 0 {
			length, distance = matchBytesMin, at-place3
		}
		best = matchBytesMin
	}
	if place < low {
		f.back[at%windowBytes] = 0
		return length, distance
	}
	f.back[at%windowBytes] = uint16(at - place)
	if best >= most {
		return length, distance
	}
	tail := load32(data, at+best-3)
	for depth := e.depth; ; {
		if load32(data, place+best-3) == tail && load32(data, place) == four {
			if n := same(data, place, at, most); n > best {
				best, length, distance = n, n, at-place
				if n >= e.nice || n == most {
					break
				}
				tail = load32(data, at+best-3)
			}
		}
		depth--
		step := int(f.back[place%windowBytes])
		place -= step
		if depth <= 0 || step == 0 || place < low {
			break
		}
	}
	return length, distance
}

// same is how many bytes from a and b on are equal, at most most. The first
// four are.
func same(data []byte, a, b, most int) int {
	n := 4
	for n+8 <= most {
		if x := load64(data, a+n) ^ load64(data, b+n); x != 0 {
			return n + bits.TrailingZeros64(x)>>3
		}
		n += 8
	}
	for n < most && data[a+n] == data[b+n] {
		n++
	}
	return n
}
