package client

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"hyzer/multicast/wire"
)

// TestLossMeter: what is lost on the way counts, and neither the order in which
// the two ports are read nor what our own socket dropped.
func TestLossMeter(t *testing.T) {
	t.Parallel()
	const sent, parityEvery, dropEvery, settled = 200_000, 64, 10_000, 8000
	for name, c := range map[string]struct {
		loss     float64
		parity   int     // how many datagrams later a parity block is read than it was sent
		dropped  int     // by the socket in a row, of every dropEvery
		min, max float64 // measured
		lossy    bool
	}{
		"nothing lost":              {0, 0, 0, 0, 0, false},
		"parity before the backlog": {0, -3600, 0, 0, 0, false},
		"parity a little late":      {0, 200, 0, 0, 0, false},
		"one in a hundred":          {0.01, 0, 0, 0.002, 0.019, true},
		"and parity first":          {0.01, -3600, 0, 0.002, 0.019, true},
		"and parity late":           {0.01, 200, 0, 0.002, 0.019, true},
		"one in twenty":             {0.05, -3600, 0, 0.03, 0.075, true},
		"our own socket drops":      {0, 0, 700, 0, 0, true},
		"and so does the way":       {0.01, 0, 700, 0, 0.019, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(1, 2))
			type datagram struct {
				seq, readAt int
				data        bool
			}
			var got []datagram
			for seq := range sent {
				d := datagram{seq, seq, seq%parityEvery != 0}
				if random.Float64() < c.loss || seq%dropEvery < c.dropped {
					continue
				}
				if !d.data {
					d.readAt += c.parity
				}
				got = append(got, d)
			}
			slices.SortStableFunc(got, func(a, b datagram) int { return a.readAt - b.readAt })
			var m lossMeter
			worst, best, first := 0.0, 1.0, got[0].seq
			dropsTold := 0
			for i, d := range got {
				if at := d.seq / dropEvery; d.data && at > dropsTold { // the kernel tells before the gap is seen
					dropsTold = at
					m.drop(uint32(c.dropped))
				}
				m.take(time.Time{}, wire.Trailer{Seq: uint32(d.seq - first), SentUS: uint32(d.seq)}, d.data)
				if i > settled {
					worst, best = max(worst, m.loss.Share()), min(best, m.loss.Share())
				}
			}
			if best < c.min || worst > c.max {
				t.Errorf("%.4f to %.4f measured, want within %.4f to %.4f", best, worst, c.min, c.max)
			}
			if m.lossy() != c.lossy {
				t.Errorf("lossy is %v, want %v", m.lossy(), c.lossy)
			}
		})
	}
}
