package server

import (
	"time"

	"hyzer/multicast/wire"
)

// queueElementsMax bounds the work queue. Clients merge into what is queued,
// so honest ones never come near it: it is 4 GiB of wanted chunks.
const queueElementsMax = 4096

// strangerShare is which part of the blocks goes to those without the key, a
// quarter, while those with it want some too.
const strangerShare = 4

// element is what is wanted of one chunk.
type element struct {
	chunk     uint32
	blocks    wire.BlockMap
	count     int       // of blocks
	whole     bool      // blocks is the complete chunk
	notBefore time.Time // held back so that other clients' repairs can merge in
	trusted   bool      // asked for by a client that has the key
	prev      *element
	next      *element
}

// queue is the FIFO of wanted chunks with its merge rules (A5). The element in
// service stays at the head until it is empty; at most one more element of the
// same chunk may follow it.
type queue struct {
	head, tail *element
	latest     map[uint32]*element // the element nearest to the tail, by chunk
	len        int
	blocks     int // wanted in all elements
	free       *element
	elementMax int // high-water mark
	blocksMax  int
	// ahead is how many blocks went to those who have the key beyond their share,
	// while others wanted some too.
	ahead int
	// loaded says whether what is wanted can be sent; nil: it can.
	loaded func(*element) bool
}

func newQueue() queue { return queue{latest: make(map[uint32]*element)} }

// find returns the element of the chunk that is nearest to the tail.
func (q *queue) find(chunk uint32) *element { return q.latest[chunk] }

// merge adds blocks to an element that is queued.
func (q *queue) merge(e *element, m *wire.BlockMap, whole int) {
	before := e.count
	e.blocks.Union(m)
	e.count = e.blocks.Count()
	e.whole = e.count == whole
	q.grow(e.count - before)
}

// evict makes room for a client that has the key: the newest element of others
// goes, but not the one in service.
func (q *queue) evict(inService *element) bool {
	for e := q.tail; e != nil; e = e.prev {
		if !e.trusted && e != inService {
			q.blocks -= e.count
			q.remove(e)
			return true
		}
	}
	return false
}

// push appends an element. The caller sees to it that there is room.
func (q *queue) push(chunk uint32, m *wire.BlockMap, whole int, notBefore time.Time) *element {
	e := q.free
	if e != nil {
		q.free = e.next
	} else {
		e = new(element)
	}
	*e = element{chunk: chunk, blocks: *m, count: m.Count(), notBefore: notBefore, prev: q.tail}
	e.whole = e.count == whole
	if q.tail == nil {
		q.head = e
	} else {
		q.tail.next = e
	}
	q.tail = e
	q.latest[chunk] = e
	q.len++
	q.elementMax = max(q.elementMax, q.len)
	q.grow(e.count)
	return e
}

func (q *queue) grow(blocks int) {
	q.blocks += blocks
	q.blocksMax = max(q.blocksMax, q.blocks)
}

// ready returns the first element that is not held back and can be sent, or
// the time when there will be one. Both are zero if there is none. In a session with a
// key those who have it get strangerShare-1 blocks while all others together
// get one, so that what strangers ask for costs that share of the rate at most.
func (q *queue) ready(now time.Time, keyed bool) (*element, time.Time) {
	var soonest time.Time
	var first [2]*element // of others, of those who have the key
	for e := q.head; e != nil; e = e.next {
		which := 0
		if e.trusted {
			which = 1
		}
		switch {
		case e.notBefore.After(now):
			if soonest.IsZero() || e.notBefore.Before(soonest) {
				soonest = e.notBefore
			}
		case q.loaded != nil && !q.loaded(e):
		case !keyed:
			return e, time.Time{}
		case first[which] == nil:
			first[which] = e
		}
		if first[0] != nil && first[1] != nil {
			break
		}
	}
	switch {
	case first[0] == nil && first[1] == nil:
		return nil, soonest
	case first[0] == nil || first[1] == nil:
		q.ahead = 0
	case q.ahead > 0:
		return first[0], time.Time{}
	}
	if first[1] != nil {
		return first[1], time.Time{}
	}
	return first[0], time.Time{}
}

// takeRun removes the first contiguous run of blocks from e, and e from the
// queue if nothing is left of it.
func (q *queue) takeRun(e *element) (first, count int) {
	first, count = e.blocks.FirstRun()
	e.blocks.RemoveRange(first, count)
	e.count -= count
	e.whole = false
	q.blocks -= count
	if e.trusted {
		q.ahead += count
	} else {
		q.ahead -= count * (strangerShare - 1)
	}
	if e.count == 0 {
		q.remove(e)
	}
	return first, count
}

func (q *queue) remove(e *element) {
	if e.prev == nil {
		q.head = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		q.tail = e.prev
	} else {
		e.next.prev = e.prev
	}
	if q.latest[e.chunk] == e {
		delete(q.latest, e.chunk)
	}
	q.len--
	*e = element{next: q.free}
	q.free = e
}
