package zstd

import "math/bits"

const (
	// tableLogMax and tableLogMin are of the tables that are sent.
	tableLogMax = 9
	tableLogMin = 5
	cellsMax    = 1 << tableLogMax
)

// table is a code of finite state entropy (RFC 8878, 4.1).
type table struct {
	log     uint
	symbols int
	norm    [codesTable]int16 // cells of each symbol; -1: one, entered with all bits
	cells   [cellsMax]uint16
	next    [codesTable]transition
}

// transition is how a symbol changes the state: to write are the lowest
// (state+bits)>>16 bits of it, and what is left plus offset is the next cell.
type transition struct {
	bits   uint32
	offset int32
}

// normalize gives each of the symbols that count counts its part of the cells.
func (t *table) normalize(count []uint32, total int, log uint) {
	t.log, t.symbols = log, len(count)
	left, most := 1<<log, 0
	for s, c := range count {
		n := int16(0)
		if c > 0 {
			n = max(1, int16((int(c)<<(log+1)/total+1)>>1))
			left -= int(n)
			if n > t.norm[most] || most >= s {
				most = s
			}
		}
		t.norm[s] = n
	}
	for left < 0 && int(t.norm[most])+left < 1<<log/4 { // rare symbols took too much
		for s := range count {
			if t.norm[s] > t.norm[most] {
				most = s
			}
		}
		t.norm[most]--
		left++
	}
	t.norm[most] += int16(left)
}

// build makes the cells from norm.
func (t *table) build() {
	size := 1 << t.log
	var symbol [cellsMax]uint8
	var first [codesTable]int
	high, total := size-1, 0
	for s := range t.symbols {
		first[s] = total
		n := int(t.norm[s])
		switch {
		case n < 0:
			symbol[high] = uint8(s)
			high--
			t.next[s] = transition{uint32(t.log<<16 - 1<<t.log), int32(total - 1)}
			n = 1
		case n == 1:
			t.next[s] = transition{uint32(t.log<<16 - 1<<t.log), int32(total - 1)}
		case n > 1:
			out := t.log - uint(bits.Len(uint(n-1))-1)
			t.next[s] = transition{uint32(out<<16 - uint(n)<<out), int32(total - n)}
		}
		total += n
	}
	at, step := 0, size>>1+size>>3+3
	for s := range t.symbols {
		for range max(0, int(t.norm[s])) {
			symbol[at] = uint8(s)
			for at = (at + step) & (size - 1); at > high; {
				at = (at + step) & (size - 1)
			}
		}
	}
	for i, s := range symbol[:size] {
		t.cells[first[s]] = uint16(size + i)
		first[s]++
	}
}

// start is the state that begins with a symbol, which takes no bits.
func (t *table) start(symbol uint8) uint32 {
	x := t.next[symbol]
	out := (x.bits + 1<<15) >> 16
	return uint32(t.cells[int32((out<<16-x.bits)>>out)+x.offset])
}

// code is the state after a symbol, and the n bits v to write for it.
func (t *table) code(state uint32, symbol uint8) (after, v, n uint32) {
	x := &t.next[symbol&codesMask]
	n = (state + x.bits) >> 16
	return uint32(t.cells[uint32(int32(state>>(n&31))+x.offset)&(cellsMax-1)]), state & (1<<(n&31) - 1), n
}

// end writes the last state.
func (t *table) end(w *bitWriter, state uint32) {
	w.add(uint64(state)&(1<<t.log-1), t.log)
	w.flush()
}

// same makes the table of one symbol, which takes no bits.
func (t *table) same(symbol int) {
	clear(t.norm[:symbol])
	t.norm[symbol], t.log, t.symbols = 1, 0, symbol+1
	t.build()
}

// appendNorm writes what a decoder makes the table from (4.1.1).
func (t *table) appendNorm(w *bitWriter) {
	w.add(uint64(t.log-tableLogMin), 4)
	left, limit, width := 1<<t.log+1, 1<<t.log, t.log+1
	for s := 0; left > 1; s++ {
		n := int(t.norm[s])
		v, most := n+1, 2*limit-1-left
		if v >= limit {
			v += most
		}
		if v < most {
			w.add(uint64(v), width-1)
		} else {
			w.add(uint64(v), width)
		}
		w.flush()
		if left -= n; n == 0 {
			s = t.appendZeros(w, s)
		}
		for left < limit {
			width, limit = width-1, limit>>1
		}
	}
	w.pad()
}

// appendZeros says how many symbols after s have no cells either, and returns
// the last of them.
func (t *table) appendZeros(w *bitWriter, s int) int {
	n := 0
	for t.norm[s+n+1] == 0 {
		n++
	}
	for left := n; ; left -= 3 {
		w.add(uint64(min(left, 3)), 2)
		w.flush()
		if left < 3 {
			return s + n
		}
	}
}
