package server

import (
	"time"

	"hyzer/multicast/wire"
)

// passedMax is how many of the latest ranges of blocks are known, some 15000
// blocks.
const passedMax = 256

// passedRange is blocks that were sent.
type passedRange struct {
	chunk      uint32
	first, end uint16
	at         time.Time
}

// passed are the latest of the blocks sent, so that requests that left before
// their senders can have heard them bring no second pass.
type passed struct {
	ranges [passedMax]passedRange
	next   int
}

func (p *passed) add(chunk uint32, first, count int, now time.Time) {
	p.ranges[p.next%passedMax] = passedRange{chunk, uint16(first), uint16(first + count), now}
	p.next++
}

// remove takes from m what was sent of the chunk since then.
func (p *passed) remove(chunk uint32, since time.Time, m *wire.BlockMap) {
	for i := range min(p.next, passedMax) {
		r := &p.ranges[(p.next-1-i)%passedMax]
		if r.at.Before(since) {
			return
		}
		if r.chunk == chunk {
			m.RemoveRange(int(r.first), int(r.end-r.first))
		}
	}
}

// latest is when a block of the chunk was last sent, as far as is known.
func (p *passed) latest(chunk uint32) time.Time {
	for i := range min(p.next, passedMax) {
		if r := &p.ranges[(p.next-1-i)%passedMax]; r.chunk == chunk {
			return r.at
		}
	}
	return time.Time{}
}

// dropPassed takes from s.partial what crossed it on its way: what was sent
// after the client left off hearing, if it names our clock, clockUS; or for a
// request for a whole chunk, all blocks, one whose pass was over a moment ago. A
// client that lost that, which is rare, will ask again.
func (s *Session) dropPassed(now time.Time, clockUS uint32, all int) {
	w := &s.partial.Wanted
	if clockUS != 0 {
		if age := time.Duration(int32(s.clockUS(now)-clockUS)) * time.Microsecond; age > 0 && age < ticketMax {
			s.passed.remove(s.partial.Chunk, now.Add(-age), w)
		}
	}
	if w.Count() < all || now.Sub(s.passed.latest(s.partial.Chunk)) >= s.flight() {
		return
	}
	rest := *w
	if s.passed.remove(s.partial.Chunk, time.Time{}, &rest); rest.Count() == 0 {
		*w = rest
	}
}
