package client

import (
	"time"

	"hyzer/multicast/wire"
)

// fill is a chunk on its way: asked for by us or by another client, or seen
// passing.
type fill struct {
	chunk   int
	data    []byte // nil until the first block
	missing wire.BlockMap
	left    int  // blocks missing
	asked   bool // we have asked for it

	// What is outstanding. A pass is the run of blocks that a request causes.
	seq    uint64    // order of requests on the wire, as far as we heard them
	until  int       // last block of the pass to come or under way
	inPass bool      // it has begun
	at     int       // last block of it that came
	dueAt  time.Time // when to ask for what is missing; zero: not yet
}

// expect notes that what f misses has been asked for.
func (f *fill) expect(seq uint64) {
	f.seq, f.until, f.inPass, f.at, f.dueAt = seq, f.missing.Last(), false, -1, time.Time{}
}

// chunkSet is a set of chunk numbers with a fast search for the next absent
// one.
type chunkSet struct {
	words []uint64
	count int
	size  int
}

func newChunkSet(size int) chunkSet {
	return chunkSet{words: make([]uint64, (size+63)/64), size: size}
}

func (s *chunkSet) has(n int) bool { return s.words[n/64]&(1<<(n%64)) != 0 }

func (s *chunkSet) add(n int) {
	if !s.has(n) {
		s.words[n/64] |= 1 << (n % 64)
		s.count++
	}
}

func (s *chunkSet) remove(n int) {
	if s.has(n) {
		s.words[n/64] &^= 1 << (n % 64)
		s.count--
	}
}

// absent returns the first number from n on, around the end, that is not in
// the set, or -1.
func (s *chunkSet) absent(n int) int {
	if s.count == s.size {
		return -1
	}
	for n %= s.size; ; n = (n + 1) % s.size {
		if n%64 == 0 && s.words[n/64] == ^uint64(0) {
			n += 63
			continue
		}
		if !s.has(n) {
			return n
		}
	}
}
