package server

import (
	"net/netip"
	"slices"
	"time"

	"hyzer/multicast/wire"
)

// Receive takes a datagram. It returns true if Next may have something to do
// before the time it last said.
func (s *Session) Receive(now time.Time, from netip.AddrPort, datagram []byte) bool {
	s.stats.DatagramsIn++
	h, body, err := wire.Split(datagram)
	if err != nil {
		s.stats.DatagramsRefused++
		return false
	}
	sender, ok := s.sender(h, from)
	if !ok {
		s.stats.DatagramsRefused++
		return false
	}
	if h.Type == wire.Reply {
		if h.Subtype == wire.SubProgress {
			s.report(now, sender, body)
		}
		// Else our own reply, looped back by a broadcast: answering it would
		// make a storm.
		return false
	}
	switch h.Subtype {
	case wire.SubJoin, wire.SubJoin2:
		return s.join(now, sender, h.Subtype, body, datagram)
	case wire.SubRequest, wire.SubPRequest:
		o, trusted := s.offered(now, datagram)
		return s.request(now, sender, h.Subtype, body, o.ClockUS, trusted && s.firstTime(datagram))
	case wire.SubLeave, wire.SubLeave2:
		return s.leave(now, sender, h.Subtype, body)
	}
	return false // our own BLOCK or PROGRESS
}

// sender applies the source rules (A1.1, A1.2): the port is the session's and
// the header tells the truth, unless the client sends from the group address.
func (s *Session) sender(h wire.Header, from netip.AddrPort) (netip.Addr, bool) {
	if from.Port() != s.cfg.Address.Port() {
		return netip.Addr{}, false
	}
	if h.Tells(from.Addr()) {
		return from.Addr(), true
	}
	return h.Source(), from.Addr() == s.cfg.Address.Addr() && from.Addr().Is4() && from.Addr().IsMulticast()
}

// join answers at the head: the reply leaves before the next range.
func (s *Session) join(now time.Time, sender netip.Addr, sub wire.Subtype, body, datagram []byte) bool {
	r := joinReply{v2: sub == wire.SubJoin2}
	if sub == wire.SubJoin2 {
		m, err := wire.ParseJoin2(body)
		if err != nil {
			s.stats.DatagramsRefused++
			return false
		}
		var o wire.Offer
		o, r.trusted = s.offered(now, datagram)
		r.id, r.nonce, r.grant = m.ClientID, o.Nonce, o.Has(wire.CodeCauchy)
	} else {
		m, err := wire.ParseJoin(body)
		if err != nil || !s.geo.FitsJoin() { // no answer rather than a wrong size
			s.stats.DatagramsRefused++
			return false
		}
		r.id = m.Value
	}
	if !s.queueReply(r) {
		return false
	}
	s.activeAt, s.lastLeftAt, s.met = now, time.Time{}, true
	if s.firstAt.IsZero() {
		s.firstAt = now
	}
	if s.clients.join(sender, r.id, now) {
		s.stats.Joins++
		if s.m2.control == nil || r.trusted {
			s.gather.joined(now)
		}
		s.event(Event{Kind: ClientJoined, Client: sender, ID: r.id, Clients: s.clients.len(), V2: r.v2})
	}
	return true
}

// queueReply keeps one answer per client. One answer serves all V1 clients,
// unless each is to be asked for reports after it. Those who have the key are
// answered first, and never for want of room not.
func (s *Session) queueReply(r joinReply) bool {
	shared := !r.v2 && s.cfg.HeartbeatSeconds == 0
	trusted := 0
	for i, q := range s.replies {
		if q.id == r.id && q.v2 == r.v2 && (r.trusted || !q.trusted) {
			s.replies[i] = r
			return true
		}
		if shared && !q.v2 {
			return true
		}
		if q.trusted {
			trusted = i + 1
		}
	}
	if len(s.replies) >= joinRepliesMax {
		s.stats.RequestsDropped++
		if !r.trusted || trusted == len(s.replies) {
			return false
		}
		s.replies = s.replies[:len(s.replies)-1]
	}
	if !r.trusted {
		trusted = len(s.replies)
	}
	s.replies = slices.Insert(s.replies, trusted, r)
	return true
}

func (s *Session) leave(now time.Time, sender netip.Addr, sub wire.Subtype, body []byte) bool {
	var m wire.Leave2
	var err error
	if sub == wire.SubLeave2 {
		m, err = wire.ParseLeave2(body)
	} else {
		m.Leave, err = wire.ParseLeave(body)
	}
	if err != nil {
		s.stats.DatagramsRefused++
		return false
	}
	if !s.clients.leave(sender, m.ClientID) {
		return false // not known, or its LEAVE repeated
	}
	s.stats.Leaves++
	e := Event{Kind: ClientLeft, Client: sender, ID: m.ClientID, Clients: s.clients.len(), ElapsedS: m.ElapsedS}
	if sub == wire.SubLeave2 {
		e.Stats = &m.Stats
	}
	s.event(e)
	if s.clients.len() == 0 {
		s.lastLeftAt = now
	}
	return true
}

func (s *Session) report(now time.Time, sender netip.Addr, body []byte) {
	var m wire.Progress
	if wire.ParseProgress(&m, wire.Reply, body) != nil || m.When == 0 {
		s.stats.DatagramsRefused++
		return
	}
	c := s.clients.find(sender, m.ClientID)
	if c == nil {
		return
	}
	s.heard(now)
	s.stats.Reports++
	if gap := m.Seq - c.seq; c.reported && gap > 1 && gap < 1<<15 {
		s.stats.ReportsMissed += uint64(gap - 1)
	}
	c.seq, c.reported = m.Seq, true
	about := netip.AddrFrom4(m.Who)
	if about.IsUnspecified() {
		about = sender
	}
	s.event(Event{Kind: ClientReport, Client: about, ID: m.ClientID, Clients: s.clients.len(), Report: &m})
}

// request reads a REQUEST or PREQUEST into s.partial and queues it. clockUS is
// our clock as the client knows it; 0: it does not say.
func (s *Session) request(now time.Time, sender netip.Addr, sub wire.Subtype, body []byte, clockUS uint32, trusted bool) bool {
	p := &s.partial
	if sub == wire.SubPRequest {
		if wire.ParsePartialRequest(p, body) != nil {
			s.stats.DatagramsRefused++
			return false
		}
	} else {
		r, err := wire.ParseRequest(body)
		if err != nil {
			s.stats.DatagramsRefused++
			return false
		}
		p.Chunk, p.Retries, p.Wanted = r.Chunk, 0, wire.BlockMap{}
		p.Wanted.AddRange(int(r.Block), int(r.Count))
	}
	if !s.geo.HasChunk(p.Chunk) {
		s.stats.DatagramsRefused++
		return false
	}
	s.geo.Clip(int(p.Chunk), &p.Wanted)
	asked := p.Wanted.Count()
	if asked == 0 {
		return false
	}
	s.heard(now)
	s.stats.Requests++
	if sub == wire.SubPRequest {
		s.stats.PartialRequests++
		s.stats.PartialBlocks += uint64(asked)
	}
	s.heedLoss(now, sender, asked, trusted)
	return s.enqueue(now, asked, clockUS, trusted)
}

// enqueue applies the merge rules (A5) to s.partial, which asks for that many
// blocks.
func (s *Session) enqueue(now time.Time, asked int, clockUS uint32, trusted bool) bool {
	p := &s.partial
	all := s.geo.ChunkBlocks(int(p.Chunk))
	if p.Retries != 0 {
		s.stats.ReRequests++
	}
	if s.cur.active && s.cur.chunk == p.Chunk {
		if s.cur.whole && asked == all {
			s.stats.DuplicateRequests++
			return false
		}
		s.dropComing(now)
		if p.Wanted.Count() == 0 {
			s.stats.RequestsMerged++
			return false
		}
	}
	if clockUS == 0 && s.m2.control == nil {
		s.heedOld(now, asked, all)
	}
	if s.dropPassed(now, clockUS, all); p.Wanted.Count() == 0 {
		s.stats.DuplicateRequests++
		return false
	}
	if e := s.queue.find(p.Chunk); e != nil && !s.inService(e) {
		s.queue.merge(e, &p.Wanted, all)
		e.trusted = e.trusted || trusted
		s.stats.RequestsMerged++
		return false
	}
	hold := now
	if asked < all && s.clients.len() > 1 && s.cfg.RepairHold > 0 {
		hold = now.Add(s.cfg.RepairHold)
	}
	if s.queue.len >= queueElementsMax {
		s.stats.RequestsDropped++
		if !trusted || !s.queue.evict(s.cur.element) {
			return false
		}
	}
	s.queue.push(p.Chunk, &p.Wanted, all, hold).trusted = trusted
	return true
}

// heedLoss takes from what a client asks for how much it loses. Whole chunks are
// asked for for other reasons, and of one that is passing more may yet come.
func (s *Session) heedLoss(now time.Time, sender netip.Addr, asked int, trusted bool) {
	p := &s.partial
	all := s.geo.ChunkBlocks(int(p.Chunk))
	if asked == all || s.cur.active && s.cur.chunk == p.Chunk || s.m2.control != nil && !trusted {
		return
	}
	s.clients.asks(now, sender, p.Chunk, float64(asked)/float64(all), s.passes)
}

// heedOld takes from what an old client asks for whether it keeps up. In a
// session with a key it may be a stranger, who must not slow down others.
func (s *Session) heedOld(now time.Time, asked, all int) {
	s.old = true
	if asked < all {
		s.nudge.lackedAt = now
	}
	if asked < all && asked*overflowDiv >= all && now.Sub(s.passed.latest(s.partial.Chunk)) < dynamicPeriod {
		s.pace.flow.overflow(now)
	}
}

// inService says whether e is what is left of the element being sent, into
// which blocks that have passed cannot be merged.
func (s *Session) inService(e *element) bool {
	return s.cur.active && s.cur.element == e && s.partial.Wanted.First() < s.cur.end
}

// dropComing takes from s.partial what the element being sent will still
// bring. If it is a repair that only just began, what it has already brought
// goes too: that request was under way at the same time.
func (s *Session) dropComing(now time.Time) {
	w := &s.partial.Wanted
	w.RemoveRange(s.cur.next, s.cur.end-s.cur.next)
	if e := s.cur.element; e != nil {
		for i := range w {
			w[i] &^= e.blocks[i]
		}
	}
	if !s.cur.whole && s.clients.len() > 1 && now.Sub(s.cur.since) < s.cfg.RepairHold {
		for i := range w {
			w[i] &^= s.cur.sent[i]
		}
	}
}
