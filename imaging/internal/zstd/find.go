package zstd

import (
	"math/bits"
	"unsafe"
)

const (
	shortBits = 16
	longBits  = 17
	tagBits   = 8
	tagMask   = 1<<tagBits - 1
	// hurryBytes: after so many without a match, the search goes on with larger
	// steps.
	hurryBytes = 128
	// loadBytes is what is read at a place.
	loadBytes = 8
	// matchBytesMin is the shortest match that is looked for.
	matchBytesMin = 4
)

// finder finds matches: by the last place with the same eight bytes, and the
// last one with the same five. An entry is the place, and above that number's 24
// bits eight of the hash.
type finder struct {
	short [1 << shortBits]uint32
	long  [1 << longBits]uint32
	last

	found
}

// last is the distances of the last matches.
type last struct{ near, far int }

// found is the matches in a block, and what is between them.
type found struct {
	sequences []sequence // as many as there can be
	n         int        // of sequences
	literals  []byte     // likewise, and a bit more
	lits      int        // of literals
}

// sequence is some literals and the match after them.
type sequence struct{ literals, length, distance uint32 }

func newFinder() *finder {
	return &finder{found: found{
		sequences: make([]sequence, BlockBytesMax/matchBytesMin+1),
		literals:  make([]byte, BlockBytesMax+wildBytes),
	}}
}

// forget empties the tables.
func (f *finder) forget() {
	clear(f.short[:])
	clear(f.long[:])
	f.last = last{1, 4}
}

func hashLong(eight uint64) uint64  { return eight * 0xcf1bbcdcb7a56463 }
func hashShort(eight uint64) uint64 { return eight << 24 * 0xcf1bbcdcbb }

// slots are the table indices of hashes; an entry's tag is the bits after them.
func longSlot(h uint64) uint64  { return h >> (64 - longBits) }
func shortSlot(h uint64) uint64 { return h >> (64 - shortBits) }

func longEntry(at int, h uint64) uint32 {
	return uint32(at)<<tagBits | uint32(h>>(64-longBits-tagBits))&tagMask
}

func shortEntry(at int, h uint64) uint32 {
	return uint32(at)<<tagBits | uint32(h>>(64-shortBits-tagBits))&tagMask
}

// find finds the matches in data[from:to], with sources from byte 0 on.
func (f *finder) find(data []byte, from, to int) {
	f.n, f.lits = 0, 0
	p := unsafe.Pointer(unsafe.SliceData(data))
	start, last := from, to-loadBytes-1
	for at := max(from, 1); ; {
		m := f.scan(p, at, to, last)
		if m.length == 0 {
			break
		}
		for m.at > start && m.from > 0 && data[m.at-1] == data[m.from-1] {
			m.at, m.from, m.length = m.at-1, m.from-1, m.length+1
		}
		distance := m.at - m.from
		if distance != f.near {
			f.near, f.far = distance, f.near
		}
		f.add(data, start, m.at, m.length, distance)
		at = m.at + m.length
		if start = at; at > last {
			break
		}
		f.enter(p, m.known+2)
		f.enter(p, at-2)
		for at <= last && load32(p, at) == load32(p, at-f.far) {
			f.near, f.far = f.far, f.near
			f.enter(p, at)
			n := same(p, at+4, at-f.near+4, to) + 4
			f.add(data, start, at, n, f.near)
			at += n
			start = at
		}
	}
	f.copy(data, start, to)
}

// match is data[at:][:length] being the same as data[from:][:length]. known is
// the last place that was entered.
type match struct{ at, from, length, known int }

// scan returns the first match from at on, or one without length if there is
// none that begins up to last.
func (f *finder) scan(p unsafe.Pointer, at, to, last int) match {
	if at >= last {
		return match{}
	}
	near := f.near
	step, faster, next := 1, at+hurryBytes, at+1
	short, long := &f.short, &f.long
	eight := load64(p, at)
	hl, hs := hashLong(eight), hashShort(eight)
	l, s := long[longSlot(hl)], short[shortSlot(hs)]
	for {
		le, se := longEntry(at, hl), shortEntry(at, hs)
		long[longSlot(hl)], short[shortSlot(hs)] = le, se
		after := load64(p, next)
		hl2, hs2 := hashLong(after), hashShort(after)
		l2, s2 := long[longSlot(hl2)], short[shortSlot(hs2)]
		if load32(p, at+1-near) == uint32(eight>>8) {
			return match{at + 1, at + 1 - near, same(p, at+5, at+5-near, to) + 4, at}
		}
		if (l^le)&tagMask == 0 {
			if from := int(l >> tagBits); from < at && load64(p, from) == eight {
				return match{at, from, same(p, at+8, from+8, to) + 8, at}
			}
		}
		if (s^se)&tagMask == 0 {
			if from := int(s >> tagBits); from < at && load32(p, from) == uint32(eight) {
				if n := int(l2 >> tagBits); l2&tagMask == longEntry(0, hl2) && n < at && load64(p, n) == after {
					long[longSlot(hl2)] = longEntry(next, hl2)
					return match{next, n, same(p, next+8, n+8, to) + 8, at}
				}
				return match{at, from, same(p, at+4, from+4, to) + 4, at}
			}
		}
		if next >= faster {
			step++
			faster += hurryBytes
		}
		at, eight, hl, hs, l, s = next, after, hl2, hs2, l2, s2
		if next += step; next > last {
			return match{}
		}
	}
}

// enter enters a place in both tables.
func (f *finder) enter(p unsafe.Pointer, at int) {
	eight := load64(p, at)
	hl, hs := hashLong(eight), hashShort(eight)
	f.long[longSlot(hl)] = longEntry(at, hl)
	f.short[shortSlot(hs)] = shortEntry(at, hs)
}

// add adds the match at a place, and the literals from start to there.
func (f *finder) add(data []byte, start, at, length, distance int) {
	f.copy(data, start, at)
	f.sequences[f.n] = sequence{uint32(at - start), uint32(length), uint32(distance)}
	f.n++
}

// wildBytes is how much is copied at once.
const wildBytes = 16

// copy adds data[start:end] to the literals.
func (f *finder) copy(data []byte, start, end int) {
	n := end - start
	if n <= wildBytes && start+wildBytes <= len(data) {
		*(*[wildBytes]byte)(f.literals[f.lits:]) = *(*[wildBytes]byte)(data[start:])
	} else {
		copy(f.literals[f.lits:], data[start:end])
	}
	f.lits += n
}

// same is how many bytes are the same at a and at b, which is before it, up to
// byte end after a.
func same(p unsafe.Pointer, a, b, end int) int {
	start := a
	for ; a+loadBytes <= end; a, b = a+loadBytes, b+loadBytes {
		if x := load64(p, a) ^ load64(p, b); x != 0 {
			return a - start + bits.TrailingZeros64(x)>>3
		}
	}
	for a < end && load8(p, a) == load8(p, b) {
		a, b = a+1, b+1
	}
	return a - start
}

// The loads are little-endian and without a check of bounds, which would cost
// a sixth of the time: the callers see to it that all of it is there.
func load8(p unsafe.Pointer, i int) byte    { return *(*byte)(unsafe.Add(p, i)) }
func load32(p unsafe.Pointer, i int) uint32 { return *(*uint32)(unsafe.Add(p, i)) }
func load64(p unsafe.Pointer, i int) uint64 { return *(*uint64)(unsafe.Add(p, i)) }
