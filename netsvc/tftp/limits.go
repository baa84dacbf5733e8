package tftp

import (
	"hash/maphash"
	"net/netip"
	"time"
)

// Bounds on what strangers can make the server hold or do. Config may set
// those that depend on the site.
const (
	transfersMaxDefault          = 4096
	transfersPerClientMaxDefault = 256  // a host of virtual nodes has one address
	requestsPerSecondDefault     = 20e3 // all clients
	requestsPerClientDefault     = 1000 // per second and address
	windowMaxDefault             = 64   // blocks; 94 KB at 1468
	windowMaxLimit               = 1 << 14
	openingMax                   = 64 // Files.Open calls at one time
	openTimeout                  = 10 * time.Second
	rateSlots                    = 4096
	dropLinesPerSecond           = 1 // log lines about requests over a limit
	shardsMax                    = 4
)

// rateLimiter holds one token bucket for all requests and a fixed table of
// buckets by address. Addresses that share a slot share its rate, so that a
// flood of forged sources costs no memory. A bucket holds one second's worth.
type rateLimiter struct {
	seed      maphash.Seed
	all       bucket
	perClient [rateSlots]bucket
	allRate   float64
	rate      float64
}

func newRateLimiter(all, perClient float64, now time.Time) *rateLimiter {
	l := &rateLimiter{seed: maphash.MakeSeed(), allRate: all, rate: perClient}
	l.all = bucket{tokens: all, at: now}
	for i := range l.perClient {
		l.perClient[i] = bucket{tokens: perClient, at: now}
	}
	return l
}

// allow takes one request of client out of both buckets, or refuses it.
func (l *rateLimiter) allow(now time.Time, client netip.Addr) bool {
	slot := &l.perClient[maphash.Comparable(l.seed, client)%rateSlots]
	return slot.take(now, l.rate) && l.all.take(now, l.allRate)
}

type bucket struct {
	tokens float64
	at     time.Time
}

func (b *bucket) take(now time.Time, perSecond float64) bool {
	b.tokens = min(perSecond, b.tokens+now.Sub(b.at).Seconds()*perSecond)
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// slots counts transfers, in all and by client address. It holds no more
// entries than transfers.
type slots struct {
	max, perClientMax int
	used              int
	byClient          map[netip.Addr]int
}

func newSlots(max, perClientMax int) *slots {
	return &slots{max: max, perClientMax: perClientMax, byClient: map[netip.Addr]int{}}
}

func (s *slots) take(client netip.Addr) bool {
	if s.used >= s.max || s.byClient[client] >= s.perClientMax {
		return false
	}
	s.used++
	s.byClient[client]++
	return true
}

func (s *slots) release(client netip.Addr) {
	s.used--
	if s.byClient[client]--; s.byClient[client] == 0 {
		delete(s.byClient, client)
	}
}
