package dhcp

import (
	"math/bits"
	"net/netip"
)

// pool is the dynamic range of one subnet, two bits for each address.
type pool struct {
	first, size    uint32
	used           []uint64 // offered, leased or in quarantine
	known          []uint64 // the table has a binding, if only as a memory
	declined       uint32
	hand           uint32  // where the search for old offers goes on
	exhaustedUntil Instant // no search before that
}

func newPool(s *Subnet) pool {
	if !s.HasPool() {
		return pool{}
	}
	size := number(s.PoolLast) - number(s.PoolFirst) + 1
	words := (size + 63) / 64
	return pool{first: number(s.PoolFirst), size: size, used: make([]uint64, words), known: make([]uint64, words)}
}

func setBit(set []uint64, bit uint32, on bool) {
	if on {
		set[bit/64] |= 1 << (bit % 64)
	} else {
		set[bit/64] &^= 1 << (bit % 64)
	}
}

// know notes in the pool whether the table has a binding for the address.
func (t *Table) know(b *binding, on bool) {
	if p := t.poolOf(b.ip); p != nil {
		setBit(p.known, b.ip-p.first, on)
	}
}

// mark notes in the pool that an address gains (1) or loses (-1) a state.
func (t *Table) mark(b *binding, state bindingState, change int) {
	p := t.poolOf(b.ip)
	if p == nil || state == bindingFree {
		return
	}
	setBit(p.used, b.ip-p.first, change > 0)
	if change < 0 {
		p.exhaustedUntil = 0
	}
	if state == bindingDeclined {
		p.declined = uint32(int(p.declined) + change)
	}
}

func (t *Table) poolOf(ip uint32) *pool {
	s := t.subnets.Find(addrOf(ip))
	if s == nil || !s.inPool(addrOf(ip)) {
		return nil
	}
	return &t.pools[s.index]
}

// available reports whether a pool address may go to the client: not reserved,
// and held by nobody else.
func (t *Table) available(ip netip.Addr, s *Subnet, client HardwareAddr, dir Directory, now Instant) bool {
	if !s.inPool(ip) {
		return false
	}
	if _, reserved := dir.ByAddress(ip); reserved {
		return false
	}
	b := t.find(ip)
	return !b.live(now) || b.heldBy(client, now)
}

// freeIn chooses a pool address for a client that has none. The search begins
// at a place that is always the same for a client, takes addresses nobody had
// before those somebody may come back for, and takes over an old offer last.
func (t *Table) freeIn(s *Subnet, client HardwareAddr, dir Directory, now Instant) (netip.Addr, bool) {
	p := &t.pools[s.index]
	if p.size == 0 || now < p.exhaustedUntil {
		return netip.Addr{}, false
	}
	start := client.spread() % p.size
	for _, set := range [...][]uint64{p.known, p.used} {
		if ip, ok := p.search(set, start, dir); ok {
			return ip, true
		}
	}
	if ip, ok := t.oldOffer(p, now); ok {
		return ip, true
	}
	p.exhaustedUntil = now + poolRetryAfter
	return netip.Addr{}, false
}

// search finds an address whose bit in set is clear and that is not reserved,
// from start on and around.
func (p *pool) search(set []uint64, start uint32, dir Directory) (netip.Addr, bool) {
	for _, part := range [...][2]uint32{{start, p.size}, {0, start}} {
		for bit := nextClear(set, part[0], part[1]); bit < part[1]; bit = nextClear(set, bit+1, part[1]) {
			ip := addrOf(p.first + bit)
			if _, reserved := dir.ByAddress(ip); !reserved {
				return ip, true
			}
		}
	}
	return netip.Addr{}, false
}

// nextClear returns the first clear bit in [from, end), or end.
func nextClear(set []uint64, from, end uint32) uint32 {
	for from < end {
		word := ^set[from/64] >> (from % 64)
		if word != 0 {
			return min(from+uint32(bits.TrailingZeros64(word)), end)
		}
		from = (from/64 + 1) * 64
	}
	return end
}

// oldOffer finds an offer that was not taken up in time. The hand goes round
// the pool as in a clock algorithm, a bounded way each time.
func (t *Table) oldOffer(p *pool, now Instant) (netip.Addr, bool) {
	for range min(p.size, stealProbesMax) {
		ip := p.first + p.hand
		p.hand = (p.hand + 1) % p.size
		b := t.byIP[ip]
		if b != nil && b.state == bindingOffered && now-b.since >= offerStealAfter {
			return addrOf(ip), true
		}
	}
	return netip.Addr{}, false
}
