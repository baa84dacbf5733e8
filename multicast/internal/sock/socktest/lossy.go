// Package socktest has the packet shells of tests: one that loses datagrams.
package socktest

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"hyzer/multicast/internal/sock"
)

// Lossy loses each datagram, in either direction, with the same probability.
type Lossy struct {
	sock.Conn
	kept []sock.Datagram
	rate float64
	lock sync.Mutex // reads and writes are from different goroutines
	rng  *rand.Rand
}

// NewLossy wraps a Conn.
func NewLossy(c sock.Conn, rate float64, seed uint64) *Lossy {
	return &Lossy{Conn: c, rate: rate, rng: rand.New(rand.NewPCG(seed, 0))}
}

func (l *Lossy) lost() bool {
	l.lock.Lock()
	defer l.lock.Unlock()
	return l.rng.Float64() < l.rate
}

// ReadBatch drops datagrams from what it got; it may leave none.
func (l *Lossy) ReadBatch(b *sock.Batch, deadline time.Time) error {
	err := l.Conn.ReadBatch(b, deadline)
	l.kept = l.kept[:0]
	for _, d := range b.Datagrams() {
		if !l.lost() {
			l.kept = append(l.kept, d)
		}
	}
	b.Clear()
	for _, d := range l.kept {
		b.Add(d.Data, d.From)
	}
	return err
}

// Write sends or loses a datagram.
func (l *Lossy) Write(b []byte, to netip.AddrPort) error {
	if l.lost() {
		return nil
	}
	return l.Conn.Write(b, to)
}

// WriteSegments loses each segment by itself.
func (l *Lossy) WriteSegments(b []byte, segmentBytes int, to netip.AddrPort) error {
	for len(b) > 0 {
		n := min(segmentBytes, len(b))
		if err := l.Write(b[:n], to); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}
