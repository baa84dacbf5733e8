package client

import (
	"fmt"
	"testing"
	"time"

	"hyzer/multicast/server"
)

// TestSimulateBusy is a network without loss whose machines share processors,
// as when all of them are simulated ones of one host: each runs for a moment,
// and then long not. Who waits for its turn must take neither itself nor the
// server for one that has lost something. Clients that begin later than the
// server waits for need again what was sent before.
func TestSimulateBusy(t *testing.T) {
	const chunks, requestsMax = 32, 12 * 32
	for _, c := range []struct {
		name         string
		clients      int
		mode2        bool
		round, slice time.Duration
		spread       time.Duration
		sentMax      float64
	}{
		{"short turns", 16, true, 40 * time.Millisecond, 3 * time.Millisecond, 0, 1.01},
		{"turns", 16, true, 100 * time.Millisecond, 6 * time.Millisecond, 0, 1.01},
		{"long turns", 16, true, 400 * time.Millisecond, 25 * time.Millisecond, 0, 1.01},
		{"many", 32, true, 200 * time.Millisecond, 6 * time.Millisecond, 0, 1.01},
		{"many late", 32, true, 200 * time.Millisecond, 6 * time.Millisecond, 400 * time.Millisecond, 1.1},
		{"late", 16, true, 100 * time.Millisecond, 6 * time.Millisecond, 200 * time.Millisecond, 1.1},
		{"late idle", 16, true, 0, 0, 200 * time.Millisecond, 1.01},
		{"old", 16, false, 100 * time.Millisecond, 6 * time.Millisecond, 0, 1.01},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSimulation(t, simConfig{
				clients: c.clients, chunks: chunks, loss: bernoulli(0), serverMode2: true, seed: 1, mode2: func(int) bool { return c.mode2 },
				round: c.round, slice: c.slice, spread: c.spread, gather: server.GatherDefault,
			})
			start := s.now
			sent := s.run()
			st := s.session.Stats(s.now)
			stalls, requests, again := s.asked()
			t.Logf("%.3f in %v; %d stalls, %d requests, %d again, %d NAKs, %d of parity; at the server %d requests, %d merged", sent,
				s.finished.Sub(start).Round(time.Millisecond), stalls, requests, again, st.Naks, st.ParitySent, st.Requests, st.RequestsMerged)
			if requests > requestsMax {
				t.Errorf("%d requests for %d chunks, want at most %d", requests, chunks, requestsMax)
			}
			if sent > c.sentMax {
				t.Errorf("%.3f blocks were sent for each of the image, want at most %.3f", sent, c.sentMax)
			}
		})
	}
}

// TestSimulateLossKeepsRate: loss at random, which no lower rate would lessen, is
// not taken for that of a full queue, though clients read what comes late, and
// parity blocks before data that were sent earlier.
func TestSimulateLossKeepsRate(t *testing.T) {
	const chunks = 96
	for _, c := range []struct {
		clients      int
		loss         float64
		round, slice time.Duration
		kept         bool
	}{
		{4, 0.01, 0, 0, true},
		{4, 0.01, 20 * time.Millisecond, 10 * time.Millisecond, true},
		{16, 0.01, 0, 0, true},
		{16, 0.01, 20 * time.Millisecond, 10 * time.Millisecond, true},
		{16, 0.05, 0, 0, false}, // is tried once
	} {
		t.Run(fmt.Sprintf("%d clients %v, turns of %v", c.clients, c.loss, c.slice), func(t *testing.T) {
			t.Parallel()
			s := newSimulation(t, simConfig{
				clients: c.clients, chunks: chunks, loss: bernoulli(c.loss), serverMode2: true, seed: 1, mode2: func(int) bool { return true },
				round: c.round, slice: c.slice, dynamic: true,
			})
			start, full := s.now, s.session.Stats(s.now).BitsPerSec
			sent := s.run()
			t.Logf("%.3f in %v, at least %.2f of the rate", sent, s.finished.Sub(start).Round(time.Millisecond), float64(s.slowest)/float64(full))
			if kept := s.slowest == full; kept != c.kept {
				t.Errorf("the rate was at least %d of %d bit/s", s.slowest, full)
			}
		})
	}
}

// asked sums up what the clients asked for.
func (s *simulation) asked() (stalls, requests, again uint32) {
	for _, n := range s.nodes {
		stalls += n.r.stats.RecvIdles
		requests += n.r.stats.Requests
		again += n.r.stats.ReRequests
	}
	return stalls, requests, again
}
