package deflate

import (
	"fmt"
	"unsafe"
)

// Limits of the format (RFC 1951).
const (
	windowBytes   = 32 << 10
	matchBytesMin = 3
	matchBytesMax = 258

	litSymbols  = 286
	distSymbols = 30
	endOfBlock  = 256
)

// Blocks are cut where the symbols change, but not shorter than
// blockBytesMin; the last may be as much longer than blockBytesMax.
const (
	blockBytesMin = 5000
	blockBytesMax = 300_000
	sequencesMax  = 50_000 // of a block
)

// LevelMax is the level that looks farthest.
const LevelMax = 9

// effort is how hard a level tries. Without depth it has the quick finder, which
// looks ahead for a better match if lazy is not 0.
type effort struct {
	depth int // candidates for a match that are looked at
	nice  int // length of a match that is not worth improving
	lazy  int // shortest match that is taken without a look at the next byte
}

func efforts() [LevelMax + 1]effort {
	return [LevelMax + 1]effort{
		1: {},
		2: {},
		3: {lazy: 1},
		4: {lazy: 1},
		5: {5, 32, 8},
		6: {10, 32, 16},
		7: {24, 64, 32},
		8: {48, 96, 48},
		9: {300, 258, 258},
	}
}

// Encoder compresses pieces of data. It is for one goroutine.
type Encoder struct {
	effort
	level  int
	chains *chains // one of the two
	quick  *quick
	least  int // length of a match worth taking, in this block

	sequences   []sequence
	lits, dists symbolCounts
	split       splitter
	codes       codes
	out         bitWriter
}

// sequence is some literals and the match after them; the last of a block has
// no match.
type sequence struct {
	literals int32
	length   uint16
	distance uint16 // 32768 at most, so it fits
}

// New returns an Encoder for a level from 0, which does not compress, to
// LevelMax.
func New(level int) (*Encoder, error) {
	if level < 0 || level > LevelMax {
		return nil, fmt.Errorf("compression level %d, want 0 to %d", level, LevelMax)
	}
	e := &Encoder{effort: efforts()[level], level: level}
	switch {
	case level == 0:
	case e.depth == 0:
		e.quick = &quick{ahead: e.lazy > 0}
	default:
		e.chains = &chains{}
	}
	e.codes.init()
	e.sequences = make([]sequence, 0, sequencesMax+1)
	return e, nil
}

// Reset forgets the data before: the next call of Append begins anew.
func (e *Encoder) Reset() {
	switch {
	case e.quick != nil:
		e.quick.reset()
	case e.chains != nil:
		e.chains.reset()
	}
}

// Begin is Reset, and the next call of Append begins at data[at], with matches in
// what is before it.
func (e *Encoder) Begin(data []byte, at int) {
	e.Reset()
	from := max(0, at-windowBytes)
	switch {
	case e.quick != nil:
		e.quick.enter(data, from, min(at, len(data)-loadBytes))
	case e.chains != nil:
		e.chains.skip(data, from, at-from)
	}
}

// Append compresses data[from:to] into blocks, none of them the last of a
// stream and ended on a byte, and appends them to dst. Since Reset or Begin all
// calls must be for the same data, one piece after the other from byte 0 or
// where Begin was told on.
func (e *Encoder) Append(dst, data []byte, from, to int) []byte {
	e.out.reset(dst)
	if e.level == 0 {
		e.out.stored(data[from:to])
		return e.out.bytes()
	}
	for from < to {
		n := e.parse(data, from, to)
		e.block(data[from:n])
		from = n
	}
	e.out.align()
	return e.out.bytes()
}

// load32 and load64 are little-endian loads without a check of bounds, which
// would cost a sixth of the time: the callers see to it that all of it is in b.
func load32(b []byte, i int) uint32 {
	return *(*uint32)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), i))
}

func load64(b []byte, i int) uint64 {
	return *(*uint64)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), i))
}
