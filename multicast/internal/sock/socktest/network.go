package socktest

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"hyzer/multicast/internal/sock"
)

// queueMax is a socket's receive buffer, in datagrams; more is lost.
const queueMax = 1000

// Network is a network in memory, for tests in virtual time (testing/synctest):
// a datagram to the session address reaches all other endpoints, one to an
// endpoint's address that endpoint. Each endpoint loses what it receives and
// sends with its own probability.
type Network struct {
	lock      sync.Mutex
	rng       *rand.Rand
	endpoints []*Endpoint
	// LossFrom is when losses begin.
	LossFrom time.Time
	// Twice and Late are the shares of datagrams that come twice, and that come
	// after up to lateMax of those that were sent later.
	Twice, Late float64
}

const lateMax = 40

// NewNetwork returns a network whose losses are repeatable.
func NewNetwork(seed uint64) *Network { return &Network{rng: rand.New(rand.NewPCG(seed, seed))} }

// Endpoint is a sock.Conn on a Network.
type Endpoint struct {
	net     *Network
	local   netip.AddrPort
	session netip.AddrPort
	loss    float64

	// Guarded by net.lock.
	queue  []packet
	woken  bool
	closed bool
	// arrived holds one token if anything above may have changed.
	arrived chan struct{}
	// Dropped counts what did not fit in the queue.
	Dropped int
}

type packet struct {
	from netip.AddrPort
	data []byte
}

// Open adds an endpoint to the session.
func (n *Network) Open(local netip.Addr, session netip.AddrPort, loss float64) *Endpoint {
	e := &Endpoint{
		net: n, local: netip.AddrPortFrom(local, session.Port()), session: session, loss: loss,
		arrived: make(chan struct{}, 1),
	}
	n.lock.Lock()
	defer n.lock.Unlock()
	n.endpoints = append(n.endpoints, e)
	return e
}

func (e *Endpoint) notify() {
	select {
	case e.arrived <- struct{}{}:
	default:
	}
}

// Inject delivers a datagram as if it came from the given address.
func (n *Network) Inject(from, to netip.AddrPort, b []byte) {
	n.lock.Lock()
	defer n.lock.Unlock()
	n.deliver(nil, from, to, b)
}

func (n *Network) deliver(sender *Endpoint, from, to netip.AddrPort, b []byte) {
	b = append([]byte(nil), b...) // one copy for all: nobody writes to it
	for _, e := range n.endpoints {
		if e == sender || e.closed || (to != e.local && to != e.session) {
			continue
		}
		if n.lost(e) {
			continue
		}
		if len(e.queue) >= queueMax {
			e.Dropped++
			continue
		}
		e.arrive(packet{from, b})
		e.notify()
	}
}

// arrive queues a datagram, perhaps twice, or overtaking some.
func (e *Endpoint) arrive(p packet) {
	e.queue = append(e.queue, p)
	if n := e.net; n.Twice > 0 && n.rng.Float64() < n.Twice {
		e.queue = append(e.queue, p)
	}
	if n := e.net; n.Late > 0 && n.rng.Float64() < n.Late {
		last := len(e.queue) - 1
		at := last - n.rng.IntN(min(last+1, lateMax))
		copy(e.queue[at+1:], e.queue[at:last])
		e.queue[at] = p
	}
}

func (n *Network) lost(e *Endpoint) bool {
	return n.rng.Float64() < e.loss && !time.Now().Before(n.LossFrom)
}

// Local returns the endpoint's address.
func (e *Endpoint) Local() netip.AddrPort { return e.local }

// Rejoin does nothing: there are no switches.
func (e *Endpoint) Rejoin() error { return nil }

// ReadOwn returns nothing: ReadBatch sees it all.
func (e *Endpoint) ReadOwn(b *sock.Batch) error {
	b.Clear()
	return nil
}

// Backlog counts each datagram as the kernel does one of a block.
func (e *Endpoint) Backlog() sock.Backlog {
	const each = 2304
	e.net.lock.Lock()
	defer e.net.lock.Unlock()
	return sock.Backlog{Bytes: len(e.queue) * each, BytesMax: queueMax * each, Dropped: uint32(e.Dropped)}
}

// Write sends one datagram.
func (e *Endpoint) Write(b []byte, to netip.AddrPort) error {
	n := e.net
	n.lock.Lock()
	defer n.lock.Unlock()
	if e.closed {
		return net.ErrClosed
	}
	if !n.lost(e) {
		n.deliver(e, e.local, to, b)
	}
	return nil
}

// WriteSegments sends each segment by itself.
func (e *Endpoint) WriteSegments(b []byte, segmentBytes int, to netip.AddrPort) error {
	for len(b) > 0 {
		k := min(segmentBytes, len(b))
		if err := e.Write(b[:k], to); err != nil {
			return err
		}
		b = b[k:]
	}
	return nil
}

// Wake interrupts a read.
func (e *Endpoint) Wake() {
	e.net.lock.Lock()
	defer e.net.lock.Unlock()
	e.woken = true
	e.notify()
}

// Close ends reads and writes.
func (e *Endpoint) Close() error {
	e.net.lock.Lock()
	defer e.net.lock.Unlock()
	e.closed = true
	e.notify()
	return nil
}

// ReadBatch waits for datagrams.
func (e *Endpoint) ReadBatch(b *sock.Batch, deadline time.Time) error {
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	b.Clear()
	for {
		if err := e.take(b); err != nil || len(b.Datagrams()) > 0 {
			return err
		}
		select {
		case <-e.arrived:
		case <-timer.C:
			return os.ErrDeadlineExceeded
		}
	}
}

func (e *Endpoint) take(b *sock.Batch) error {
	e.net.lock.Lock()
	defer e.net.lock.Unlock()
	switch {
	case e.closed:
		return net.ErrClosed
	case e.woken:
		e.woken = false
		return sock.ErrWoken
	}
	n := min(sock.BatchMax, len(e.queue))
	for _, p := range e.queue[:n] {
		b.Add(p.data, p.from)
	}
	e.queue = e.queue[n:]
	return nil
}
