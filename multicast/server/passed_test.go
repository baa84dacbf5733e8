package server

import (
	"net/netip"
	"testing"
	"time"

	"hyzer/multicast/wire"
)

// ask sends a request for blocks from a client that knows the session's clock
// to be that of the time at, or the zero time: an old client's.
func (r *rig) ask(client byte, chunk uint32, first, count int, at time.Time) {
	src := [4]byte{10, 0, 1, client}
	p := wire.PartialRequest{Chunk: chunk}
	p.Wanted.AddRange(first, count)
	b := p.Append(nil, src)
	if !at.IsZero() {
		o := wire.NewOffer()
		o.ClockUS = r.s.clockUS(at)
		b = wire.AppendOffer(b, o)
	}
	r.s.Receive(r.now, netip.AddrPortFrom(netip.AddrFrom4(src), scriptAddress.Port()), b)
}

// TestCrossing: what was sent while a request was on its way is not sent again
// for it, but for one that left later.
func TestCrossing(t *testing.T) {
	t.Parallel()
	second := time.Unix(1001, 0)
	for name, c := range map[string]struct {
		first, count int
		left         time.Time // when the request did
		want         string
	}{
		"all of it crossed":          {0, 60, second.Add(-time.Millisecond), ""},
		"some of it":                 {30, 60, second.Add(-time.Millisecond), "blocks 1:60+30"},
		"it left later":              {0, 60, second.Add(time.Millisecond), "blocks 1:0+60"},
		"it left when that was sent": {0, 60, second, ""},
		"an old client":              {0, 60, time.Time{}, "blocks 1:0+60"},
		"a clock of long ago":        {0, 60, second.Add(-ticketMax - time.Second), "blocks 1:0+60"},
		"a clock that runs ahead":    {0, 60, second.Add(time.Hour), "blocks 1:0+60"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, Pace{Gap: -1}, 1)
			r.now = second
			r.ask(0, 1, 0, 60, second)
			if got := r.drain(); got != "blocks 1:0+60" {
				t.Fatalf("first sent %q", got)
			}
			r.now = second.Add(10 * time.Millisecond)
			r.ask(0, 1, c.first, c.count, c.left)
			if got := r.drain(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestCrossingForgets: the record of what was sent is bounded.
func TestCrossingForgets(t *testing.T) {
	t.Parallel()
	var p passed
	start := time.Unix(1000, 0)
	for n := range passedMax + 1 {
		p.add(uint32(n), 0, 60, start.Add(time.Duration(n)*time.Millisecond))
	}
	if got := p.latest(0); !got.IsZero() {
		t.Errorf("the first range is known, sent at %v", got)
	}
	if got := p.latest(1); !got.Equal(start.Add(time.Millisecond)) {
		t.Errorf("the second range was sent at %v", got)
	}
}

// TestOldClients: the rate begins with their part of the cap when they are
// many, grows slowly, and yields to one that had no room.
func TestOldClients(t *testing.T) {
	t.Parallel()
	const cap = 100_000
	start := time.Unix(1000, 0)
	for clients, want := range map[int]float64{0: 1, 1: 1, 4: 1, 8: 0.5, 32: 0.125} {
		var f flow
		f.beginOld(start, cap, clients)
		if got := f.limit / cap; got != want {
			t.Errorf("%d clients: begins with %.3f of the cap, want %.3f", clients, got, want)
		}
	}
	var f flow
	f.beginOld(start, cap, 32)
	now := start
	for ; now.Before(start.Add(time.Second)); now = now.Add(time.Millisecond) {
		f.grow(now)
	}
	if got := f.limit / cap; got < 0.2 || got > 0.3 {
		t.Errorf("%.3f of the cap after a second, want about the double of 0.125", got)
	}
	before := f.limit
	f.overflow(now)
	f.overflow(now.Add(time.Millisecond)) // of the same burst
	if f.limit != before*flowCutMost {
		t.Errorf("the limit goes from %.0f to %.0f, want one cut", before, f.limit)
	}
	for range 100 {
		now = now.Add(overflowPeriod)
		f.overflow(now)
	}
	if f.limit != cap/flowFloorDiv {
		t.Errorf("the limit falls to %.0f, want %d", f.limit, cap/flowFloorDiv)
	}
}
