package fec

import "hyzer/multicast/wire"

// A leaf is the first leafLevels levels of the transform for 2^leafLevels
// blocks. Where the processor has the registers for it that is done in one go,
// from the chunk to the group: mostly the chunk is in no cache, and to read it
// once is most of the work that is left.
const (
	leafLevels  = 4
	leafBlocks  = 1 << leafLevels
	groupLeaves = groupBlocks / leafBlocks
)

// leafTwists multiply by the constants of a leaf, level by level, as matrices
// over GF(2): byte 7-i has the bits of the operand that make up bit i.
type leafTwists [leafBlocks - 1]uint64

// twistsOf is filled once, and only read.
var twistsOf = newTwists()

func newTwists() (t [groupLeaves]leafTwists) {
	for l := range t {
		n := 0
		for j := range leafLevels {
			for at := 0; at < leafBlocks; at += 2 << j {
				t[l][n] = matrixOf(twist[j][groupBlocks+l*leafBlocks+at])
				n++
			}
		}
	}
	return t
}

// matrixOf is the multiplication by c.
func matrixOf(c uint8) (m uint64) {
	for j := range 8 {
		product := gf.mul(c, 1<<j)
		for i := range 8 {
			m |= uint64(product>>i&1) << (8*(7-i) + j)
		}
	}
	return m
}

// zeros take the place of blocks that are missing.
var zeros [wire.BlockBytes]byte

// leaves says whether this processor does leaves.
func (c *Coder) leaves() bool { return hasLeafVector && !c.plain }

// leaf takes blocks from the chunk to leaf l of group g.
func (c *Coder) leaf(chunk []byte, missing *wire.BlockMap, g, l int) {
	var in [leafBlocks]*[wire.BlockBytes]byte
	for x := range leafBlocks {
		in[x] = &zeros
		if i := (l*leafBlocks+x)*groups + g; !missing.Has(i) {
			in[x] = c.whole(block(chunk, i))
		}
	}
	leafVector(&c.points(l*leafBlocks, leafBlocks)[0], &in, &twistsOf[l])
}

// whole returns a block with zeros behind it if it is the last and short.
func (c *Coder) whole(b []byte) *[wire.BlockBytes]byte {
	if len(b) == wire.BlockBytes {
		return (*[wire.BlockBytes]byte)(b)
	}
	if len(b) == 0 {
		return &zeros
	}
	c.last = [wire.BlockBytes]byte{}
	copy(c.last[:], b)
	return &c.last
}
