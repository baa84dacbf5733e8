package server

import (
	"math"
	"net/netip"
	"testing"
	"time"
)

// TestPacerRate wakes late, as timers do, and still keeps the rate.
func TestPacerRate(t *testing.T) {
	t.Parallel()
	for _, bits := range []int64{100_000, 700_000, 55_008_000, 72_000_000, 1_000_000_000, 9_000_000_000} {
		now := time.Unix(0, 0)
		p := newPacer(Pace{BitsPerSec: bits}, now)
		sent := 0
		for elapsed := time.Duration(0); elapsed < 20*time.Second; elapsed = now.Sub(time.Unix(0, 0)) {
			n, until := p.budget(now)
			if n > 0 {
				p.spend(n)
				sent += n
				continue
			}
			now = until.Add(300 * time.Microsecond)
		}
		want := float64(bits) / WireBitsPerBlock * 20
		if math.Abs(float64(sent)-want) > want/100+10 {
			t.Errorf("%d bit/s: %d blocks in 20 s, want %.0f", bits, sent, want)
		}
	}
}

func TestPacerBurst(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pace     Pace
		burst    int
		interval time.Duration
	}{
		{Pace{}, 16, 2 * time.Millisecond},
		{Pace{Burst: 8, Gap: 4 * time.Millisecond}, 8, 4 * time.Millisecond},
		{Pace{Burst: 8, Gap: time.Microsecond}, 8, time.Millisecond},
		{Pace{Gap: -1}, 0, 0},
		{Pace{BitsPerSec: 55_008_000}, 6, time.Millisecond},
		{Pace{BitsPerSec: 9168}, 1, time.Second},
	} {
		if burst, interval := c.pace.burst(); burst != c.burst || interval.Round(time.Microsecond) != c.interval {
			t.Errorf("%+v: %d every %v, want %d every %v", c.pace, burst, interval, c.burst, c.interval)
		}
	}
}

// TestPacerDynamic follows the rate through losses and back.
func TestPacerDynamic(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	p := newPacer(Pace{BitsPerSec: 20 * WireBitsPerBlock * 1000, Dynamic: true}, now)
	var got []int
	for _, lossy := range []bool{false, true, true, true, false, false} {
		p.lossy = lossy
		now = now.Add(dynamicPeriod)
		p.adjust(now)
		got = append(got, p.burst)
	}
	want := []int{20, 18, 16, 14, 15, 16}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("bursts %v, want %v", got, want)
		}
	}
	for range 100 {
		p.lossy = true
		now = now.Add(dynamicPeriod)
		p.adjust(now)
	}
	if p.burst != 1 {
		t.Errorf("burst %d after a hundred losses, want 1", p.burst)
	}
}

// TestRosterBound: a flood of clients does not grow the roster, and pushes out
// those that were heard of least lately.
func TestRosterBound(t *testing.T) {
	t.Parallel()
	r := newRoster()
	first := netip.MustParseAddr("10.0.0.1")
	r.join(first, 1, time.Time{})
	for n := range 3 * clientsMax {
		r.join(netip.AddrFrom4([4]byte{10, 1, byte(n >> 8), byte(n)}), 7, time.Time{})
		r.find(first, 1)
	}
	if r.len() != clientsMax || r.find(first, 1) == nil || r.most != clientsMax {
		t.Errorf("%d clients, most %d, the active one known: %v", r.len(), r.most, r.find(first, 1) != nil)
	}
}

// TestQueueBound: so do requests for all the chunks of a large image.
func TestQueueBound(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	s, err := NewSession(SessionConfig{
		Self: netip.MustParseAddr("10.0.0.1"), Address: scriptAddress, FileBytes: (queueElementsMax + 100) << 20, Pace: Pace{Gap: -1},
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	for chunk := range uint32(queueElementsMax + 100) {
		s.partial.Chunk = chunk
		s.partial.Wanted.AddRange(0, 1)
		s.enqueue(now, 1, 0, false)
	}
	if st := s.Stats(now); st.QueueElementsMost != queueElementsMax || st.RequestsDropped != 100 {
		t.Errorf("%d elements, %d dropped", st.QueueElementsMost, st.RequestsDropped)
	}
}
