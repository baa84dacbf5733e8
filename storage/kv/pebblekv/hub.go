package pebblekv

import (
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"hyzer/storage/kv"
	"hyzer/storage/kv/pebblekv/record"
)

// Bounds of what the hub remembers.
const (
	recentBytesMax = 4 << 20 // changes kept in memory for watchers close behind
	watchQueueMax  = 256     // revisions queued per watcher before it reads history
)

// change is one applied transaction on its way to watchers.
type change struct {
	rev      kv.Revision
	total    uint64
	events   []kv.Event
	deadline int64 // earliest set, or noDeadline
	size     uint64
	batch    *pebble.Batch
	snap     *pebble.Snapshot // exactly the state after rev; nil once published
}

// hub orders applied changes, publishes them when they are durable, and knows
// which watcher cares for which.
type hub struct {
	mu       sync.Mutex
	unsynced []*change // applied and not known durable, ascending
	recent   recent
	index    prefixIndex
	waiters  []durableWaiter
}

// durableWaiter is told when rev is durable.
type durableWaiter struct {
	rev  kv.Revision
	done chan struct{}
}

// takeDurable removes the unsynced changes up to rev.
func (h *hub) takeDurable(rev kv.Revision) []*change {
	n := 0
	for n < len(h.unsynced) && h.unsynced[n].rev <= rev {
		n++
	}
	taken := slices.Clone(h.unsynced[:n])
	h.unsynced = slices.Delete(h.unsynced, 0, n)
	return taken
}

// dispatch files c and tells the watchers of its keys. View sees c already.
func (h *hub) dispatch(c *change) {
	h.recent.add(c)
	for i := range c.events {
		h.index.match(c.events[i].Key, func(w *watcher) { w.notify(c.rev) })
	}
	h.waiters = slices.DeleteFunc(h.waiters, func(w durableWaiter) bool {
		if w.rev > c.rev {
			return false
		}
		close(w.done)
		return true
	})
}

// recent holds the newest durable changes, of successive revisions.
type recent struct {
	changes []*change // the first dropped ones are nil
	dropped int
	bytes   uint64
}

func (r *recent) add(c *change) {
	r.changes = append(r.changes, c)
	r.bytes += c.size
	for r.bytes > recentBytesMax && r.dropped < len(r.changes)-1 {
		r.bytes -= r.changes[r.dropped].size
		r.changes[r.dropped] = nil
		r.dropped++
	}
	if r.dropped > len(r.changes)/2 { // moves each change once on average
		r.changes = slices.Delete(r.changes, 0, r.dropped)
		r.dropped = 0
	}
}

// from returns up to n changes beginning with rev, or none if rev is not held.
func (r *recent) from(rev kv.Revision, n int) []*change {
	held := r.changes[r.dropped:]
	if len(held) == 0 || rev < held[0].rev {
		return nil
	}
	start := min(uint64(rev-held[0].rev), uint64(len(held)))
	return slices.Clone(held[start:min(int(start)+n, len(held))])
}

// prefixIndex finds the watchers of a key by one look-up for each distinct
// length of prefix, whatever the number of watchers.
type prefixIndex struct {
	lengths  []int // of watched prefixes, ascending
	counts   map[int]int
	watchers map[string][]*watcher
}

func newPrefixIndex() prefixIndex {
	return prefixIndex{counts: make(map[int]int), watchers: make(map[string][]*watcher)}
}

func (x *prefixIndex) add(w *watcher) {
	n := len(w.prefix)
	if x.counts[n]++; x.counts[n] == 1 {
		at, _ := slices.BinarySearch(x.lengths, n)
		x.lengths = slices.Insert(x.lengths, at, n)
	}
	x.watchers[string(w.prefix)] = append(x.watchers[string(w.prefix)], w)
}

func (x *prefixIndex) remove(w *watcher) {
	list := x.watchers[string(w.prefix)]
	at := slices.Index(list, w)
	if at < 0 {
		return
	}
	last := len(list) - 1
	list[at], list[last] = list[last], nil
	x.watchers[string(w.prefix)] = list[:last]
	if last == 0 {
		delete(x.watchers, string(w.prefix))
	}
	n := len(w.prefix)
	if x.counts[n]--; x.counts[n] == 0 {
		delete(x.counts, n)
		at, _ := slices.BinarySearch(x.lengths, n)
		x.lengths = slices.Delete(x.lengths, at, at+1)
	}
}

func (x *prefixIndex) match(key []byte, fn func(w *watcher)) {
	for _, n := range x.lengths {
		if n > len(key) {
			return
		}
		for _, w := range x.watchers[string(key[:n])] {
			fn(w)
		}
	}
}

func newChange(t *tx, rev kv.Revision, total uint64) (*change, error) {
	events, err := t.events(rev)
	if err != nil {
		return nil, err
	}
	size := record.HistorySize(events)
	return &change{rev: rev, total: total + size, events: events, deadline: t.firstDeadline(), size: size, batch: t.batch}, nil
}
