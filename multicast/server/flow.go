package server

import (
	"net/netip"
	"time"

	"hyzer/multicast/wire"
)

// Flow control: the rate follows the slowest client that is wanted. A client
// whose buffers fill says how fast it can go. The group does not wait for one
// that is slower than a flowFloorDiv-th of the cap, nor for long for one that
// is alone in being slow: that has to find another way (client.Fetcher).
const (
	// flowFirstDiv: a session begins with that part of the cap, for nobody
	// knows yet what the clients can take. With one client it begins with all:
	// that one says so at once if it is too much, and holds nobody else.
	flowFirstDiv = 8
	flowFloorDiv = 16
	// flowPeriod is how often the rate is raised while nobody complains: by
	// flowGrowth once somebody has, until then by flowGrowthFirst.
	flowPeriod      = 20 * time.Millisecond
	flowGrowth      = 1.03
	flowGrowthFirst = 1.5
	// flowEase is the share of what a client can take that is sent, so that
	// its buffers empty; the fuller they are, the less, down to flowEaseMost.
	flowEase     = 0.95
	flowEaseMost = 0.5
	// flowCutMost is the most that one report takes from the rate: a client
	// that did not run for a moment seems slower than it is.
	flowCutMost = 0.6
	flowRateMin = 100 // blocks per second
	// Old clients say nothing but what they lack, up to a second late. So where
	// there are more than flowOldClients the rate begins with their part of the cap,
	// and grows by flowGrowthOld only, to the double in a second. A client that lacks
	// an overflowDiv-th of a chunk that has passed had no room for it: that cuts
	// the rate to flowCutMost, once in overflowPeriod.
	flowOldClients = 4
	flowGrowthOld  = 1.014
	overflowDiv    = 8
	overflowPeriod = 100 * time.Millisecond
	// A client that alone has held the others for flowPatience, below a
	// laggardDiv-th of the cap, is a laggard, until another says that it is not
	// laggardApart times as fast.
	flowPatience  = 5 * time.Second
	laggardDiv    = 4
	laggardApart  = 2
	laggardRecent = time.Second // silence after which it no longer holds them
	// flowMemory is how long a report keeps out older ones: their clock comes round
	// in 71 minutes.
	flowMemory = 10 * time.Minute
)

// flow limits the rate to what clients can take. It is pure.
type flow struct {
	cap      float64 // blocks per second, that the pace allows
	limit    float64 // 0: off
	told     bool    // somebody complained
	old      bool    // there are old clients
	changeAt time.Time
	cutAt    time.Time

	slowest  uint32 // id of the client that has held the rate
	since    time.Time
	heardAt  time.Time
	laggards map[uint32]float64 // their rates, by id
}

// begin starts slowly.
func (f *flow) begin(now time.Time, cap float64) {
	if f.limit == 0 {
		*f = flow{cap: cap, limit: cap / flowFirstDiv, changeAt: now.Add(flowPeriod)}
	}
}

// alone begins for one client, before anything was sent.
func (f *flow) alone() {
	if f.limit > 0 && !f.told {
		f.limit = f.cap
	}
}

// beginOld begins for that many clients, of which some are old ones.
func (f *flow) beginOld(now time.Time, cap float64, clients int) {
	if !f.old && f.limit == 0 {
		f.begin(now, cap)
		f.limit = cap * min(1, flowOldClients/float64(max(clients, 1)))
	}
	f.old = true
}

// grow raises the limit when it is time.
func (f *flow) grow(now time.Time) {
	if f.limit == 0 || now.Before(f.changeAt) {
		return
	}
	by := flowGrowth
	switch {
	case f.old:
		by = flowGrowthOld
	case !f.told:
		by = flowGrowthFirst
	}
	f.limit = min(f.limit*by, f.cap)
	f.changeAt = now.Add(flowPeriod)
}

// hear takes what a client can do, which may have others beside it. Within a
// period only the first report cuts.
func (f *flow) hear(now time.Time, id uint32, alone bool, rate float64, fill wire.Loss) {
	if f.limit == 0 || !alone && f.lags(now, id, rate) {
		return
	}
	f.told = true
	f.changeAt = now.Add(flowPeriod)
	ease := flowEase - (flowEase-flowEaseMost)*fill.Share()
	want := max(rate*ease, f.cap/flowFloorDiv, flowRateMin)
	if want >= f.limit || now.Sub(f.cutAt) < flowPeriod {
		return
	}
	f.limit = max(want, f.limit*flowCutMost)
	f.cutAt = now
}

// overflow takes it that an old client had no room for what was sent.
func (f *flow) overflow(now time.Time) {
	f.told = true
	if now.Sub(f.cutAt) < overflowPeriod {
		return
	}
	f.limit = max(f.limit*flowCutMost, f.cap/flowFloorDiv, flowRateMin)
	f.cutAt, f.changeAt = now, now.Add(overflowPeriod)
}

// lags says whether the client is one that the group does not wait for.
func (f *flow) lags(now time.Time, id uint32, rate float64) bool {
	if _, known := f.laggards[id]; known {
		f.laggards[id] = rate
		return true
	}
	for other, its := range f.laggards {
		if rate < laggardApart*its { // two of a kind are no laggards
			delete(f.laggards, other)
		}
	}
	if id != f.slowest || now.Sub(f.heardAt) > laggardRecent {
		f.slowest, f.since = id, now
	}
	f.heardAt = now
	if now.Sub(f.since) < flowPatience || rate > f.cap/laggardDiv || len(f.laggards) >= clientsMax {
		return false
	}
	if f.laggards == nil {
		f.laggards = make(map[uint32]float64)
	}
	f.laggards[id] = rate
	return true
}

// flowReport takes a FLOW.
func (s *Session) flowReport(now time.Time, from netip.Addr, body, datagram []byte) bool {
	m, err := wire.ParseFlow(body)
	if err != nil || m.Version != s.cfg.Mode2.Version || !s.genuine(now, datagram, m.EchoUS+m.HeldUS) {
		s.stats.DatagramsRefused++
		return false
	}
	c, at := s.clients.find(from, m.ClientID), m.EchoUS+m.HeldUS
	if c == nil || now.Sub(c.flowAt) < flowMemory && int32(at-c.flowAtUS) <= 0 {
		s.stats.DatagramsRefused++ // of a stranger, or one that was sent again
		return false
	}
	c.flowAtUS, c.flowAt = at, now
	s.heard(now)
	s.stats.Flows++
	s.pace.flow.hear(now, m.ClientID, s.clients.len() < 2, float64(m.Rate), m.Fill)
	if more := m.Dropped - c.dropped; more < 1<<31 {
		s.stats.SocketDrops += uint64(more)
	}
	c.dropped = m.Dropped
	return false
}
