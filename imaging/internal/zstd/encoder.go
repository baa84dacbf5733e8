package zstd

import (
	"math"
	"slices"

	"github.com/klauspost/compress/huff0"
)

const (
	// BlockBytesMax is the most data that makes one block.
	BlockBytesMax = 128 << 10
	// DataBytesMax is the most data that can be in one frame, and the window
	// that a decoder needs.
	DataBytesMax = 1 << windowLog
	windowLog    = 24
)

// Encoder codes what a Finder found to frames. It is for one goroutine.
type Encoder struct {
	huff     *huff0.Scratch
	coders   [kinds]coder
	book     *codeBook
	logs     [cellsMax + 1]uint16 // of numbers of cells
	history  history
	literals []byte // of the block, with room for a bit more
	coded    []coded
	parts    []sequence // room for those that are not as they were found
}

// NewEncoder returns an Encoder at the beginning of a frame.
func NewEncoder() *Encoder {
	e := &Encoder{huff: &huff0.Scratch{}, book: newCodeBook(), literals: make([]byte, 0, BlockBytesMax+wildBytes)}
	e.coded, e.parts = make([]coded, sequencesMax), make([]sequence, 0, sequencesMax)
	specs := newSpecs()
	for kind := range e.coders {
		e.coders[kind].spec = &specs[kind]
	}
	for i := range e.logs[1:] {
		e.logs[i+1] = uint16(math.Round(math.Log2(float64(i+1)) * (1 << logFraction)))
	}
	e.Reset()
	return e
}

// Reset begins a frame.
func (e *Encoder) Reset() {
	e.forget()
	e.history = newHistory()
}

// forget has the next block bring its own tables.
func (e *Encoder) forget() {
	e.huff.Reuse = huff0.ReusePolicyNone
	for kind := range e.coders {
		e.coders[kind].known = false
	}
}

// State is where an Encoder is in a frame.
type State struct{ history }

// State returns where e is, for Rewind.
func (e *Encoder) State() State { return State{e.history} }

// Rewind goes back to a state in the same frame. What was appended since is not
// in the frame: the next call of Append has the same data again, cut elsewhere.
func (e *Encoder) Rewind(s State) {
	e.history = s.history
	e.forget()
}

// AppendHead appends what a frame begins with.
func AppendHead(dst []byte) []byte {
	const minLog = 10
	return append(dst, 0x28, 0xb5, 0x2f, 0xfd, 0, (windowLog-minLog)<<3)
}

// AppendEnd appends what a frame ends with: a last block of no bytes.
func AppendEnd(dst []byte) []byte { return append(dst, 1, 0, 0) }

// Append codes data[from:to], in which m are the matches or a part of them, to
// a block, not the last, and appends it to dst. Since Reset all calls must be for
// the same data, one part after the other from byte 0 on, at most DataBytesMax in
// all.
func (e *Encoder) Append(dst, data []byte, m *Matches, from, to int) []byte {
	list := m.part(e.parts, from, to)
	dst = slices.Grow(dst, blockHeadBytes+literalsHeadBytesMax+BlockBytesMax+tablesBytesMax+len(list)*sequenceBytesMax)
	w := bitWriter{b: dst[:cap(dst)], at: len(dst)}
	before := e.history
	if !e.press(&w, data[:to], list, from) {
		e.history = before
		e.forget()
		w = bitWriter{b: w.b, at: len(dst)}
		w.raw(data[from:to])
	}
	return w.b[:w.at]
}

// wildBytes is how much is copied at once.
const wildBytes = 16

// collect copies what is in no match.
func (e *Encoder) collect(data []byte, list []sequence, at int) {
	to, n := e.literals[:cap(e.literals)], 0
	for _, s := range list {
		size := int(s.literals)
		if size <= wildBytes && at+wildBytes <= len(data) {
			*(*[wildBytes]byte)(to[n:]) = *(*[wildBytes]byte)(data[at:])
		} else {
			copy(to[n:], data[at:at+size])
		}
		n += size
		at += size + int(s.length)
	}
	n += copy(to[n:], data[at:])
	e.literals = to[:n]
}
