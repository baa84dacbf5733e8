package server

import (
	"net/netip"
	"testing"
	"time"

	"hyzer/multicast/wire"
)

// flowClient can take that many blocks per second from a time on.
type flowClient struct {
	id   uint32
	rate float64
	from time.Duration
}

// TestFlow runs the limit against clients that say when it is more than they
// can take.
func TestFlow(t *testing.T) {
	t.Parallel()
	const cap = 100_000
	for name, c := range map[string]struct {
		clients  []flowClient
		alone    bool
		lasts    time.Duration
		min, max float64 // of the cap, on average over the last second
		laggards int
	}{
		"nobody complains":       {nil, false, 2 * time.Second, 0.99, 1, 0},
		"one at half":            {[]flowClient{{1, cap / 2, 0}}, false, 10 * time.Second, 0.42, 0.55, 0},
		"several":                {[]flowClient{{1, cap / 2, 0}, {2, cap / 3, 0}, {3, cap, 0}}, false, 4 * time.Second, 0.28, 0.36, 0},
		"one becomes slow":       {[]flowClient{{1, cap / 10, 5 * time.Second}}, false, 8 * time.Second, 0.08, 0.12, 0},
		"one is a laggard":       {[]flowClient{{1, cap / 10, 0}, {2, cap * 2, 0}}, false, 10 * time.Second, 0.99, 1, 1},
		"others are half as bad": {[]flowClient{{1, cap / 10, 0}, {2, cap / 2, 0}}, false, 12 * time.Second, 0.42, 0.55, 1},
		"all are as slow":        {[]flowClient{{1, cap / 10, 0}, {2, cap / 9, 0}}, false, 30 * time.Second, 0.07, 0.13, 0},
		"slow and alone":         {[]flowClient{{1, cap / 10, 0}}, true, 10 * time.Second, 0.08, 0.12, 0},
		"below the floor":        {[]flowClient{{1, cap / 100, 0}}, true, 4 * time.Second, 0.06, 0.07, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Unix(1000, 0)
			var f flow
			f.begin(start, cap)
			sum, n := 0.0, 0.0
			for now := start; now.Before(start.Add(c.lasts)); now = now.Add(time.Millisecond) {
				f.grow(now)
				for _, one := range c.clients {
					if !now.Before(start.Add(one.from)) && f.limit > one.rate {
						f.hear(now, one.id, c.alone, one.rate, wire.NewLoss(1, 8))
					}
				}
				if now.After(start.Add(c.lasts - time.Second)) {
					sum, n = sum+f.limit, n+1
				}
			}
			if got := sum / n / cap; got < c.min || got > c.max {
				t.Errorf("limit is %.3f of the cap, want %.2f to %.2f", got, c.min, c.max)
			}
			if c.laggards > 0 && len(f.laggards) == 0 || c.laggards == 0 && len(f.laggards) == len(c.clients) && len(c.clients) > 0 {
				t.Errorf("laggards %v, want %d", f.laggards, c.laggards)
			}
		})
	}
}

// TestFlowReport: only a client that joined is heard, and each report once.
func TestFlowReport(t *testing.T) {
	t.Parallel()
	r := newRig(t, Pace{BitsPerSec: 500_000_000}, 2)
	r.now = r.now.Add(time.Second)
	report := func(id, at, dropped uint32) {
		m := wire.Flow{Version: rigVersion, Rate: 20_000, Fill: 1 << 13, Dropped: dropped, ClientID: id, EchoUS: at, HeldUS: 1}
		r.s.ReceiveParity(r.now, netip.MustParseAddrPort("10.0.1.1:4001"), m.Append(nil, [4]byte{10, 0, 1, 1}))
	}
	at := r.s.clockUS(r.now) - 10
	report(1, at, 5)
	report(1, at, 9) // again
	report(7, at, 9) // who?
	if st := r.s.Stats(r.now); st.Flows != 1 || st.SocketDrops != 5 || st.DatagramsRefused != 2 || st.FlowBitsPerSec == 0 {
		t.Errorf("%+v", st)
	}
	r.now = r.now.Add(40 * time.Minute) // by when the clock of the first is ahead of this
	report(1, r.s.clockUS(r.now)-10, 9)
	if st := r.s.Stats(r.now); st.Flows != 2 || st.SocketDrops != 9 {
		t.Errorf("long after: %+v", st)
	}
}
