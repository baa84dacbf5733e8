package client

import (
	"time"

	"hyzer/multicast/fec"
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

	// Parity blocks lie in the slots of missing blocks, so that a chunk never
	// takes more than its own length.
	held     []fec.Symbol
	occupied wire.BlockMap // slots of held
	parities wire.BlockMap // which are held
	base     uint32        // parity blocks of the chunk that have passed
	naks     int           // in a row that brought nothing
	hushes   int           // in a row that others' NAKs put ours off
	putOffs  int           // in a row, for datagrams that wait in the socket

	// What is outstanding. A pass is the run of blocks that a request causes.
	seq     uint64    // order of requests on the wire, as far as we heard them
	seqAt   time.Time // when that one was
	first   uint64    // of several requests while nothing came, the first
	firstAt time.Time
	until   int       // last block of the pass to come or under way
	inPass  bool      // it has begun
	at      int       // last block of it that came
	dueAt   time.Time // when to ask for what is missing; zero: not yet
}

// expect notes that what f misses has been asked for. While nothing came of it,
// the server may answer the latest request or one before that.
func (f *fill) expect(now time.Time, seq uint64) {
	if f.first == 0 || f.data != nil {
		f.first, f.firstAt = seq, now
	}
	f.seq, f.seqAt, f.putOffs = seq, now, 0
	f.until, f.inPass, f.at, f.dueAt = f.missing.Last(), false, -1, time.Time{}
}

// overtaken says whether that g passes shows that the requests for f got lost:
// all of them were before the first one for g. Clients that ask at the same
// time may be heard by the server in another order than here.
func (f *fill) overtaken(g *fill, crowded bool) bool {
	if f.seq >= g.first || !f.dueAt.IsZero() {
		return false
	}
	return f.data != nil || !crowded || g.firstAt.Sub(f.seqAt) > orderGrace
}

// due says whether it is time to ask for what f misses.
func (f *fill) due(now time.Time) bool { return !f.dueAt.IsZero() && !now.Before(f.dueAt) }

// need is how many blocks or parity blocks f is short of.
func (f *fill) need() int { return f.left - len(f.held) }

// restorable says whether f has all it needs. Parity blocks that tell nothing
// new give up their slots first.
func (f *fill) restorable() bool {
	if f.need() > 0 || len(f.held) == 0 {
		return f.need() == 0
	}
	f.held = fec.Independent(&f.missing, f.held)
	f.occupied = wire.BlockMap{}
	for _, s := range f.held {
		f.occupied.AddRange(int(s.Slot), 1)
	}
	return f.need() == 0
}

func (f *fill) holds(parity uint16) bool { return f.parities.Has(int(parity)) }

// freeSlot returns a missing block in whose slot there is no parity block.
// There is one while need is not 0.
func (f *fill) freeSlot() int {
	free := f.missing
	for i := range free {
		free[i] &^= f.occupied[i]
	}
	return free.First()
}

// vacate makes room for block n: the parity block in its slot, if there is
// one, moves to another. There is one, for need is not 0.
func (f *fill) vacate(n int) {
	if !f.occupied.Has(n) {
		return
	}
	to := f.freeSlot()
	for i := range f.held {
		if int(f.held[i].Slot) == n {
			f.held[i].Slot = uint16(to)
		}
	}
	whole := f.data[:cap(f.data)]
	copy(whole[to*wire.BlockBytes:(to+1)*wire.BlockBytes], whole[n*wire.BlockBytes:])
	f.occupied.Remove(n)
	f.occupied.AddRange(to, 1)
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

// absentDown returns the first number from n down that is not in the set, or
// -1.
func (s *chunkSet) absentDown(n int) int {
	for ; n >= 0 && s.count < s.size; n-- {
		if n%64 == 63 && s.words[n/64] == ^uint64(0) {
			n -= 63
			continue
		}
		if !s.has(n) {
			return n
		}
	}
	return -1
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
