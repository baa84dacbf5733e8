package deflate

const (
	shortBits = 15
	longBits  = 16
	// hurryShift: in data without matches, of so many bits of bytes one more
	// place is left out.
	hurryShift = 6
	// overhang is how many bytes of a match may be given up at its begin for
	// a longer one.
	overhang = 2
)

// quick finds matches of four bytes and more: by the last place with the same
// four bytes, and the last two with the same seven.
type quick struct {
	short [1 << shortBits]uint32 // plus headBias
	long  [1 << longBits]uint64  // likewise; the later one lower
	ahead bool                   // look for better matches
}

func (q *quick) reset() {
	clear(q.short[:])
	clear(q.long[:])
}

func hashShort(eight uint64) uint32 { return uint32(eight) * 0x9E3779B1 >> (32 - shortBits) }

func hashLong(eight uint64) uint64 {
	return eight << 8 * 0x9E3779B185EBCA87 >> (64 - longBits)
}

// found is a match.
type found struct{ at, from, length int }

// find returns the first match from at on, or one with length 0 where the search
// ended: at last or where there are literalsMax literals. Literals begin at
// start, and no match goes beyond to.
func (q *quick) find(data []byte, at, start, last, to int) found {
	last = min(last, start+literalsMax)
	m, known := q.scan(data, at, start, last, to)
	if m.length == 0 {
		return m
	}
	if end := m.at + m.length; q.ahead && end < last {
		m = q.overlap(data, m, end, to)
	}
	for m.at > start && m.from > 0 && data[m.at-1] == data[m.from-1] {
		m.at, m.from, m.length = m.at-1, m.from-1, m.length+1
	}
	if end := m.at + m.length; m.length >= runBytesMin && m.at-m.from < m.length {
		q.enter(data, max(known, end-4), min(end, last)) // of a long run the end is enough
	} else {
		q.enter(data, known, min(end, last))
	}
	return m
}

// scan enters places and looks for matches there. Places up to known are
// entered.
func (q *quick) scan(data []byte, at, start, last, to int) (m found, known int) {
	if at >= last {
		return found{at: at}, at
	}
	eight := load64(data, at)
	hs, hl := hashShort(eight), hashLong(eight)
	for {
		next := at + 1 + (at-start)>>hurryShift
		near := at + headBias // less a table's value it is the distance
		s, l := int(q.short[hs]), q.long[hl]
		q.short[hs], q.long[hl] = uint32(near), l<<32|uint64(near)
		if next >= last {
			return found{at: min(next, to)}, at + 1
		}
		e := load64(data, next)
		h2, l2 := hashShort(e), hashLong(e)
		if a := near - int(uint32(l)); a <= windowBytes && load32(data, at-a) == uint32(eight) {
			n := same(data, at-a, at, to-at)
			if b := near - int(l>>32); b <= windowBytes && load32(data, at-b) == uint32(eight) {
				if m := same(data, at-b, at, to-at); m > n {
					n, a = m, b
				}
			}
			return found{at, at - a, n}, at + 1
		}
		if b := near - int(l>>32); b <= windowBytes && load32(data, at-b) == uint32(eight) {
			return found{at, at - b, same(data, at-b, at, to-at)}, at + 1
		}
		if a := near - s; a <= windowBytes && load32(data, at-a) == uint32(eight) {
			m = found{at, at - a, same(data, at-a, at, to-at)}
			if !q.ahead {
				return m, at + 1
			}
			return better(data, m, next, to, uint32(e), q.long[l2]), at + 1
		}
		at, eight, hs, hl = next, e, h2, l2
	}
}

// better is m, or the match at place next if that is longer.
func better(data []byte, m found, next, to int, four uint32, places uint64) found {
	near := next + headBias
	for range 2 {
		if a := near - int(uint32(places)); a <= windowBytes && load32(data, next-a) == four {
			if n := same(data, next-a, next, to-next); n > m.length {
				m = found{next, next - a, n}
			}
		}
		places >>= 32
	}
	return m
}

// overlap is m, or a longer match that the places with the bytes after m belong
// to.
func (q *quick) overlap(data []byte, m found, end, to int) found {
	at := m.at + overhang
	places := q.long[hashLong(load64(data, end))]
	for range 2 {
		from := int(uint32(places)) - headBias - (end - at)
		if d := at - from; d > 0 && d <= windowBytes && from >= 0 && load32(data, from) == load32(data, at) {
			if n := same(data, from, at, to-at); n > m.length {
				m = found{at, from, n}
			}
		}
		places >>= 32
	}
	return m
}

// enter enters places, every second one by its first four bytes.
func (q *quick) enter(data []byte, at, end int) {
	for ; at+1 < end; at += 2 {
		eight := load64(data, at)
		q.short[hashShort(eight)] = uint32(at + headBias)
		a := &q.long[hashLong(eight)]
		*a = *a<<32 | uint64(at+headBias)
		b := &q.long[hashLong(eight>>8)]
		*b = *b<<32 | uint64(at+1+headBias)
	}
}
