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
// per block of the image, by parity blocks and by blocks asked for by number,
// and the time beside that without loss.
func TestSimulateLoss(t *testing.T) {
	// Not parallel to the tests on real sockets: those have real deadlines.
	const burst = 8
	for _, c := range []struct {
		clients, chunks int
		model           string
		loss            float64
		mode2Max        float64 // with parity blocks
		timeMax         float64 // of the time without loss; 0: not compared
		naksMax         float64 // per chunk
		legacyMin       float64 // without; 0: not run
	}{
		{1, 32, "bernoulli", 0.01, 1.015, 1.05, 0, 0},
		{1, 32, "bernoulli", 0.05, 1.06, 1.4, 0, 0}, // asks by number: the last blocks take pauses of 30 ms
		{4, 32, "none", 0, 1.0001, 1, 0, 1},
		{4, 32, "bernoulli", 0.01, 1.016, 1.06, 3, 1.02},
		{4, 32, "bernoulli", 0.05, 1.065, 1.2, 4, 1.1},
		{16, 32, "none", 0, 1.0001, 1, 0, 1},
		{16, 32, "bernoulli", 0.001, 1.005, 1.04, 3, 1.01},
		{16, 32, "bernoulli", 0.01, 1.018, 1.06, 3, 1.1},
		{16, 32, "bernoulli", 0.05, 1.07, 1.2, 6, 1.4},
		{16, 32, "bernoulli", 0.1, 1.14, 1.4, 8, 1.8},
		{16, 32, "gilbert-elliott", 0.01, 1.055, 1.1, 4, 1.1},
		{16, 32, "gilbert-elliott", 0.05, 1.13, 1.3, 8, 1.4},
		{100, 8, "bernoulli", 0.01, 1.021, 0, 8, 1.4},
		{100, 8, "bernoulli", 0.05, 1.076, 0, 12, 1.8},
		{1000, 3, "bernoulli", 0.01, 1.026, 0, 60, 1.8},
		{1000, 3, "gilbert-elliott", 0.01, 1.10, 0, 60, 0},
		{1000, 3, "tree", 0.01, 1.026, 0, 60, 0},
		{10000, 2, "bernoulli", 0.01, 1.03, 0, 500, 0},
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
			got := simulate(t, cfg)
			naks := float64(got.Naks) / float64(c.chunks)
			if got.sent > c.mode2Max || naks > c.naksMax {
				t.Errorf("mode 2 sent %.4f blocks per block, want at most %.4f; %.1f NAKs per chunk, want at most %v", got.sent, c.mode2Max, naks, c.naksMax)
			}
			if ideal := theory(c.clients, c.loss); c.model == "bernoulli" && (got.sent < ideal-0.004 || got.sent > ideal+0.006) {
				t.Errorf("mode 2 sent %.4f blocks per block, the ideal code needs %.4f", got.sent, ideal)
			}
			line := fmt.Sprintf("%5d clients, %15s %.3f: mode 2 %.3f in %v, %.1f NAKs per chunk", c.clients, c.model, c.loss, got.sent, got.took.Round(time.Millisecond), naks)
			if c.timeMax > 0 {
				clean := cfg
				clean.loss = bernoulli(0)
				slower := got.took.Seconds() / simulate(t, clean).took.Seconds()
				if line += fmt.Sprintf(", %.2f of the time without loss", slower); slower > c.timeMax {
					t.Errorf("%.3f times as long as without loss, want at most %.2f", slower, c.timeMax)
				}
			}
			if c.legacyMin > 0 {
				cfg.mode2 = func(int) bool { return false }
				old := simulate(t, cfg)
				if line += fmt.Sprintf("; by number %.3f in %v", old.sent, old.took.Round(time.Millisecond)); old.sent < c.legacyMin {
					t.Errorf("without it %.3f were sent, which theory says cannot be", old.sent)
				}
			}
			t.Log(line)
		})
	}
}

// simulated is how a simulation went.
type simulated struct {
	server.Stats
	sent float64 // datagrams with data per block of the image
	took time.Duration
}

func simulate(t *testing.T, c simConfig) simulated {
	t.Helper()
	s := newSimulation(t, c)
	start := s.now
	sent := s.run()
	return simulated{s.session.Stats(s.now), sent, s.finished.Sub(start)}
}

// TestSimulateMixed: clients of both kinds in one pass. What the old ones lack
// is sent again, to all; what those of mode 2 lack besides costs as little as
// among themselves.
func TestSimulateMixed(t *testing.T) {
	for _, c := range []struct {
		mode2, old int
		loss       float64
		sentMax    float64
		parity     bool
	}{
		{2, 2, 0, 1.0001, false},
		{2, 2, 0.01, 1.04, true},
		{2, 2, 0.05, 1.17, true},
		{12, 4, 0.01, 1.06, true},
		{12, 4, 0.05, 1.27, true},
		{100, 1, 0.01, 1.03, true},
	} {
		t.Run(fmt.Sprintf("%d and %d old clients %v", c.mode2, c.old, c.loss), func(t *testing.T) {
			t.Parallel()
			got := simulate(t, simConfig{
				clients: c.mode2 + c.old, chunks: 32, loss: bernoulli(c.loss), serverMode2: true, seed: 1, mode2: func(n int) bool { return n >= c.old },
			})
			byNumber := 0.0 // what the old ones lose, by numbers
			for p := c.loss; p > 1e-9; p *= c.loss {
				byNumber += 1 - math.Pow(1-p, float64(c.old))
			}
			t.Logf("%.3f sent per block, %.3f of parity; the old ones alone need %.3f, those of mode 2 %.3f", got.sent,
				float64(got.ParitySent)/32/wire.ChunkBlocks, 1+byNumber, theory(c.mode2, max(c.loss, 1e-9)))
			if got.sent > c.sentMax || c.parity != (got.ParitySent > 0) {
				t.Errorf("%.4f datagrams sent per block, want at most %v; %d of parity", got.sent, c.sentMax, got.ParitySent)
			}
		})
	}
}
