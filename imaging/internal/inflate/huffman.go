package inflate

import "math/bits"

// Huffman decoding tables. An entry is found by the next bits of the stream;
// codes longer than the table's width lead to a second table.
//
//	bits 0-5    bits to consume: the code and its extra bits
//	bits 8-12   bits of the code alone; of the second table, in a link
//	bits 13-15  what it is
//	bits 16-31  literal, base length or distance, or place of the second table
type huffEntry = uint32

const (
	entryLiteral = 1 << 15
	entryLink    = 1 << 14
	entryEnd     = 1 << 13 // end of block; with entryLink: no such code

	entryInvalid = entryEnd | entryLink

	codeBitsMax   = 15
	litTableBits  = 11
	distTableBits = 8
	// The most entries second tables can need (zlib's "enough"), rounded up
	// to powers of two.
	litTableSize  = 4096 // 2342
	distTableSize = 1024 // 402

	litSymbols   = 288
	distSymbols  = 32
	endOfBlock   = 256
	litCodesMax  = 286
	distCodesMax = 30
)

// lengthBase and distBase give the base value and the number of extra bits of
// a symbol (RFC 1951, 3.2.5).
func lengthBase(symbol int) (base, extra uint32) {
	n := uint32(symbol - endOfBlock - 1)
	switch {
	case n < 8:
		return n + 3, 0
	case n == 28:
		return 258, 0
	}
	extra = n/4 - 1
	return (4+n%4)<<extra + 3, extra
}

func distBase(symbol int) (base, extra uint32) {
	n := uint32(symbol)
	if n < 4 {
		return n + 1, 0
	}
	extra = n/2 - 1
	return (2+n%2)<<extra + 1, extra
}

// litEntry and distEntry are the entries of symbols, without their code's
// length. Symbols that must not occur are invalid.
func litEntry(symbol int) huffEntry {
	switch {
	case symbol < endOfBlock:
		return entryLiteral | uint32(symbol)<<16
	case symbol == endOfBlock:
		return entryEnd
	case symbol >= litCodesMax:
		return entryInvalid
	}
	base, extra := lengthBase(symbol)
	return base<<16 | extra
}

func distEntry(symbol int) huffEntry {
	if symbol >= distCodesMax {
		return entryInvalid
	}
	base, extra := distBase(symbol)
	return base<<16 | extra
}

// buildTable fills table, whose first 1<<width entries are the first table,
// for codes of the given lengths. It returns false if the lengths are not a
// complete code; a single code of one bit may stand alone, and no code at all
// makes every entry invalid.
func buildTable(table []huffEntry, width int, lengths []uint8, symbols []huffEntry) bool {
	var count [codeBitsMax + 1]int
	for _, n := range lengths {
		count[n]++
	}
	if !completeCode(count, len(lengths)) {
		return false
	}
	if count[0] == len(lengths) || count[1] == 1 && count[0] == len(lengths)-1 {
		for i := range table[:1<<width] {
			table[i] = entryInvalid
		}
	}
	sorted, code, n := sortByLength(lengths, count), uint32(0), 0
	free, link := 1<<width, linkState{}
	for _, symbol := range sorted[count[0]:len(lengths)] {
		for n < int(lengths[symbol]) {
			code <<= 1
			n++
		}
		free = link.place(table, width, free, code, n, symbols[symbol], &count)
		code++
	}
	return true
}

// sortByLength lists the symbols by the length of their code.
func sortByLength(lengths []uint8, count [codeBitsMax + 1]int) (sorted [litSymbols]uint16) {
	var at [codeBitsMax + 2]int
	for n, k := range count {
		at[n+1] = at[n] + k
	}
	for symbol, n := range lengths {
		sorted[at[n]] = uint16(symbol)
		at[n]++
	}
	return sorted
}

// completeCode tells whether code lengths use up all codes, or are one of the
// two exceptions.
func completeCode(count [codeBitsMax + 1]int, symbols int) bool {
	left := 1
	for _, n := range count[1:] {
		if left = left<<1 - n; left < 0 {
			return false
		}
	}
	return left == 0 || count[0] == symbols || count[0] == symbols-1 && count[1] == 1
}

// linkState remembers the second table being filled.
type linkState struct {
	prefix uint32
	start  int
	width  int
}

// place enters one code; codes come by length, then by value. It returns where
// the next second table may begin.
func (l *linkState) place(table []huffEntry, width, free int, code uint32, n int, e huffEntry, count *[codeBitsMax + 1]int) int {
	rev := bits.Reverse32(code) >> (32 - n)
	if n <= width {
		e |= uint32(n) << 8
		e += uint32(n)
		for i := int(rev); i < 1<<width; i += 1 << n {
			table[i] = e
		}
		count[n]--
		return free
	}
	if prefix := rev & (1<<width - 1); l.width == 0 || prefix != l.prefix {
		l.prefix, l.start, l.width = prefix, free, secondWidth(n, width, count)
		free += 1 << l.width
		table[prefix] = entryLink | uint32(l.start)<<16 | uint32(l.width)<<8 | uint32(width)
	}
	count[n]--
	short := n - width
	e |= uint32(short) << 8
	e += uint32(short)
	for i := int(rev >> width); i < 1<<l.width; i += 1 << short {
		table[l.start+i] = e
	}
	return free
}

// secondWidth is how wide a second table must be that begins with a code of n
// bits, of which count are left.
func secondWidth(n, width int, count *[codeBitsMax + 1]int) int {
	w := n - width
	left := 1 << w
	for ; w+width <= codeBitsMax; w++ {
		if left -= count[w+width]; left <= 0 || w+width == codeBitsMax {
			break
		}
		left <<= 1
	}
	return w
}
