package server

import (
	"hyzer/multicast/fec"
	"hyzer/multicast/wire"
)

// need is blocks of a chunk that are to be sent soon; with parity it is all of a
// chunk, for its parity blocks from the parity-th one on.
type need struct {
	chunk  int
	blocks wire.BlockMap
	parity int  // noParity: the blocks themselves
	whole  bool // of the chunk, from its start
}

const noParity = -1

// needRange is the need of blocks that are sent as they are.
func needRange(chunk, first, count int) need {
	n := need{chunk: chunk, parity: noParity}
	n.blocks.AddRange(first, count)
	return n
}

// othersUpcoming: of so many needs that are read ahead one is for those without
// the key, while both kinds of clients want some. It is their share of the rate.
const othersUpcoming = strangerShare

// upcoming appends to dst up to n needs that are to be sent next, the soonest
// first, so that they can be read by then.
func (s *Session) upcoming(dst []need, n int) []need {
	n += len(dst)
	if s.cur.active && len(dst) < n {
		dst = append(dst, needRange(int(s.cur.chunk), s.cur.next, s.cur.end-s.cur.next))
	}
	rounds, queued := s.m2.rounds, s.walk()
	for e := queued.next(); len(dst) < n && (len(rounds) > 0 || e != nil); {
		if len(rounds) > 0 {
			dst = append(dst, s.roundNeed(rounds[0]))
			rounds = rounds[1:]
		}
		if e != nil && len(dst) < n {
			dst = append(dst, e.need())
			e = queued.next()
		}
	}
	return dst
}

// roundNeed is what a round of parity blocks is made of.
func (s *Session) roundNeed(r *repair) need {
	return need{int(r.chunk), s.geo.Whole(int(r.chunk)), int(r.sent % fec.ParityBlocks), false}
}

// need is what is wanted.
func (e *element) need() need { return need{int(e.chunk), e.blocks, noParity, e.whole} }

// walk is the queue in the order in which it is served.
type walk struct {
	own, others *element // where each kind is
	keyed       bool
	taken       int
}

func (s *Session) walk() walk {
	w := walk{others: s.queue.head, keyed: s.m2.control != nil}
	if w.keyed {
		w.own, w.others = of(s.queue.head, true), of(s.queue.head, false)
	}
	return w
}

// of returns the first element from e on of those who have the key, or of others.
func of(e *element, trusted bool) *element {
	for e != nil && e.trusted != trusted {
		e = e.next
	}
	return e
}

func (w *walk) next() *element {
	w.taken++
	e := w.others
	switch {
	case !w.keyed:
		if e != nil {
			w.others = e.next
		}
	case w.own != nil && (e == nil || w.taken%othersUpcoming != 0):
		e = w.own
		w.own = of(e.next, true)
	case e != nil:
		w.others = of(e.next, false)
	}
	return e
}

// readBy makes the session send only what is in memory.
func (s *Session) readBy(ready func(need) bool) {
	s.ready = ready
	s.queue.loaded = func(e *element) bool { return ready(e.need()) }
}

// can says whether something can be sent without waiting for the disk.
func (s *Session) can(what need) bool { return s.ready == nil || s.ready(what) }

// waitsForImage says whether nothing is sent because it is not read yet.
func (s *Session) waitsForImage() bool {
	return s.ready != nil && (s.queue.len > 0 || len(s.m2.rounds) > 0)
}
