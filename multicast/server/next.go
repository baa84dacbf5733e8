package server

import (
	"time"

	"hyzer/multicast/wire"
)

// Next returns what to do now. An ActBlocks or ActSend counts as done.
func (s *Session) Next(now time.Time) Action {
	if s.pace.due(now) {
		s.pace.lost(s.clients.lost(now, s.passes))
		s.pace.adjust(now)
	}
	gathering := s.gather.on(now)
	if gathering || s.inRow < repliesInRowMax || !s.working(now) {
		if reply := s.reply(now); reply != nil {
			s.inRow++
			s.stats.DatagramsOut++
			return Action{Kind: ActSend, Datagram: reply}
		}
	}
	if gathering {
		return Action{Kind: ActSleep, Until: s.gather.until}
	}
	round, _ := s.round(now)
	working, wanted := s.working(now), s.m2.wants.ready(now)
	if !working && round == nil && !wanted {
		return s.rest(now)
	}
	s.beginRate(now)
	n, until := s.pace.budget(now)
	if n == 0 {
		return Action{Kind: ActSleep, Until: until}
	}
	if round == nil && !wanted || working && s.m2.yield {
		return s.advance(now, n)
	}
	if wanted && (round == nil || !s.m2.wants.latest) {
		return s.advanceManifest(now, n)
	}
	return s.advanceParity(now, round, n)
}

// beginRate fits the rate to who is there when the first blocks leave.
func (s *Session) beginRate(now time.Time) {
	switch {
	case s.old && !s.pace.old:
		s.pace.beginOld(now, s.clients.len())
	case s.stats.BlocksSent == 0 && s.clients.len() == 1:
		s.pace.flow.alone()
	}
}

// Busy says whether somebody waits for something.
func (s *Session) Busy() bool {
	return s.cur.active || s.queue.len > 0 || len(s.replies) > 0 || len(s.m2.rounds) > 0 || s.m2.wants.left > 0
}

// reply encodes the next waiting answer: a JOIN reply, and after it the
// request for reports.
func (s *Session) reply(now time.Time) []byte {
	if s.heartbeat {
		s.heartbeat = false
		m := wire.Progress{ClientID: s.beatID, When: s.cfg.HeartbeatSeconds, What: wire.WhatSummary, Seq: 1}
		return m.Append(s.out[:0], wire.Request, s.src)
	}
	if len(s.replies) == 0 {
		return nil
	}
	r := s.replies[0]
	s.replies = append(s.replies[:0], s.replies[1:]...)
	s.heartbeat, s.beatID = s.cfg.HeartbeatSeconds > 0, r.id
	if r.v2 {
		b := wire.NewJoin2Reply(r.id, s.geo.FileBytes()).Append(s.out[:0], wire.Reply, s.src)
		if r.grant {
			b = s.m2.control.Sign(wire.AppendGrant(b, s.grant(now, r.nonce)))
		}
		return b
	}
	return wire.Join{Value: uint32(s.geo.Blocks())}.Append(s.out[:0], wire.Reply, s.src)
}

// working makes sure that a range is being sent if one is wanted.
func (s *Session) working(now time.Time) bool {
	if s.cur.active {
		return true
	}
	e, _ := s.queue.ready(now, s.m2.control != nil)
	if e == nil {
		return false
	}
	s.start(e, now)
	return true
}

// start begins the next range of e: the whole chunk, or its first run.
func (s *Session) start(e *element, now time.Time) {
	if s.cur.chunk != e.chunk || s.cur.element != e {
		s.cur = sending{chunk: e.chunk, element: e, since: now}
	}
	whole := e.whole
	left := e.count
	first, count := s.queue.takeRun(e)
	s.cur.active, s.cur.whole, s.cur.next, s.cur.end = true, whole, first, first+count
	if whole {
		s.passes++
	}
	if left == count {
		s.cur.element = nil
	}
}

// advance sends up to n blocks of the range.
func (s *Session) advance(now time.Time, n int) Action {
	n = min(n, BlocksPerActionMax, s.cur.end-s.cur.next)
	a := Action{Kind: ActBlocks, Chunk: int(s.cur.chunk), First: s.cur.next, Count: n}
	s.pace.spend(n)
	s.gather.sentAt = now
	s.inRow, s.activeAt, s.m2.yield = 0, now, false
	s.cur.sent.AddRange(s.cur.next, n)
	s.cur.next += n
	s.cur.active = s.cur.next < s.cur.end
	s.passed.add(s.cur.chunk, a.First, n, now)
	s.trail(now, &a, s.cur.end-s.cur.next)
	s.stats.DatagramsOut += uint64(n)
	s.stats.BlocksSent += uint64(n)
	s.stats.BlocksRepeated += uint64(s.countRepeated(a))
	return a
}

// countRepeated notes a range as sent and returns how much of it was sent
// before.
func (s *Session) countRepeated(a Action) int {
	if len(s.sentOnce) == 0 {
		return 0
	}
	seen := s.sentOnce[a.Chunk]
	if seen == s.allBlocks {
		return a.Count
	}
	if seen == nil {
		seen = new(wire.BlockMap)
		s.sentOnce[a.Chunk] = seen
	}
	before := seen.Count()
	seen.AddRange(a.First, a.Count)
	after := seen.Count()
	if after == s.geo.ChunkBlocks(a.Chunk) {
		s.sentOnce[a.Chunk] = s.allBlocks
	}
	return a.Count - (after - before)
}

// rest is what to do when nothing is wanted, or nothing yet.
func (s *Session) rest(now time.Time) Action {
	_, held := s.queue.ready(now, s.m2.control != nil)
	_, round := s.round(now)
	for _, t := range []time.Time{round, s.m2.wants.notBefore} {
		if held.IsZero() || !t.IsZero() && t.Before(held) {
			held = t
		}
	}
	if !held.IsZero() {
		return Action{Kind: ActSleep, Until: held}
	}
	if s.waitsForImage() {
		s.stats.Blocked++
		return Action{Kind: ActSleep}
	}
	nudge, nudgeAt := s.nudgeOld(now)
	if nudge != nil {
		s.stats.DatagramsOut++
		return Action{Kind: ActSend, Datagram: nudge}
	}
	s.stats.rested(s.restedAt)
	s.restedAt = s.stats.DatagramsOut + 1
	end, reason := s.endsAt()
	if !nudgeAt.IsZero() && (end.IsZero() || nudgeAt.Before(end)) {
		return Action{Kind: ActSleep, Until: nudgeAt}
	}
	if reason != ReasonNone && !now.Before(end) {
		return Action{Kind: ActFinish, Reason: reason}
	}
	return Action{Kind: ActSleep, Until: end}
}

// endsAt returns when the session is over if nothing more is heard.
func (s *Session) endsAt() (time.Time, Reason) {
	switch {
	case s.cfg.Linger == 0, s.cfg.Linger < 0 && !s.met:
		return time.Time{}, ReasonNone // as long as nobody came, none can be the last
	case s.cfg.Linger > 0:
		return s.activeAt.Add(s.cfg.Linger), ReasonIdle
	case !s.lastLeftAt.IsZero():
		return s.lastLeftAt.Add(lastLeftGrace), ReasonLastLeft
	}
	return s.activeAt.Add(silenceMax), ReasonSilence
}
