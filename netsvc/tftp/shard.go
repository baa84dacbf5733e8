package tftp

import (
	"container/heap"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"hyzer/netsvc/bootfiles"
)

const (
	batchPackets  = 64  // ACKs read with one system call
	replyBytesMax = 256 // what is read of a client's packet; an ACK has 4
)

// shard serves the transfers whose clients hash to it: one socket, one
// goroutine. The lock is held for a batch of packets; requests take it to enter.
type shard struct {
	server *Server
	socket udpSocket

	mu       sync.Mutex
	sessions map[netip.AddrPort]*session
	timers   timerHeap
	armed    time.Time // the socket's read deadline
	in       *inbox
	out      *outbox
	finished []Transfer // told to OnDone after the lock is released
	closed   bool
}

func newShard(s *Server, socket udpSocket) (*shard, error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("tftp: socket for transfers: %w", err)
	}
	return &shard{
		server: s, socket: socket, sessions: map[netip.AddrPort]*session{},
		in: newInbox(raw), out: newOutbox(socket, raw),
	}, nil
}

// run reads packets until the socket is closed.
func (h *shard) run() error {
	for {
		n, err := h.in.read()
		isTimer := errors.Is(err, os.ErrDeadlineExceeded)
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil && !isTimer:
			return fmt.Errorf("tftp: reading acknowledgements: %w", err)
		}
		h.turn(n, isTimer)
	}
}

// turn takes the n packets of the last read, or the timer that ended it, and
// wakes the sessions whose time has come.
func (h *shard) turn(n int, isTimer bool) {
	h.locked(func(now time.Time) {
		if isTimer { // a deadline that has passed ends every later read at once
			h.armed = time.Time{}
			_ = h.socket.SetReadDeadline(h.armed)
		}
		for i := range n {
			h.take(now, i)
		}
		h.expire(now)
	})
}

// locked runs f under the lock, sends what it ordered, and then tells the
// world about the transfers it ended.
func (h *shard) locked(f func(now time.Time)) {
	h.mu.Lock()
	f(h.server.now())
	h.out.send()
	h.arm()
	finished := h.finished
	h.finished = nil
	h.mu.Unlock()
	for _, t := range finished {
		h.server.report(t)
	}
}

// arm moves the read deadline to the next timer, if that is earlier. A deadline
// left too early costs one idle turn of the loop.
func (h *shard) arm() {
	if len(h.timers) == 0 || h.closed {
		return
	}
	next := h.timers[0].wakeAt
	if h.armed.IsZero() || next.Before(h.armed) {
		h.armed = next
		// It fails only on a closed socket, and then the reader knows.
		_ = h.socket.SetReadDeadline(next)
	}
}

// take deals with the i-th packet of the last read.
func (h *shard) take(now time.Time, i int) {
	b, from := h.in.packet(i)
	client := from.addrPort()
	p, err := Parse(b)
	s := h.sessions[client]
	switch {
	case err != nil:
	case s == nil && (p.Op == OpAck || p.Op == OpData):
		// RFC 1350 section 4. Never in answer to an ERROR: two servers would play on.
		h.out.packet(from, nil, refusal{CodeUnknownTID, "unknown transfer"}.packet())
	case s == nil || s.over || s.machine == nil:
	case p.Op == OpAck:
		acked := s.machine.acked
		h.obey(now, s, s.machine.ack(now, p.Block))
		if s.machine.acked > acked {
			s.progress = now
		}
	case p.Op == OpError:
		h.clientError(now, s, p)
	}
}

func (h *shard) clientError(now time.Time, s *session, p Packet) {
	if isProbe(s.machine.terms, s.machine.acked, p.Code) {
		h.end(now, s, Transfer{Probe: true})
		return
	}
	h.end(now, s, Transfer{Err: fmt.Errorf("%w with code %d: %s", ErrClientAborted, p.Code, bootfiles.LogName(p.Message))})
}

// expire wakes every session whose time has come.
func (h *shard) expire(now time.Time) {
	for len(h.timers) > 0 && !h.timers[0].wakeAt.After(now) {
		s := h.timers[0]
		switch {
		case s.over:
			h.forget(s)
		case s.machine.deadline.After(now): // moved on since: ACKs do not touch the heap
			h.wake(s, s.machine.deadline)
		default:
			before := s.machine.retransmits
			h.obey(now, s, s.machine.expire(now))
			h.server.counters.retransmits.Add(int64(s.machine.retransmits - before))
		}
	}
}

// obey carries out what the machine ordered.
func (h *shard) obey(now time.Time, s *session, o order) {
	switch {
	case o.done:
		if o.err != nil && s.machine.answered {
			h.out.packet(&s.to, s.source, refusal{CodeUndefined, "transfer given up"}.packet())
		}
		h.end(now, s, Transfer{Err: o.err})
		return
	case o.oack:
		h.out.packet(&s.to, s.source, Packet{Op: OpOack, Options: s.machine.accepted}.Append(nil))
	case o.count > 0:
		if err := h.sendBlocks(s, o.first, o.count); err != nil {
			h.out.packet(&s.to, s.source, refusal{CodeUndefined, "server error"}.packet())
			h.end(now, s, Transfer{Err: fmt.Errorf("reading the file: %w", err)})
			return
		}
	}
	if s.index < 0 || s.machine.deadline.Before(s.wakeAt) || !s.wakeAt.After(now) {
		h.wake(s, s.machine.deadline)
	}
}

func (h *shard) sendBlocks(s *session, first uint64, count int) error {
	perBurst := 1
	if s.segment != nil {
		perBurst = max(1, min(burstPacketsMax, burstBytesMax/(s.machine.blockBytes+dataHeaderBytes)))
	}
	for count > 0 {
		n := min(count, perBurst)
		if err := h.out.blocks(s, first, n); err != nil {
			return err
		}
		first += uint64(n)
		count -= n
	}
	return nil
}

func (h *shard) wake(s *session, at time.Time) {
	s.wakeAt = at
	if s.index < 0 {
		heap.Push(&h.timers, s)
		return
	}
	heap.Fix(&h.timers, s.index)
}
