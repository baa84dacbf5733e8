package zstd

import "math/bits"

// Modes of a table (RFC 8878, 3.1.1.3.2.1).
const (
	modePredefined = iota
	modeSame
	modeSent
	modeRepeat
)

// logFraction is how many bits of a fraction costs have.
const logFraction = 8

// spec is what the three kinds of codes differ in.
type spec struct {
	logMax     uint
	predefined table
}

// specs are the predefined tables (3.1.1.3.2.2).
func newSpecs() *[kinds]spec {
	s := &[kinds]spec{litLengths: {logMax: 9}, offsets: {logMax: 8}, matchLengths: {logMax: 9}}
	set := func(kind int, log uint, runs ...int16) {
		t := &s[kind].predefined
		t.log = log
		for i := 0; i < len(runs); i += 2 {
			for range runs[i+1] {
				t.norm[t.symbols] = runs[i]
				t.symbols++
			}
		}
		t.build()
	}
	set(litLengths, 6, 4, 1, 3, 1, 2, 11, 1, 3, 2, 9, 3, 1, 2, 1, 1, 5, -1, 4)
	set(offsets, 5, 1, 6, 2, 3, 1, 15, -1, 5)
	set(matchLengths, 6, 1, 1, 4, 1, 3, 1, 2, 6, 1, 37, -1, 7)
	return s
}

// coder is the code of one kind, from block to block.
type coder struct {
	*spec
	tables [2]table
	now    int  // which of tables was sent last
	known  bool // the decoder has that
	mode   int
	symbol uint8 // the only one of modeSame
	count  [codesTable]uint32
}

// inUse is the table to code with.
func (c *coder) inUse() *table {
	if c.mode == modePredefined {
		return &c.predefined
	}
	return &c.tables[c.now]
}

// choose makes up the mode for count, which are total.
func (c *coder) choose(total int, logs *[cellsMax + 1]uint16) {
	symbols, distinct := 0, 0
	for s, n := range c.count {
		if n > 0 {
			symbols = s + 1
			distinct++
		}
	}
	if distinct == 1 {
		c.mode, c.symbol, c.known = modeSame, uint8(symbols-1), false
		c.tables[c.now].same(symbols - 1)
		return
	}
	count := c.count[:symbols]
	next := &c.tables[1-c.now]
	next.normalize(count, total, c.log(total, symbols))
	best := next.cost(count, logs) + next.headCost(symbols)
	mode := modeSent
	if c.known {
		if cost := c.tables[c.now].cost(count, logs); cost <= best {
			best, mode = cost, modeRepeat
		}
	}
	if cost := c.predefined.cost(count, logs); cost <= best {
		mode = modePredefined
	}
	if mode == modeSent {
		c.now = 1 - c.now
		next.build()
	}
	c.mode, c.known = mode, mode != modePredefined
}

// log is the size of a table for so many sequences.
func (c *coder) log(total, symbols int) uint {
	least := min(bits.Len(uint(total)), bits.Len(uint(symbols-1))+1)
	return uint(max(tableLogMin, min(int(c.logMax), max(bits.Len(uint(total-1))-3, least))))
}

// impossible is the cost with a table that lacks a symbol.
const impossible = 1 << 40

// cost is what symbols take, in parts of a bit.
func (t *table) cost(count []uint32, logs *[cellsMax + 1]uint16) int {
	sum := 0
	for s, n := range count {
		if n == 0 {
			continue
		}
		cells := t.norm[s]
		if s >= t.symbols || cells == 0 {
			return impossible
		}
		sum += int(n) * (int(t.log)<<logFraction - int(logs[max(1, cells)]))
	}
	return sum
}

// headCost is about what appendNorm writes.
func (t *table) headCost(symbols int) int { return (4 + 5*symbols) << logFraction }
