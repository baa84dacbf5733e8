package fec

import "hyzer/multicast/wire"

// A leaf is the first leafLevels levels of the transform for 2^leafLevels
// blocks, from the chunk to the group. Where the processor has the instructions for
// it they are done two at a time, for four blocks: mostly the chunk is in no cache,
// and to read it once, as fast as memory goes, is most of the work that is left.
const (
	leafLevels  = 4
	leafBlocks  = 1 << leafLevels
	groupLeaves = groupBlocks / leafBlocks
)

// products are those of a constant with 0 to 15, and with 16 times that.
type products [2][16]uint8

func productsOf(c uint8) (p products) {
	for n := range uint8(16) {
		p[0][n], p[1][n] = gf.mul(c, n), gf.mul(c, n<<4)
	}
	return p
}

// leafConstants are what a leaf multiplies by: for each four neighbours in the first
// two levels, and for all in the last two.
type leafConstants struct {
	near [leafBlocks / 4][3]products
	far  [3]products
}

// constantsOf is filled once, and only read.
var constantsOf = newLeafConstants()

func newLeafConstants() (all [groupLeaves]leafConstants) {
	for l := range all {
		by := func(level, at int) products { return productsOf(twist[level][groupBlocks+l*leafBlocks+at]) }
		for n := range leafBlocks / 4 {
			all[l].near[n] = [3]products{by(0, 4*n), by(0, 4*n+2), by(1, 4*n)}
		}
		all[l].far = [3]products{by(2, 0), by(2, 8), by(3, 0)}
	}
	return all
}

// zeros take the place of blocks that are missing.
var zeros [wire.BlockBytes]byte

// leaves says whether this processor does leaves.
func (c *Coder) leaves() bool { return hasQuads && !c.plain }

// leaf takes blocks from the chunk to leaf l of group g.
func (c *Coder) leaf(chunk []byte, missing *wire.BlockMap, g, l int) {
	var in, out [4]*[wire.BlockBytes]byte
	by := &constantsOf[l]
	for n := range leafBlocks / 4 {
		for k := range in {
			x := l*leafBlocks + 4*n + k
			in[k], out[k] = &zeros, c.point(x)
			if i := x*groups + g; !missing.Has(i) {
				in[k] = c.whole(block(chunk, i))
			}
		}
		quad(&out, &in, &by.near[n])
	}
	for n := range leafBlocks / 4 {
		for k := range out {
			out[k] = c.point(l*leafBlocks + n + 4*k)
		}
		quad(&out, &out, &by.far)
	}
}

// point returns one of the group's blocks.
func (c *Coder) point(x int) *[wire.BlockBytes]byte { return (*[wire.BlockBytes]byte)(c.points(x, 1)) }

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
