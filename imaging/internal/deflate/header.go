package deflate

const (
	lengthSymbols = 19
	repeatBefore  = 16 // the length before, 3 to 6 times
	repeatZero    = 17 // 3 to 10 zeros
	repeatZeros   = 18 // 11 to 138
)

// header is the code lengths of a dynamic block, as they are written
// (RFC 1951, 3.2.7).
type header struct {
	lits, dists, order int // lengths of each that are written
	tokens             []lengthToken
	counts             [lengthSymbols]uint32
	lengths            [lengthSymbols]uint8
	codes              [lengthSymbols]uint16
}

// lengthToken is a code length, or a run of them with its extra bits.
type lengthToken struct {
	symbol, extra uint8
}

func lengthOrder() [lengthSymbols]uint8 {
	return [...]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}
}

func extraBits(symbol uint8) uint {
	switch symbol {
	case repeatBefore:
		return 2
	case repeatZero:
		return 3
	case repeatZeros:
		return 7
	}
	return 0
}

// make finds how to write the lengths.
func (h *header) make(lits, dists []uint8) {
	h.lits, h.dists = used(lits, endOfBlock+1), used(dists, 1)
	var all [litSymbols + distSymbols]uint8
	n := copy(all[:], lits[:h.lits])
	n += copy(all[n:], dists[:h.dists])
	h.tokens = h.tokens[:0]
	h.counts = [lengthSymbols]uint32{}
	for rest := all[:n]; len(rest) > 0; {
		run := 1
		for run < len(rest) && rest[run] == rest[0] {
			run++
		}
		h.run(rest[0], run)
		rest = rest[run:]
	}
	codeLengths(h.counts[:], h.lengths[:], lengthCodeBitsMax)
	h.order = lengthSymbols
	for order := lengthOrder(); h.order > 4 && h.lengths[order[h.order-1]] == 0; {
		h.order--
	}
}

// used is how many lengths there are up to the last that is not 0.
func used(lengths []uint8, least int) int {
	n := len(lengths)
	for n > least && lengths[n-1] == 0 {
		n--
	}
	return n
}

func (h *header) run(length uint8, n int) {
	if length != 0 {
		h.token(length, 0)
		n--
	}
	for n >= 3 {
		symbol, base, most := uint8(repeatBefore), 3, 6
		if length == 0 && n > 10 {
			symbol, base, most = repeatZeros, 11, 138
		} else if length == 0 {
			symbol, most = repeatZero, 10
		}
		k := min(n, most)
		h.token(symbol, uint8(k-base))
		n -= k
	}
	for range n {
		h.token(length, 0)
	}
}

func (h *header) token(symbol, extra uint8) {
	h.tokens = append(h.tokens, lengthToken{symbol, extra})
	h.counts[symbol]++
}

// bits is the size.
func (h *header) bits() int {
	n := 5 + 5 + 4 + 3*h.order
	for symbol, count := range h.counts {
		n += int(count) * (int(h.lengths[symbol]) + int(extraBits(uint8(symbol))))
	}
	return n
}

func (h *header) write(w *bitWriter) {
	w.add(uint64(h.lits-(endOfBlock+1)), 5)
	w.add(uint64(h.dists-1), 5)
	w.add(uint64(h.order-4), 4)
	w.flush()
	order := lengthOrder()
	for _, symbol := range order[:h.order] {
		w.add(uint64(h.lengths[symbol]), 3)
		w.flush()
	}
	assign(h.lengths[:], h.codes[:])
	for _, t := range h.tokens {
		w.add(uint64(h.codes[t.symbol]), uint(h.lengths[t.symbol]))
		w.add(uint64(t.extra), extraBits(t.symbol))
		w.flush()
	}
}
