package fec

import "github.com/klauspost/reedsolomon"

// polynomial of the field: x^8 + x^4 + x^3 + x^2 + 1. Its root 2 generates all
// elements but 0.
const polynomial = 0x11d

// order is how many elements are not 0.
const order = 255

// field holds the logarithms of GF(2^8).
type field struct {
	log [256]uint8
	exp [2 * order]uint8
}

// gf is filled once, and only read.
var gf = newField()

func newField() (f field) {
	for e, v := 0, 1; e < order; e++ {
		f.log[v], f.exp[e], f.exp[e+order] = uint8(e), uint8(v), uint8(v)
		if v <<= 1; v >= 256 {
			v ^= polynomial
		}
	}
	return f
}

func (f *field) mul(a, b uint8) uint8 {
	if a == 0 || b == 0 {
		return 0
	}
	return f.exp[int(f.log[a])+int(f.log[b])]
}

// div returns a/b; b is not 0.
func (f *field) div(a, b uint8) uint8 {
	if a == 0 {
		return 0
	}
	return f.exp[int(f.log[a])+order-int(f.log[b])]
}

// addTimes adds c times in to out, which is as long.
func addTimes(out []byte, c uint8, in []byte) {
	if c != 0 {
		reedsolomon.LowLevel{}.GalMulSliceXor(c, in, out)
	}
}

// scale multiplies row by c.
func scale(row []byte, c uint8) { reedsolomon.LowLevel{}.GalMulSlice(c, row, row) }
