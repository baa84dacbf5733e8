package server

import (
	"time"

	"hyzer/multicast/wire"
)

// wants are the blocks of the manifest that clients ask for. They are sent in
// order, each once for all who ask in time.
type wants struct {
	words     []uint64
	left      int       // set in words
	notBefore time.Time // zero: nothing is wanted
	latest    bool      // the last round was of the manifest: a chunk's is next
}

func newWants(manifestBytes int) wants {
	blocks := (manifestBytes + wire.BlockBytes - 1) / wire.BlockBytes
	return wants{words: make([]uint64, (blocks+63)/64)}
}

func (w *wants) ready(now time.Time) bool { return w.left > 0 && !w.notBefore.After(now) }

func (w *wants) add(n int) {
	if w.words[n/64]&(1<<(n%64)) == 0 {
		w.words[n/64] |= 1 << (n % 64)
		w.left++
	}
}

// take removes the first run of at most n blocks.
func (w *wants) take(n int) (first, count int) {
	for ; w.words[first/64] == 0; first += 64 {
	}
	for ; !w.has(first); first++ {
	}
	for count < n && w.has(first+count) {
		w.words[(first+count)/64] &^= 1 << ((first + count) % 64)
		count++
	}
	w.left -= count
	return first, count
}

func (w *wants) has(n int) bool { return n/64 < len(w.words) && w.words[n/64]&(1<<(n%64)) != 0 }

// want takes a WANT.
func (s *Session) want(now time.Time, body, datagram []byte) bool {
	m, err := wire.ParseWant(body)
	blocks := (s.cfg.Mode2.ManifestBytes + wire.BlockBytes - 1) / wire.BlockBytes
	if err != nil || m.Version != s.cfg.Mode2.Version || int(m.First+m.Count) > blocks || !s.genuine(now, datagram, m.EchoUS+m.HeldUS) {
		s.stats.DatagramsRefused++
		return false
	}
	s.heard(now)
	w := &s.m2.wants
	idle := w.left == 0
	for n := range m.Count {
		w.add(int(m.First + n))
	}
	if !idle {
		return false
	}
	w.notBefore = now
	if s.clients.len() > 1 && s.cfg.RepairHold > 0 {
		w.notBefore = now.Add(s.cfg.RepairHold)
	}
	return true
}

// advanceManifest sends up to n blocks of the manifest.
func (s *Session) advanceManifest(now time.Time, n int) Action {
	w := &s.m2.wants
	first, count := w.take(min(n, BlocksPerActionMax))
	a := Action{Kind: ActManifest, First: first, Count: count}
	s.pace.spend(count)
	w.latest, s.m2.yield = true, true
	s.inRow, s.activeAt = 0, now
	s.stats.DatagramsOut += uint64(count)
	s.stats.ManifestSent += uint64(count)
	s.trail(now, &a, min(w.left, 1<<15))
	if w.left == 0 {
		w.notBefore = time.Time{}
	}
	return a
}
