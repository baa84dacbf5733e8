package pebblekv

import (
	"hash/maphash"

	"hyzer/storage/kv/pebblekv/record"
)

// expiringSet tells of most keys that they have no expiry entry, so that a Put
// need not read what it replaces. It counts expiring keys by hash: no memory
// per key, and a wrong "maybe" costs one read. Used under the turn.
type expiringSet struct {
	seed   maphash.Seed
	counts [expiringBuckets]uint32
}

const expiringBuckets = 1 << 16

func (x *expiringSet) at(key []byte) *uint32 {
	return &x.counts[maphash.Bytes(x.seed, key)%expiringBuckets]
}

func (x *expiringSet) maybe(key []byte) bool { return *x.at(key) > 0 }

// load counts the keys of the expiry index.
func (x *expiringSet) load(src source) error {
	x.seed = maphash.MakeSeed()
	return iterate(src, []byte{record.SpaceExpiry}, []byte{record.SpaceExpiry + 1}, false, func(k, _ []byte) error {
		_, key, err := record.DecodeExpiryKey(k)
		if err == nil {
			*x.at(key)++
		}
		return err
	})
}

// applied takes over what a transaction did.
func (x *expiringSet) applied(t *tx) {
	for key, touch := range t.touched {
		switch is := !touch.deleted && touch.state.Expiring; {
		case is && !touch.expiringBefore:
			*x.at([]byte(key))++
		case !is && touch.expiringBefore:
			*x.at([]byte(key))--
		}
	}
}
