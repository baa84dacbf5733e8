package fec

import (
	"math/bits"

	"hyzer/multicast/wire"
)

// Within a group the code is one of values of a polynomial of degree below
// 128: the blocks are its values at 128 to 255, and the parity blocks, but for
// a factor, those at 0 to 127. An additive FFT (Lin, Chung and Han, "Novel
// polynomial basis and its application to Reed-Solomon erasure codes", 2014)
// takes the one to the other in O(n log n).
//
// The basis is of products of s_j(x)/s_j(2^j), where s_j is the polynomial
// that is 0 at 0 to 2^j-1, and linear over GF(2).

const levels = 7 // of 2^levels = groupBlocks points

// skews is s_j(x)/s_j(2^j), by j and x.
type skews [levels][256]uint8

// twist is filled once, and only read. The values at 0 to 127 are lagrange times
// the Cauchy matrix times those at 128 to 255: by Lagrange's formula
// s_7(128) divided by the product of 1 to 127, which is 1/s_7(128), as the
// product of all elements but 0 is 1.
var twist, lagrange = newSkews()

func newSkews() (t skews, factor uint8) {
	s := func(x int) uint8 { return uint8(x) } // s_0
	for j := range levels + 1 {
		var values [256]uint8
		for x := range values {
			values[x] = s(x)
		}
		if j == levels {
			v := values[groupBlocks]
			return t, gf.mul(v, v)
		}
		at := values[1<<j]
		for x := range values {
			t[j][x] = gf.div(values[x], at)
		}
		s = func(x int) uint8 { return gf.mul(values[x], values[x]^at) }
	}
	return t, 0
}

// addTransformed is add for many parity blocks.
func (c *Coder) addTransformed(chunk []byte, missing *wire.BlockMap, to []sum) {
	most := 0
	for _, s := range to {
		most = max(most, s.parity%groupBlocks)
	}
	points := 1 << bits.Len(uint(most))
	if c.group == nil {
		c.group = make([]byte, groupBlocks*wire.BlockBytes)
	}
	for g := range groups {
		c.transform(c.gather(chunk, missing, g), points)
		for _, s := range to {
			factor := gf.div(gf.exp[s.parity*g%order], lagrange)
			addTimes(s.into, factor, c.points(s.parity%groupBlocks, 1))
		}
	}
}

// gather takes group g from the chunk and returns how many levels of the
// transform are done.
func (c *Coder) gather(chunk []byte, missing *wire.BlockMap, g int) int {
	if c.leaves() {
		for l := range groupLeaves {
			c.leaf(chunk, missing, g, l)
		}
		return leafLevels
	}
	for x := range groupBlocks {
		i, n := x*groups+g, 0
		if !missing.Has(i) {
			n = copy(c.points(x, 1), block(chunk, i))
		}
		clear(c.points(x, 1)[n:])
	}
	return 0
}

// points returns n of the group's blocks.
func (c *Coder) points(first, n int) []byte {
	return c.group[first*wire.BlockBytes : (first+n)*wire.BlockBytes]
}

// transform turns the values at 128 to 255 to those at 0 to n-1, n a power of
// two. Nothing that only others depend on is computed, nor the levels that are
// done.
func (c *Coder) transform(done, n int) {
	for j := done; j < levels; j++ { // to the coefficients
		half := 1 << j
		for at := 0; at < groupBlocks; at += 2 * half {
			low, high := c.points(at, min(half, n)), c.points(at+half, min(half, n))
			addTimes(high, 1, low)
			addTimes(low, twist[j][groupBlocks+at], high)
		}
	}
	for j := bits.Len(uint(n)) - 2; j >= 0; j-- { // and back
		half := 1 << j
		for at := 0; at < n; at += 2 * half {
			low, high := c.points(at, half), c.points(at+half, half)
			addTimes(low, twist[j][at], high)
			addTimes(high, 1, low)
		}
	}
}
