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

// Encoder makes frames. It is for one goroutine.
type Encoder struct {
	find    *finder
	huff    *huff0.Scratch
	coders  [kinds]coder
	book    *codeBook
	logs    [cellsMax + 1]uint16 // of numbers of cells
	history history
	coded   []coded
}

// New returns an Encoder.
func New() *Encoder {
	e := &Encoder{find: newFinder(), huff: &huff0.Scratch{}, book: newCodeBook()}
	e.coded = make([]coded, len(e.find.sequences))
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
	e.find.forget()
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
type State struct {
	last
	history
}

// State returns where e is, for Rewind.
func (e *Encoder) State() State { return State{e.find.last, e.history} }

// Rewind goes back to a state in the same frame. What was appended since is not
// in the frame: the next call of Append has the same data again, cut elsewhere.
func (e *Encoder) Rewind(s State) {
	e.find.last, e.history = s.last, s.history
	e.forget()
}

// AppendHead appends what a frame begins with.
func AppendHead(dst []byte) []byte {
	const minLog = 10
	return append(dst, 0x28, 0xb5, 0x2f, 0xfd, 0, (windowLog-minLog)<<3)
}

// AppendEnd appends what a frame ends with: a last block of no bytes.
func AppendEnd(dst []byte) []byte { return append(dst, 1, 0, 0) }

// Append compresses data[from:to] into blocks, none of them the last, and
// appends them to dst. Since Reset all calls must be for the same data, one part
// after the other from byte 0 on, at most DataBytesMax in all.
func (e *Encoder) Append(dst, data []byte, from, to int) []byte {
	for from < to {
		end := min(from+BlockBytesMax, to)
		dst = e.block(dst, data, from, end)
		from = end
	}
	return dst
}

// block appends one block.
func (e *Encoder) block(dst, data []byte, from, to int) []byte {
	e.find.find(data, from, to)
	dst = slices.Grow(dst, blockHeadBytes+literalsHeadBytesMax+BlockBytesMax+tablesBytesMax+e.find.n*sequenceBytesMax)
	w := bitWriter{b: dst[:cap(dst)], at: len(dst)}
	before := e.history
	if !e.press(&w, to-from) {
		e.history = before
		e.forget()
		w = bitWriter{b: w.b, at: len(dst)}
		w.raw(data[from:to])
	}
	return w.b[:w.at]
}
