package client

import (
	"time"

	"hyzer/multicast/wire"
)

const (
	// Loss is measured over windows of lossWindow datagrams. The two ports are
	// read independently of each other, so parity blocks may be known long before
	// blocks that were sent earlier: lossWindows of them are open.
	lossWindow  = 256
	lossWindows = 32
	// lossMemory: a new window counts for one part in so many, so that of many
	// clients on links alike none seems much worse than the others.
	lossMemory = 6
)

// lossMeter measures loss, and the time between datagrams, by the trailers.
type lossMeter struct {
	started  bool
	top      uint32           // highest sequence number
	from     uint32           // first sequence number of the oldest window
	received [lossWindows]int // in each window, not counting what came twice
	seen     [lossWindows][lossWindow / 64]uint64
	dropped  int  // by our own socket, not yet found missing
	lost     bool // something, in all that was measured
	loss     wire.Loss
	measured int    // windows that loss is of, below lossMemory
	sentUS   uint32 // of top
	at       time.Time
	gap      time.Duration // between datagrams
}

// anew is the meter of another sequence.
func (m *lossMeter) anew() lossMeter {
	return lossMeter{lost: m.lost, loss: m.loss, measured: m.measured, gap: m.gap}
}

// take counts a datagram, which is one of data, or of the parity port. Those that
// overtook each other are counted as well.
func (m *lossMeter) take(now time.Time, t wire.Trailer, data bool) {
	ahead := int32(t.Seq - m.top)
	if !m.started || ahead > seqJump || ahead < -seqJump {
		*m = m.anew()
		m.started, m.top, m.from, m.sentUS, m.at = true, t.Seq, t.Seq+1, t.SentUS, now
		return
	}
	if ahead > 0 {
		between := time.Duration(t.SentUS-m.sentUS) * time.Microsecond / time.Duration(ahead)
		m.gap += (min(between, stallMax) - m.gap) / 32
		m.top, m.sentUS, m.at = t.Seq, t.SentUS, now
	}
	for m.window(t.Seq) >= lossWindows {
		m.close()
	}
	m.count(t.Seq)
	// Most are data: where those are two windows further, nothing more will come
	// of this one.
	for data && m.window(t.Seq) >= 2 {
		m.close()
	}
}

// count notes that a datagram came. Some networks deliver it twice, which must
// not hide that another is missing.
func (m *lossMeter) count(seq uint32) {
	at := m.window(seq)
	if at < 0 {
		return
	}
	n := (seq - m.from) % lossWindow
	word, bit := &m.seen[at][n/64], uint64(1)<<(n%64)
	if *word&bit == 0 {
		*word |= bit
		m.received[at]++
	}
}

// window is which of the open windows a datagram is of, negative if of none.
func (m *lossMeter) window(seq uint32) int {
	ahead := int32(seq - m.from)
	if ahead < 0 {
		return -1
	}
	return int(ahead) / lossWindow
}

// close measures the oldest window. What our own socket had no room for was not
// lost on the way.
func (m *lossMeter) close() {
	missing := lossWindow - m.received[0]
	ours := max(0, min(missing, m.dropped))
	m.dropped -= ours
	m.lost = m.lost || missing > 0
	// The first ones count for more, as if one without loss came before them.
	m.measured = min(m.measured+1, lossMemory-1)
	more := int(wire.NewLoss(missing-ours, lossWindow)) - int(m.loss)
	m.loss = wire.Loss(int(m.loss) + more/(m.measured+1))
	copy(m.received[:], m.received[1:])
	m.received[lossWindows-1] = 0
	copy(m.seen[:], m.seen[1:])
	clear(m.seen[lossWindows-1][:])
	m.from += lossWindow
}

// lossy says whether datagrams did not come that were sent before others that
// did.
func (m *lossMeter) lossy() bool {
	expected := int(int32(m.top + 1 - m.from))
	for _, n := range m.received {
		expected -= n
	}
	return m.lost || expected > 0
}

// drop notes what the socket dropped.
func (m *lossMeter) drop(datagrams uint32) {
	if m.started && datagrams < 1<<31 {
		m.dropped += int(datagrams)
	}
}
