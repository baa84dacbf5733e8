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

// Finder finds matches: by the last place with the same eight bytes, and the
// last one with the same five. An entry is the place, and above that number's 24
// bits eight of the hash. It knows nothing of what becomes of them, so that it
// can be ahead of an Encoder; it is for one goroutine.
type Finder struct {
	short [1 << shortBits]uint32
	long  [1 << longBits]uint32
	last
}

// last is the distances of the last matches.
type last struct{ near, far int }

// NewFinder returns a Finder at the beginning of a frame.
func NewFinder() *Finder { return &Finder{last: newLast()} }

func newLast() last { return last{1, 4} }

// Reset begins a frame.
func (f *Finder) Reset() {
	clear(f.short[:])
	clear(f.long[:])
	f.last = newLast()
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

// Find has m be the matches in data[from:to], at most BlockBytesMax. Their
// sources are from byte 0 on: since Reset all calls must be for the same data,
// one part after the other.
func (f *Finder) Find(m *Matches, data []byte, from, to int) {
	m.n, m.from, m.to = 0, from, to
	p := unsafe.Pointer(unsafe.SliceData(data))
	start, last := from, to-loadBytes-1
	for at := max(from, 1); ; {
		x := f.scan(p, at, to, last)
		if x.length == 0 {
			return
		}
		for x.at > start && x.from > 0 && data[x.at-1] == data[x.from-1] {
			x.at, x.from, x.length = x.at-1, x.from-1, x.length+1
		}
		distance := x.at - x.from
		if distance != f.near {
			f.near, f.far = distance, f.near
		}
		m.add(x.at-start, x.length, distance)
		at = x.at + x.length
		if start = at; at > last {
			return
		}
		f.enter(p, x.known+2)
		f.enter(p, at-2)
		f.enterShort(p, at-1)
		for at <= last && load32(p, at) == load32(p, at-f.far) {
			f.near, f.far = f.far, f.near
			f.enter(p, at)
			n := same(p, at+4, at-f.near+4, to) + 4
			m.add(0, n, f.near)
			at += n
			start = at
		}
	}
}

// match is data[at:][:length] being the same as data[from:][:length]. known is
// the last place that was entered.
type match struct{ at, from, length, known int }

// scan returns the first match from at on, or one without length if there is
// none that begins up to last.
func (f *Finder) scan(p unsafe.Pointer, at, to, last int) match {
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
func (f *Finder) enter(p unsafe.Pointer, at int) {
	eight := load64(p, at)
	hl, hs := hashLong(eight), hashShort(eight)
	f.long[longSlot(hl)] = longEntry(at, hl)
	f.short[shortSlot(hs)] = shortEntry(at, hs)
}

// enterShort enters a place in the table of short matches.
func (f *Finder) enterShort(p unsafe.Pointer, at int) {
	hs := hashShort(load64(p, at))
	f.short[shortSlot(hs)] = shortEntry(at, hs)
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
