package deflate

import "math/bits"

// symbolCounts are how often each symbol occurs in a block.
type symbolCounts struct{ n [1 << symbolBits]uint32 }

func (c *symbolCounts) reset() { clear(c.n[:litSymbols]) }

// codes are those of one block.
type codes struct {
	litLengths  [litSymbols + 2]uint8
	distLengths [distSymbols + 2]uint8
	lits        [litSymbols + 2]uint16
	dists       [distSymbols + 2]uint16
	header      header

	lengthCode  [matchBytesMax + 1]uint8 // symbol of a length, less 257
	lengthBase  [litSymbols]uint16       // by that
	lengthExtra [litSymbols]uint8
	packed      [matchBytesMax + 1]uint32 // bits of a length with its extra bits, and above 24 how many
	literals    [256]uint32               // likewise, above 16
	distances   [distSymbols]uint32       // likewise
}

// init fills the tables that are the same for all blocks (RFC 1951, 3.2.5).
func (c *codes) init() {
	base := 3
	for code := range 29 {
		extra := 0
		if code >= 8 && code < 28 {
			extra = code/4 - 1
		}
		if code == 28 {
			base = 258
		}
		c.lengthBase[code], c.lengthExtra[code] = uint16(base), uint8(extra)
		for n := base; n < base+1<<extra && n <= matchBytesMax; n++ {
			c.lengthCode[n] = uint8(code)
		}
		base += 1 << extra
	}
}

func distanceExtra(code int) uint { return uint(max(0, code/2-1)) }

// kinds of blocks.
const (
	kindFixed   = 1
	kindDynamic = 2
	blockHead   = 3 // bits
)

// block writes the sequences of data as the kind of block that is smallest.
func (e *Encoder) block(data []byte) {
	c := &e.codes
	e.lits.n[endOfBlock] = 1
	clear(c.litLengths[litSymbols:]) // symbols of fixed blocks that never occur
	clear(c.distLengths[distSymbols:])
	codeLengths(e.lits.n[:litSymbols], c.litLengths[:litSymbols], litCodeBitsMax)
	codeLengths(e.dists.n[:distSymbols], c.distLengths[:distSymbols], distCodeBitsMax)
	c.header.make(c.litLengths[:litSymbols], c.distLengths[:distSymbols])
	dynamic := c.header.bits() + e.bits(c.litLengths[:], c.distLengths[:])
	var fixed codesFixed
	fixed.init()
	kind, size := uint64(kindDynamic), dynamic
	if n := e.bits(fixed.lits[:], fixed.dists[:]); n <= dynamic {
		kind, size = kindFixed, n
		c.litLengths, c.distLengths = fixed.lits, fixed.dists
	}
	if storedBytes(len(data))*8 <= size {
		e.out.stored(data)
		return
	}
	e.out.grow((size + blockHead + 7) / 8)
	e.out.add(kind<<1, blockHead)
	if kind == kindDynamic {
		c.header.write(&e.out)
	}
	c.prepare()
	e.write(data)
}

// bits is how many the symbols of the block take with codes of these lengths.
func (e *Encoder) bits(lits, dists []uint8) int {
	n := 0
	for symbol, count := range e.lits.n[:litSymbols] {
		n += int(count) * int(lits[symbol])
	}
	for code, count := range e.lits.n[endOfBlock+1 : litSymbols] {
		n += int(count) * int(e.codes.lengthExtra[code])
	}
	for symbol, count := range e.dists.n[:distSymbols] {
		n += int(count) * (int(dists[symbol]) + int(distanceExtra(symbol)))
	}
	return n
}

// codesFixed are the code lengths of fixed blocks (RFC 1951, 3.2.6).
type codesFixed struct {
	lits  [litSymbols + 2]uint8
	dists [distSymbols + 2]uint8
}

func (c *codesFixed) init() {
	for i := range c.lits {
		switch {
		case i < 144:
			c.lits[i] = 8
		case i < 256:
			c.lits[i] = 9
		case i < 280:
			c.lits[i] = 7
		default:
			c.lits[i] = 8
		}
	}
	for i := range c.dists {
		c.dists[i] = 5
	}
}

// prepare makes the codes of the lengths, and tables of whole bit strings.
func (c *codes) prepare() {
	assign(c.litLengths[:], c.lits[:])
	assign(c.distLengths[:], c.dists[:])
	for i := range c.literals {
		c.literals[i] = uint32(c.lits[i]) | uint32(c.litLengths[i])<<16
	}
	for n := matchBytesMin; n <= matchBytesMax; n++ {
		code := int(c.lengthCode[n])
		symbol := endOfBlock + 1 + code
		extra := uint32(n) - uint32(c.lengthBase[code])
		width := c.litLengths[symbol]
		c.packed[n] = uint32(c.lits[symbol]) | extra<<width | uint32(width+c.lengthExtra[code])<<24
	}
	for i := range c.distances {
		c.distances[i] = uint32(c.dists[i]) | uint32(c.distLengths[i])<<16
	}
}

// write writes the sequences of data and the end of the block. The bits of
// four literals, or of a match, fit into what the writer holds.
func (e *Encoder) write(data []byte) {
	c, w := &e.codes, e.out
	for _, s := range e.sequences {
		run := data[:s.literals]
		data = data[int(s.literals)+int(s.length):]
		for len(run) >= 4 {
			a, b := c.literals[run[0]], c.literals[run[1]]
			w.add(uint64(a&0xffff), uint(a>>16))
			w.add(uint64(b&0xffff), uint(b>>16))
			a, b = c.literals[run[2]], c.literals[run[3]]
			w.add(uint64(a&0xffff), uint(a>>16))
			w.add(uint64(b&0xffff), uint(b>>16))
			w.flush()
			run = run[4:]
		}
		for _, x := range run {
			a := c.literals[x]
			w.add(uint64(a&0xffff), uint(a>>16))
		}
		w.flush()
		if s.length == 0 {
			continue
		}
		a := c.packed[s.length]
		w.add(uint64(a&0xffffff), uint(a>>24))
		n := uint(s.distance) - 1
		code, extra := n, uint(0)
		if n >= 2 {
			k := uint(bits.Len(n)) - 1
			code, extra = 2*k+n>>(k-1)&1, k-1
		}
		b := c.distances[code]
		w.add(uint64(b&0xffff), uint(b>>16))
		w.add(uint64(n&(1<<extra-1)), extra)
		w.flush()
	}
	w.add(uint64(c.lits[endOfBlock]), uint(c.litLengths[endOfBlock]))
	w.flush()
	e.out = w
}
