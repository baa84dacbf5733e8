package server

import (
	"encoding/binary"
	"math"
	"net/netip"
	"time"

	"hyzer/multicast/fec"
	"hyzer/multicast/wire"
)

// Limits of mode 2.
const (
	// parityChunksMax bounds the chunks whose parity blocks are counted, which
	// are those that any client ever sent a NAK for: 64 GiB. A NAK for one more
	// is dropped; its sender will ask for blocks by number.
	parityChunksMax = 1 << 16
	// roundsMax bounds the rounds that wait.
	roundsMax = 4096
	// A NAK that does not know of parity blocks sent within twice the longest
	// round trip crossed them on their way; one that still does not know of
	// them later comes from a client that lost them.
	flightTripsMax = 2
	flightMin      = 20 * time.Millisecond
	flightMax      = 200 * time.Millisecond
	roundTripMax   = 10 * time.Second // what is longer is a forgery
	// ticketMax is how old a packet with a tag may be, and aheadMax how far
	// its clock may run ahead of ours: later it is one that was sent again.
	ticketMax = 2 * time.Second
	aheadMax  = 100 * time.Millisecond
	// tagsMax is how many tags are remembered, 128 KiB.
	tagsMax = 1 << 14
)

// Mode2 is what a session needs to speak mode 2.
type Mode2 struct {
	wire.Version
	// ParityPort is where PARITY goes and NAK comes from.
	ParityPort uint16
	// Key tells clients from strangers; nil: it is not told.
	Key *wire.Key
	// ManifestBytes is the length of the manifest; 0: there is none.
	ManifestBytes int
}

// repair is what is known of the parity blocks of a chunk. Blocks are counted
// from the first one of the session on.
type repair struct {
	chunk     uint32
	sent      uint32
	target    uint32 // sent at the end of the round
	lastAt    time.Time
	notBefore time.Time
	queued    bool
}

// mode2 is the state of mode 2. It sleeps, and the session sends what it always
// sent, until a client offers to speak it.
type mode2 struct {
	on      bool
	control *wire.ControlKey // nil: no key
	seen    []uint64         // starts of tags that came lately, each in the place that it names
	wants   wants
	seq     uint32
	repairs map[uint32]*repair
	rounds  []*repair // those queued, oldest first
	yield   bool      // the last range was parity: blocks are next
	trip    time.Duration
	loss    [2]wire.Loss // worst reported, in this period and the one before
	periods time.Time    // when this one ends
}

// offered returns what a client offers, the zero Offer if it does not speak
// mode 2, and whether it has the key and said so just now. In a session with a
// key only those who have it turn mode 2 on.
func (s *Session) offered(now time.Time, datagram []byte) (o wire.Offer, trusted bool) {
	if s.cfg.Mode2 == nil {
		return o, false
	}
	o, ok := wire.ParseOffer(datagram)
	if !ok || !o.Has(wire.CodeCauchy) {
		return wire.Offer{}, false
	}
	if s.m2.control != nil && !s.m2.control.Genuine(datagram) {
		return wire.Offer{}, false
	}
	s.m2.on = true
	s.pace.begin(s.startedAt)
	return o, s.m2.control != nil && (o.ClockUS == 0 || s.fresh(now, o.ClockUS))
}

// firstTime says whether a packet with a tag has not come before, as far as is
// remembered. Clients say nothing twice but JOIN2, for they name the time.
func (s *Session) firstTime(datagram []byte) bool {
	if s.m2.control == nil {
		return true
	}
	tag := binary.LittleEndian.Uint64(datagram[len(datagram)-wire.TagBytes:])
	slot := &s.m2.seen[tag%tagsMax]
	known := *slot == tag
	*slot = tag
	return !known
}

// fresh says whether a packet that names our clock so was sent just now.
func (s *Session) fresh(now time.Time, clockUS uint32) bool {
	age := time.Duration(int32(s.clockUS(now)-clockUS)) * time.Microsecond
	return age <= ticketMax && age >= -aheadMax
}

// genuine says whether a packet to the port of mode 2 may count.
func (s *Session) genuine(now time.Time, datagram []byte, clockUS uint32) bool {
	return s.m2.control == nil || s.m2.control.Genuine(datagram) && s.fresh(now, clockUS) && s.firstTime(datagram)
}

func (s *Session) grant(now time.Time, nonce uint32) wire.Grant {
	m := s.cfg.Mode2
	return wire.Grant{
		Version: m.Version, ParityPort: m.ParityPort, Code: wire.CodeCauchy, ParityBlocks: fec.ParityBlocks,
		Nonce: nonce, ClockUS: s.clockUS(now), ManifestBytes: uint32(m.ManifestBytes), Keyed: s.m2.control != nil,
	}
}

// ReceiveParity takes a datagram that came to the port of mode 2. It returns
// true if Next may have something to do before the time it last said.
func (s *Session) ReceiveParity(now time.Time, from netip.AddrPort, datagram []byte) bool {
	s.stats.DatagramsIn++
	h, body, err := wire.SplitMode2(datagram)
	if !s.m2.on || err != nil || from.Port() != s.cfg.Mode2.ParityPort || !h.Tells(from.Addr()) {
		s.stats.DatagramsRefused++
		return false
	}
	// What is longer than it says has its tag elsewhere.
	datagram = datagram[:wire.HeaderBytes+len(body)]
	switch h.Subtype {
	case wire.SubNak:
		return s.nak(now, body, datagram)
	case wire.SubWant:
		return s.want(now, body, datagram)
	case wire.SubFlow:
		return s.flowReport(now, from.Addr(), body, datagram)
	}
	return false // our own, looped back by a broadcast
}

func (s *Session) nak(now time.Time, body, datagram []byte) bool {
	m, err := wire.ParseNak(body)
	if err != nil || m.Version != s.cfg.Mode2.Version || !s.geo.HasChunk(m.Chunk) || m.Need > fec.ParityBlocks ||
		!s.genuine(now, datagram, m.EchoUS+m.HeldUS) {
		s.stats.DatagramsRefused++
		return false
	}
	s.heard(now)
	s.stats.Naks++
	s.heardLoss(now, &m)
	return s.wanted(now, &m)
}

// wanted makes sure that as many parity blocks will be sent as m asks for.
// Rounds are counted so that a NAK that repeats another, or crosses what
// answers it, costs nothing.
func (s *Session) wanted(now time.Time, m *wire.Nak) bool {
	r := s.m2.repairs[m.Chunk]
	if r == nil {
		if len(s.m2.repairs) >= parityChunksMax {
			s.stats.RequestsDropped++
			return false
		}
		if s.m2.repairs == nil {
			s.m2.repairs = make(map[uint32]*repair)
		}
		r = &repair{chunk: m.Chunk}
		s.m2.repairs[m.Chunk] = r
	}
	base := min(m.Base, max(r.sent, r.target))
	if !r.queued && now.Sub(r.lastAt) > s.flight() {
		base = r.sent
	}
	target := min(base+uint32(m.Need)+s.slack(r, m.Need), r.sent+fec.ParityBlocks)
	if target <= max(r.sent, r.target) {
		s.stats.NaksMerged++
		return false
	}
	if !r.queued && len(s.m2.rounds) >= roundsMax {
		s.stats.RequestsDropped++
		return false
	}
	r.target = target
	if r.queued {
		s.stats.NaksMerged++
		return false
	}
	r.queued, r.notBefore = true, now
	if s.clients.len() > 1 && s.cfg.RepairHold > 0 {
		r.notBefore = now.Add(s.cfg.RepairHold)
	}
	s.m2.rounds = append(s.m2.rounds, r)
	return true
}

// slack is what a round is longer than was asked for, since parity blocks will
// be lost, too: when the chunk has had a round already, and one block more if
// nothing else is to be sent, as at the end of an image. One more round would
// take longer than a few more blocks.
func (s *Session) slack(r *repair, need uint16) uint32 {
	loss, idle := max(s.m2.loss[0], s.m2.loss[1]), !s.cur.active && s.queue.len == 0
	more := uint32(math.Ceil(float64(need) * loss.Share()))
	switch {
	case idle && loss > 0:
		return more + 1
	case r.sent > 0 && loss > lossTolerated:
		return more
	}
	return 0
}

func (s *Session) flight() time.Duration {
	return max(flightMin, min(flightTripsMax*s.m2.trip, flightMax))
}

// heardLoss takes the loss and the round trip that a client measured.
func (s *Session) heardLoss(now time.Time, m *wire.Nak) {
	s.lossPeriod(now)
	s.m2.loss[0] = max(s.m2.loss[0], m.Loss)
	s.pace.lost(m.Loss)
	if m.EchoUS == 0 {
		return
	}
	trip := time.Duration(s.clockUS(now)-m.EchoUS-m.HeldUS) * time.Microsecond
	if trip < roundTripMax {
		s.m2.trip = max(trip, s.m2.trip-s.m2.trip/8)
	}
}

// lossPeriod forgets what was reported two periods ago.
func (s *Session) lossPeriod(now time.Time) {
	if now.Before(s.m2.periods) {
		return
	}
	if now.Sub(s.m2.periods) > dynamicPeriod {
		s.m2.loss[0] = 0
	}
	s.m2.loss = [2]wire.Loss{0, s.m2.loss[0]}
	s.m2.periods = now.Add(dynamicPeriod)
}

// clockUS is the clock of the trailers. It is never 0.
func (s *Session) clockUS(now time.Time) uint32 {
	return max(uint32(now.Sub(s.startedAt).Microseconds()), 1)
}

// round returns the first round that is not held back and can be sent, or the time when there
// will be one.
func (s *Session) round(now time.Time) (r *repair, soonest time.Time) {
	for _, r := range s.m2.rounds {
		switch {
		case r.notBefore.After(now):
			if soonest.IsZero() || r.notBefore.Before(soonest) {
				soonest = r.notBefore
			}
		case s.can(s.roundNeed(r)):
			return r, time.Time{}
		}
	}
	return nil, soonest
}

// advanceParity sends up to n parity blocks of the round.
func (s *Session) advanceParity(now time.Time, r *repair, n int) Action {
	n = min(n, BlocksPerActionMax, int(r.target-r.sent))
	a := Action{Kind: ActParity, Chunk: int(r.chunk), First: int(r.sent), Count: n}
	s.pace.spend(n)
	r.sent += uint32(n)
	r.lastAt = now
	s.m2.yield, s.m2.wants.latest = true, false
	s.inRow, s.activeAt = 0, now
	s.stats.DatagramsOut += uint64(n)
	s.stats.ParitySent += uint64(n)
	s.trail(now, &a, int(r.target-r.sent))
	if r.sent == r.target {
		r.queued = false
		s.forget(r)
	}
	return a
}

func (s *Session) forget(r *repair) {
	for i, q := range s.m2.rounds {
		if q == r {
			s.m2.rounds = append(s.m2.rounds[:i], s.m2.rounds[i+1:]...)
			return
		}
	}
}

// trail gives the action the trailer of its first datagram; left are still to
// come after its last.
func (s *Session) trail(now time.Time, a *Action, left int) {
	if !s.m2.on {
		return
	}
	s.lossPeriod(now)
	a.Mode2 = true
	a.Trailer = wire.Trailer{
		Version: s.cfg.Mode2.Version, Seq: s.m2.seq, SentUS: s.clockUS(now),
		Left: uint16(left + a.Count - 1), Loss: max(s.m2.loss[0], s.m2.loss[1]),
	}
	s.m2.seq += uint32(a.Count)
}
