package client

import (
	"fmt"
	"math"
	"testing"
	"time"

	"hyzer/multicast/server"
	"hyzer/multicast/wire"
)

// theory is how many datagrams the ideal code needs for each block of a chunk:
// the mean of the most that any of the clients needs, of which each gets all
// but the share that it loses.
func theory(clients int, loss float64) float64 {
	const k = wire.ChunkBlocks
	factorial := func(n int) float64 { v, _ := math.Lgamma(float64(n) + 1); return v }
	mean, enough := float64(k), 0.0 // enough: the chance that n datagrams are, for one client
	for n := k; enough < 1-1e-12; n++ {
		enough += math.Exp(factorial(n-1) - factorial(k-1) - factorial(n-k) + k*math.Log1p(-loss) + float64(n-k)*math.Log(loss))
		mean += 1 - math.Pow(min(enough, 1), float64(clients))
	}
	return mean / k
}

// TestTheory holds the sum against the table of the design.
func TestTheory(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		clients    int
		loss, want float64
	}{{1, 0.01, 1.010}, {16, 0.01, 1.016}, {1000, 0.01, 1.022}, {10000, 0.01, 1.024}, {16, 0.05, 1.066}, {1000, 0.05, 1.078}, {10000, 0.1, 1.156}} {
		if got := theory(c.clients, c.loss); math.Abs(got-c.want) > 0.0006 {
			t.Errorf("%d clients losing %v: %.4f, want %.3f", c.clients, c.loss, got, c.want)
		}
	}
}

// TestSimulateLoss is the table of docs/multicast.md: datagrams with data sent
// per block of the image, by parity blocks and by blocks asked for by number.
func TestSimulateLoss(t *testing.T) {
	// Not parallel to the tests on real sockets: those have real deadlines.
	const burst = 8
	for _, c := range []struct {
		clients, chunks int
		model           string
		loss            float64
		mode2Max        float64 // with parity blocks
		legacyMin       float64 // without; 0: not run
	}{
		{4, 16, "none", 0, 1.01, 1},
		{4, 16, "bernoulli", 0.01, 1.02, 1.02},
		{4, 16, "bernoulli", 0.05, 1.07, 1.1},
		{16, 16, "none", 0, 1.01, 1},
		{16, 16, "bernoulli", 0.01, 1.025, 1.1},
		{16, 16, "bernoulli", 0.05, 1.075, 1.4},
		{16, 16, "gilbert-elliott", 0.01, 1.055, 1.1},
		{16, 16, "gilbert-elliott", 0.05, 1.13, 1.4},
		{100, 8, "bernoulli", 0.01, 1.025, 1.4},
		{100, 8, "bernoulli", 0.05, 1.08, 1.8},
		{1000, 3, "bernoulli", 0.01, 1.03, 1.8},
		{1000, 3, "gilbert-elliott", 0.01, 1.10, 0},
		{1000, 3, "tree", 0.01, 1.03, 0},
		{10000, 2, "bernoulli", 0.01, 1.04, 0},
	} {
		t.Run(fmt.Sprintf("%d clients %s %v", c.clients, c.model, c.loss), func(t *testing.T) {
			t.Parallel()
			if c.clients > 16 && raceDetector {
				t.Skip("one goroutine does it all: no races to find, in half a minute")
			}
			cfg := simConfig{clients: c.clients, chunks: c.chunks, loss: bernoulli(c.loss), serverMode2: true, seed: 1, mode2: func(int) bool { return true }}
			switch c.model {
			case "gilbert-elliott":
				cfg.loss = gilbertElliott(c.loss, burst)
			case "tree": // half of the losses are shared
				cfg.loss, cfg.uplink, cfg.branch = bernoulli(c.loss/2), bernoulli(c.loss/2), 32
			}
			s := newSimulation(t, cfg)
			start := s.now
			sent := s.run()
			st := s.session.Stats(s.now)
			slow := s.finished.Sub(start).Seconds() * simBitsPerSec / server.WireBitsPerBlock / float64(st.BlocksSent+st.ParitySent)
			if sent > c.mode2Max {
				t.Errorf("mode 2 sent %.3f blocks per block, want at most %.3f", sent, c.mode2Max)
			}
			if ideal := theory(c.clients, c.loss); c.model == "bernoulli" && (sent < ideal-0.004 || sent > ideal+0.015) {
				t.Errorf("mode 2 sent %.4f blocks per block, the ideal code needs %.4f", sent, ideal)
			}
			if c.legacyMin == 0 {
				t.Logf("%5d clients, %15s %.2f: mode 2 %.3f in %v (%.2f of ideal; %d NAKs, %d merged)", c.clients, c.model, c.loss,
					sent, s.finished.Sub(start).Round(time.Millisecond), slow, st.Naks, st.NaksMerged)
				return
			}
			cfg.mode2 = func(int) bool { return false }
			old := newSimulation(t, cfg)
			oldStart := old.now
			oldSent := old.run()
			t.Logf("%4d clients, %15s %.2f: mode 2 %.3f in %v (%.2f of ideal; %d NAKs, %d merged), by number %.3f in %v", c.clients, c.model, c.loss,
				sent, s.finished.Sub(start).Round(time.Millisecond), slow, st.Naks, st.NaksMerged, oldSent, old.finished.Sub(oldStart).Round(time.Millisecond))
			if oldSent < c.legacyMin {
				t.Errorf("without it %.3f were sent, which theory says cannot be", oldSent)
			}
		})
	}
}
