package tftp

import (
	"errors"
	"fmt"
	"time"
)

const (
	retransmitFirst = 1 * time.Second        // before a round trip was measured
	retransmitMin   = 200 * time.Millisecond // a client may be writing to flash
	retransmitMax   = 8 * time.Second        // end of the exponential back-off
	// triesMax bounds retransmissions without progress, once the client has
	// answered: about 35 s of silence.
	triesMax = 8
	// triesUnansweredMax bounds what a forged source address makes us send to
	// its victim.
	triesUnansweredMax = 3
	// transferMax ends a client that keeps a transfer alive for ever.
	transferMax = time.Hour
)

var (
	errSilent  = errors.New("client stopped answering")
	errTooLong = errors.New("transfer took too long")
)

// order is what the machine wants sent: the OACK, or count DATA blocks from
// first on, or nothing. done ends the transfer, with err or well.
type order struct {
	oack  bool
	first uint64 // block number without wrap, from 1
	count int
	done  bool
	err   error
}

// transfer is the sending end of one transfer as a pure machine: ACKs and the
// clock in, orders out. Block numbers are 64 bits inside and wrap only on the
// wire.
//
// Rules: an ACK of the last block acknowledged, or of none in the window, is
// ignored (RFC 1123 section 4.2.3.1, "sorcerer's apprentice"); an ACK inside the
// window goes back to the block after it (RFC 7440 section 4); a time-out resends
// the window.
type transfer struct {
	terms
	last     uint64 // number of the final block, the one shorter than blockBytes
	acked    uint64 // highest block acknowledged
	sent     uint64 // highest block of the current window
	oack     bool   // the OACK is out and not yet acknowledged
	answered bool   // some ACK came: the address is real

	tries         int // retransmissions since the last progress
	retransmits   int // in all
	rtt           roundTrip
	sentAt        time.Time // when the window left; zero if it was resent (Karn)
	deadline      time.Time // when to resend
	transferUntil time.Time
}

func newTransfer(t terms) *transfer {
	return &transfer{terms: t, last: uint64(t.fileBytes)/uint64(t.blockBytes) + 1}
}

// start gives the first packets of the transfer.
func (t *transfer) start(now time.Time) order {
	t.transferUntil = now.Add(transferMax)
	if len(t.accepted) == 0 {
		return t.nextWindow(now)
	}
	t.oack = true
	t.arm(now)
	return order{oack: true}
}

// ack takes the block number of an ACK packet.
func (t *transfer) ack(now time.Time, block uint16) order {
	ahead := uint64(block - uint16(t.acked)) // modulo 2^16: wraps with the wire
	switch {
	case now.After(t.transferUntil):
		return order{done: true, err: errTooLong}
	case t.oack && block != 0, !t.oack && ahead == 0, ahead > t.sent-t.acked:
		return order{}
	}
	if !t.sentAt.IsZero() {
		t.rtt.sample(now.Sub(t.sentAt))
	}
	t.answered, t.oack, t.tries = true, false, 0
	t.acked += ahead
	if t.acked == t.last {
		return order{done: true}
	}
	return t.nextWindow(now)
}

// expire is called at or after the deadline.
func (t *transfer) expire(now time.Time) order {
	if now.Before(t.deadline) {
		return order{}
	}
	limit := triesMax
	if !t.answered {
		limit = triesUnansweredMax
	}
	switch {
	case now.After(t.transferUntil):
		return order{done: true, err: errTooLong}
	case t.tries == limit:
		return order{done: true, err: fmt.Errorf("%w: block %d of %d resent %d times", errSilent, t.acked+1, t.last, t.tries)}
	}
	t.tries++
	t.retransmits++
	t.arm(now)
	t.sentAt = time.Time{}
	if t.oack {
		return order{oack: true}
	}
	return t.window()
}

func (t *transfer) nextWindow(now time.Time) order {
	t.sent = min(t.acked+uint64(t.terms.window), t.last)
	t.arm(now)
	return t.window()
}

// window orders the current window, all of it.
func (t *transfer) window() order {
	return order{first: t.acked + 1, count: int(t.sent - t.acked)}
}

// arm starts the retransmit timer: the negotiated time as it is (RFC 2349), or
// the measured one, doubled with each try.
func (t *transfer) arm(now time.Time) {
	t.sentAt = now
	wait := t.timeout
	if wait == 0 {
		wait = min(t.rtt.retransmitAfter()<<t.tries, retransmitMax)
	}
	t.deadline = now.Add(wait)
}

// span gives the place in the file of count blocks from first on. The final
// block may be short or empty.
func (t *transfer) span(first uint64, count int) (off int64, n int) {
	off = int64(first-1) * int64(t.blockBytes)
	return off, int(min(int64(count)*int64(t.blockBytes), t.fileBytes-off))
}

// bytesAcked is how much of the file the client has confirmed.
func (t *transfer) bytesAcked() int64 {
	return min(int64(t.acked)*int64(t.blockBytes), t.fileBytes)
}

// roundTrip estimates the round trip time as RFC 6298 does.
type roundTrip struct{ smooth, variation time.Duration }

func (r *roundTrip) sample(d time.Duration) {
	if r.smooth == 0 {
		r.smooth, r.variation = d, d/2
		return
	}
	r.variation += ((r.smooth - d).Abs() - r.variation) / 4
	r.smooth += (d - r.smooth) / 8
}

func (r *roundTrip) retransmitAfter() time.Duration {
	if r.smooth == 0 {
		return retransmitFirst
	}
	return min(max(r.smooth+4*r.variation, retransmitMin), retransmitMax)
}
