package server

import (
	"container/list"
	"net/netip"
	"time"

	"hyzer/multicast/wire"
)

// clientsMax bounds the clients that are tracked. Tracking is for statistics
// and for knowing when the last one left; a client that falls out of the
// roster is served all the same.
const clientsMax = 1024

// client is what is known of one client.
type client struct {
	addr     netip.Addr
	id       uint32
	joinedAt time.Time
	seq      uint16 // of the last report
	reported bool
	dropped  uint32 // by its socket, as it last said
	flowAtUS uint32 // when that was, by our clock as it knew it
	flowAt   time.Time
	asked    asked
}

// roster is keyed by address: a client that starts again has a new id and
// takes the place of its former self. The one unheard of for longest makes
// room for a new one.
type roster struct {
	byAddr map[netip.Addr]*list.Element
	order  *list.List // of *client, front = heard of most lately
	most   int
}

func newRoster() roster { return roster{byAddr: make(map[netip.Addr]*list.Element), order: list.New()} }

func (r *roster) len() int { return r.order.Len() }

// join notes a JOIN; fresh says that it was not a repetition.
func (r *roster) join(addr netip.Addr, id uint32, now time.Time) (fresh bool) {
	if e, ok := r.byAddr[addr]; ok {
		r.order.MoveToFront(e)
		c := e.Value.(*client)
		if c.id == id {
			return false
		}
		*c = client{addr: addr, id: id, joinedAt: now}
		return true
	}
	if r.order.Len() >= clientsMax {
		r.drop(r.order.Back())
	}
	r.byAddr[addr] = r.order.PushFront(&client{addr: addr, id: id, joinedAt: now})
	r.most = max(r.most, r.order.Len())
	return true
}

// find returns the client at addr if id is what it joined with.
func (r *roster) find(addr netip.Addr, id uint32) *client {
	e, ok := r.byAddr[addr]
	if !ok || e.Value.(*client).id != id {
		return nil
	}
	r.order.MoveToFront(e)
	return e.Value.(*client)
}

// asks notes what a client asks for by number, that share of a chunk after so
// many passes of chunks.
func (r *roster) asks(now time.Time, addr netip.Addr, chunk uint32, share float64, passes uint64) {
	if e, ok := r.byAddr[addr]; ok {
		e.Value.(*client).asked.note(now, chunk, share, passes)
	}
}

// lost is the most that a client loses, by what it asks for by number.
func (r *roster) lost(now time.Time, passes uint64) (most wire.Loss) {
	for e := r.order.Front(); e != nil; e = e.Next() {
		most = max(most, e.Value.(*client).asked.loss(now, passes))
	}
	return most
}

// leave forgets a client; false means that it was not known, as after a
// repeated LEAVE.
func (r *roster) leave(addr netip.Addr, id uint32) bool {
	if r.find(addr, id) == nil {
		return false
	}
	r.drop(r.byAddr[addr])
	return true
}

func (r *roster) drop(e *list.Element) {
	delete(r.byAddr, e.Value.(*client).addr)
	r.order.Remove(e)
}
