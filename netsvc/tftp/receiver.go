package tftp

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// errOack says that a server granted what was not asked or not allowed.
var errOack = errors.New("bad option acknowledgement")

// receipt is what the receiving machine wants done: write data to the file,
// send an ACK, both, or neither. done follows the final ACK.
type receipt struct {
	data []byte
	ack  bool
	num  uint16 // block to ACK
	done bool
	err  error
}

// receiver is the receiving end of one transfer as a pure machine (RFC 1350,
// 7440). It accepts blocks in order only: a gap is answered once with the last
// block it has, and the sender goes back.
type receiver struct {
	asked      []Option
	blockBytes int
	window     int
	sizeBytes  int64 // from tsize; -1: unknown

	started  bool // OACK or DATA 1 was taken
	got      uint64
	gotBytes int64
	unacked  int  // blocks taken since the last ACK
	gap      bool // an ACK for this gap was sent already
	finished bool
}

func newReceiver(asked []Option) *receiver {
	return &receiver{asked: asked, blockBytes: blockBytesDefault, window: 1, sizeBytes: -1}
}

// oack takes the server's OACK.
func (r *receiver) oack(granted []Option) receipt {
	if r.started {
		if r.got == 0 { // our ACK 0 was lost
			return receipt{ack: true}
		}
		return receipt{}
	}
	for _, g := range granted {
		if err := r.grant(g); err != nil {
			return receipt{err: err}
		}
	}
	r.started = true
	return receipt{ack: true}
}

func (r *receiver) grant(g Option) error {
	value, err := strconv.ParseInt(g.Value, 10, 64)
	asked, found := r.askedValue(g.Name)
	if !found || err != nil || value < 0 {
		return fmt.Errorf("%w: %q = %q", errOack, g.Name, g.Value)
	}
	switch name := strings.ToLower(g.Name); {
	case name == optionSize:
		r.sizeBytes = value
	case name == optionBlockBytes && value >= blockBytesMin && value <= asked:
		r.blockBytes = int(value)
	case name == optionWindow && value >= 1 && value <= asked:
		r.window = int(value)
	case name == optionTimeout && value == asked:
	default:
		return fmt.Errorf("%w: %q = %q, asked %d", errOack, g.Name, g.Value, asked)
	}
	return nil
}

func (r *receiver) askedValue(name string) (int64, bool) {
	for _, a := range r.asked {
		if strings.EqualFold(a.Name, name) {
			n, err := strconv.ParseInt(a.Value, 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// data takes a DATA packet. The payload handed back is the caller's buffer.
func (r *receiver) data(block uint16, payload []byte) receipt {
	r.started = true // DATA as the first answer: the server knows no options
	switch {
	case len(payload) > r.blockBytes:
		return receipt{err: fmt.Errorf("block %d has %d bytes, agreed were %d", block, len(payload), r.blockBytes)}
	case block != uint16(r.got+1) || r.finished:
		return r.unexpected(block)
	}
	r.got++
	r.gotBytes += int64(len(payload))
	r.unacked++
	r.gap = false
	out := receipt{data: payload}
	if len(payload) < r.blockBytes {
		r.finished, out.done = true, true
		if r.sizeBytes >= 0 && r.gotBytes != r.sizeBytes {
			return receipt{err: fmt.Errorf("file ended after %d bytes, tsize promised %d", r.gotBytes, r.sizeBytes)}
		}
	}
	if out.done || r.unacked >= r.window {
		out.ack, out.num = true, uint16(r.got)
		r.unacked = 0
	}
	return out
}

// unexpected answers the first block after a gap, and the block acknowledged
// last when it comes again with nothing newer: our ACK was lost. In the middle
// of a window a copy is no question, and an ACK would make the sender go back
// and send more copies, each with its answer, to the end of the file.
func (r *receiver) unexpected(block uint16) receipt {
	ahead := block - uint16(r.got)
	isAhead := ahead > 0 && int(ahead) <= 2*r.window
	resent := ahead == 0 && r.unacked == 0
	if (isAhead && r.gap) || (!isAhead && !resent) {
		return receipt{}
	}
	r.gap = isAhead
	r.unacked = 0
	return receipt{ack: true, num: uint16(r.got)}
}

// silence answers a time-out: say again what we have. It must not be called
// before the first answer of the server.
func (r *receiver) silence() receipt {
	r.unacked, r.gap = 0, false
	return receipt{ack: true, num: uint16(r.got)}
}
