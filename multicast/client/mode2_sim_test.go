package client

import (
	"fmt"
	"testing"
	"time"

	"hyzer/multicast/server"
)

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
	} {
		t.Run(fmt.Sprintf("%d clients %s %v", c.clients, c.model, c.loss), func(t *testing.T) {
			t.Parallel()
			if c.clients > 16 && raceDetector {
				t.Skip("one goroutine does it all: no races to find, in half a minute")
			}
			model := bernoulli(c.loss)
			if c.model == "gilbert-elliott" {
				model = gilbertElliott(c.loss, burst)
			}
			cfg := simConfig{clients: c.clients, chunks: c.chunks, loss: model, serverMode2: true, seed: 1, mode2: func(int) bool { return true }}
			s := newSimulation(t, cfg)
			start := s.now
			sent := s.run()
			st := s.session.Stats(s.now)
			slow := s.finished.Sub(start).Seconds() * simBitsPerSec / server.WireBitsPerBlock / float64(st.BlocksSent+st.ParitySent)
			cfg.mode2 = func(int) bool { return false }
			old := newSimulation(t, cfg)
			oldStart := old.now
			oldSent := old.run()
			t.Logf("%4d clients, %15s %.2f: mode 2 %.3f in %v (%.2f of ideal; %d NAKs, %d merged), by number %.3f in %v", c.clients, c.model, c.loss,
				sent, s.finished.Sub(start).Round(time.Millisecond), slow, st.Naks, st.NaksMerged, oldSent, old.finished.Sub(oldStart).Round(time.Millisecond))
			if sent > c.mode2Max {
				t.Errorf("mode 2 sent %.3f blocks per block, want at most %.3f", sent, c.mode2Max)
			}
			if oldSent < c.legacyMin {
				t.Errorf("without it %.3f were sent, which theory says cannot be", oldSent)
			}
		})
	}
}
