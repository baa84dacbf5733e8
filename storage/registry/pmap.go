package registry

import (
	"hash/maphash"
	"math/bits"
)

// pmap is a persistent hash map: With and Without return a new map that shares
// all but one path with the old one, so a snapshot of a large site costs a few
// small nodes per change. The zero pmap is empty. It is a hash trie with 5
// bits a level; keys that share a whole hash end in a short list.
type pmap[K comparable, V any] struct {
	root *pnode[K, V]
	size int
}

const (
	pmapBits  = 5
	pmapMask  = 1<<pmapBits - 1
	pmapDepth = 60 // bits of hash used; below it, a list
)

type pnode[K comparable, V any] struct {
	present uint32 // which of 32 slots exist
	slots   []pslot[K, V]
}

// pslot is a subtree or, when child is nil, one entry.
type pslot[K comparable, V any] struct {
	child *pnode[K, V]
	key   K
	value V
}

var pmapSeed = maphash.MakeSeed()

func (m pmap[K, V]) Len() int { return m.size }

func (m pmap[K, V]) Get(key K) (V, bool) {
	hash := maphash.Comparable(pmapSeed, key)
	node := m.root
	for shift := 0; node != nil && shift < pmapDepth; shift += pmapBits {
		slot := node.find(hash >> shift)
		if slot == nil {
			break
		}
		if slot.child == nil {
			if slot.key == key {
				return slot.value, true
			}
			break
		}
		node = slot.child
		if shift+pmapBits >= pmapDepth {
			return node.listGet(key)
		}
	}
	var none V
	return none, false
}

// With returns the map with key set to value.
func (m pmap[K, V]) With(key K, value V) pmap[K, V] {
	root, added := m.root.with(maphash.Comparable(pmapSeed, key), 0, pslot[K, V]{key: key, value: value})
	if added {
		m.size++
	}
	m.root = root
	return m
}

// Without returns the map without key.
func (m pmap[K, V]) Without(key K) pmap[K, V] {
	root, removed := m.root.without(maphash.Comparable(pmapSeed, key), 0, key)
	if removed {
		m.size--
		m.root = root
	}
	return m
}

// All calls fn for each entry, in no order, until it returns false.
func (m pmap[K, V]) All(fn func(K, V) bool) { m.root.all(fn) }

func (n *pnode[K, V]) all(fn func(K, V) bool) bool {
	if n == nil {
		return true
	}
	for i := range n.slots {
		slot := &n.slots[i]
		if slot.child != nil {
			if !slot.child.all(fn) {
				return false
			}
		} else if !fn(slot.key, slot.value) {
			return false
		}
	}
	return true
}

func (n *pnode[K, V]) index(hash uint64) (bit uint32, at int) {
	bit = 1 << (hash & pmapMask)
	return bit, bits.OnesCount32(n.present & (bit - 1))
}

func (n *pnode[K, V]) find(hash uint64) *pslot[K, V] {
	bit, at := n.index(hash)
	if n.present&bit == 0 {
		return nil
	}
	return &n.slots[at]
}

func (n *pnode[K, V]) listGet(key K) (V, bool) {
	for i := range n.slots {
		if n.slots[i].key == key {
			return n.slots[i].value, true
		}
	}
	var none V
	return none, false
}

func (n *pnode[K, V]) with(hash uint64, shift int, entry pslot[K, V]) (*pnode[K, V], bool) {
	if shift >= pmapDepth {
		return n.listWith(entry)
	}
	if n == nil {
		n = &pnode[K, V]{}
	}
	bit, at := n.index(hash >> shift)
	if n.present&bit == 0 {
		slots := make([]pslot[K, V], len(n.slots)+1)
		copy(slots, n.slots[:at])
		slots[at] = entry
		copy(slots[at+1:], n.slots[at:])
		return &pnode[K, V]{n.present | bit, slots}, true
	}
	old := n.slots[at]
	added := true
	switch {
	case old.child != nil:
		entry.child, added = old.child.with(hash, shift+pmapBits, entry)
	case old.key == entry.key:
		added = false
	default:
		sub, _ := (*pnode[K, V])(nil).with(maphash.Comparable(pmapSeed, old.key), shift+pmapBits, old)
		entry.child, _ = sub.with(hash, shift+pmapBits, entry)
	}
	return n.replace(at, entry), added
}

func (n *pnode[K, V]) replace(at int, slot pslot[K, V]) *pnode[K, V] {
	if slot.child != nil {
		slot = pslot[K, V]{child: slot.child}
	}
	slots := append([]pslot[K, V](nil), n.slots...)
	slots[at] = slot
	return &pnode[K, V]{n.present, slots}
}

func (n *pnode[K, V]) listWith(entry pslot[K, V]) (*pnode[K, V], bool) {
	if n == nil {
		return &pnode[K, V]{slots: []pslot[K, V]{entry}}, true
	}
	for i := range n.slots {
		if n.slots[i].key == entry.key {
			return n.replace(i, entry), false
		}
	}
	return &pnode[K, V]{slots: append(n.slots[:len(n.slots):len(n.slots)], entry)}, true
}

func (n *pnode[K, V]) without(hash uint64, shift int, key K) (*pnode[K, V], bool) {
	if n == nil {
		return nil, false
	}
	at, bit := -1, uint32(0)
	if shift >= pmapDepth {
		for i := range n.slots {
			if n.slots[i].key == key {
				at = i
			}
		}
	} else {
		bit, at = n.index(hash >> shift)
		if n.present&bit == 0 {
			at = -1
		}
	}
	if at < 0 {
		return n, false
	}
	if old := n.slots[at]; old.child != nil {
		child, removed := old.child.without(hash, shift+pmapBits, key)
		if !removed {
			return n, false
		}
		if child != nil {
			return n.replace(at, pslot[K, V]{child: child}), true
		}
	} else if old.key != key {
		return n, false
	}
	return n.drop(bit, at), true
}

// drop removes slot at; an empty node is nil.
func (n *pnode[K, V]) drop(bit uint32, at int) *pnode[K, V] {
	if len(n.slots) == 1 {
		return nil
	}
	slots := make([]pslot[K, V], 0, len(n.slots)-1)
	slots = append(append(slots, n.slots[:at]...), n.slots[at+1:]...)
	return &pnode[K, V]{n.present &^ bit, slots}
}
