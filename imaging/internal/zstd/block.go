package zstd

import (
	"encoding/binary"
	"math/bits"

	"github.com/klauspost/compress/huff0"
)

// Types of blocks and of literals (RFC 8878, 3.1.1.2 and 3.1.1.3.1).
const (
	blockRaw        = 0
	blockCompressed = 2

	literalsRaw      = 0
	literalsSame     = 1
	literalsSent     = 2
	literalsTreeless = 3
)

const (
	blockHeadBytes = 3
	// literalsHeadBytesMax, sequenceBytesMax and tablesBytesMax bound what is
	// written.
	literalsHeadBytesMax = 5
	sequenceBytesMax     = 11
	tablesBytesMax       = 1 << 10
	// fourStreamsBytes is from when on literals are four streams.
	fourStreamsBytes = 1024
	// litsBytesMin is the fewest literals that are worth a code.
	litsBytesMin = 32
)

// press writes the block of data[from:], of which list are the sequences. It
// returns false if that is not smaller.
func (e *Encoder) press(w *bitWriter, data []byte, list []sequence, from int) bool {
	size := len(data) - from
	least := w.at + size - size>>6 - 2
	head := w.at
	w.at += blockHeadBytes
	e.collect(data, list, from)
	e.codeLiterals(w)
	e.codeSequences(w, list)
	if w.at >= least {
		return false
	}
	n := w.at - head - blockHeadBytes
	w.b[head], w.b[head+1], w.b[head+2] = byte(n<<3|blockCompressed<<1), byte(n>>5), byte(n>>13)
	return true
}

// raw writes a block that is not compressed.
func (w *bitWriter) raw(data []byte) {
	w.little(uint64(len(data))<<3|blockRaw<<1, blockHeadBytes)
	w.bytes(data)
}

// codeLiterals writes the literals.
func (e *Encoder) codeLiterals(w *bitWriter) {
	lits := e.literals
	var out []byte
	var reused bool
	err := huff0.ErrIncompressible
	switch {
	case len(lits) >= fourStreamsBytes:
		out, reused, err = huff0.Compress4X(lits, e.huff)
	case len(lits) >= litsBytesMin:
		out, reused, err = huff0.Compress1X(lits, e.huff)
	}
	switch {
	case err == huff0.ErrUseRLE:
		w.plainLiterals(literalsSame, lits[:1], len(lits))
	case err != nil || len(out)+literalsHeadBytesMax >= len(lits):
		if err == nil && !reused {
			e.huff.Reuse = huff0.ReusePolicyNone // what the decoder does not have
		}
		w.plainLiterals(literalsRaw, lits, len(lits))
	default:
		e.huff.Reuse = huff0.ReusePolicyAllow
		kind := uint64(literalsSent)
		if reused {
			kind = literalsTreeless
		}
		w.codedLiterals(kind, out, len(lits))
	}
}

func (w *bitWriter) plainLiterals(kind int, text []byte, size int) {
	switch n := uint64(size); {
	case n < 1<<5:
		w.little(n<<3|uint64(kind), 1)
	case n < 1<<12:
		w.little(n<<4|1<<2|uint64(kind), 2)
	default:
		w.little(n<<4|3<<2|uint64(kind), 3)
	}
	w.bytes(text)
}

func (w *bitWriter) codedLiterals(kind uint64, out []byte, size int) {
	n, m := uint64(size), uint64(len(out))
	switch {
	case size < fourStreamsBytes:
		w.little(m<<14|n<<4|0<<2|kind, 3)
	case size < 1<<14:
		w.little(m<<18|n<<4|2<<2|kind, 4)
	default:
		w.little(m<<22|n<<4|3<<2|kind, 5)
	}
	w.bytes(out)
}

// codeSequences writes the sequences.
func (e *Encoder) codeSequences(w *bitWriter, list []sequence) {
	switch n := uint64(len(list)); {
	case n < 128:
		w.little(n, 1)
	case n < 0x7f00:
		w.little((n>>8+128)|n&0xff<<8, 2)
	default:
		w.little(255|(n-0x7f00)<<8, 3)
	}
	if len(list) == 0 {
		return
	}
	e.code(list)
	modes := w.at
	w.at++
	var b byte
	for kind := range e.coders {
		c := &e.coders[kind]
		c.choose(len(list), &e.logs)
		b = b<<2 | byte(c.mode)
		switch c.mode {
		case modeSame:
			w.little(uint64(c.symbol), 1)
		case modeSent:
			c.inUse().appendNorm(w)
		}
	}
	w.b[modes] = b << 2
	e.stream(w, e.coded[:len(list)])
}

// coded is the codes of a sequence, and what they leave open.
type coded struct {
	lit, match, dist uint8
	bits             uint8 // at most 16+16+windowLog
	extra            uint64
}

// code finds the codes of sequences, and counts them.
func (e *Encoder) code(list []sequence) {
	for kind := range e.coders {
		clear(e.coders[kind].count[:])
	}
	lits, dists, matches := &e.coders[litLengths].count, &e.coders[offsets].count, &e.coders[matchLengths].count
	book, h := e.book, e.history
	out := e.coded[:len(list)]
	for i, s := range list {
		v := h.value(s)
		c := coded{lit: book.lit(s.literals), match: book.match(s.length), dist: uint8(bits.Len32(v) - 1)}
		n, m := book.litBits[c.lit&codesMask], book.matchBits[c.match&codesMask]
		extra := uint64(v) & (1<<(c.dist&63) - 1)
		extra = extra<<(m&63) | uint64(s.length-matchBase)&(1<<(m&63)-1)
		c.extra = extra<<(n&63) | uint64(s.literals)&(1<<(n&63)-1)
		c.bits = n + m + c.dist
		lits[c.lit&codesMask]++
		dists[c.dist&codesMask]++
		matches[c.match&codesMask]++
		out[i] = c
	}
	e.history = h
}

// stream writes the bits of sequences, the last one first (3.1.1.3.2.1.2).
func (e *Encoder) stream(w *bitWriter, list []coded) {
	last := list[len(list)-1]
	lit, dist, match := e.coders[litLengths].inUse(), e.coders[offsets].inUse(), e.coders[matchLengths].inUse()
	l, d, m := lit.start(last.lit), dist.start(last.dist), match.start(last.match)
	w.add(last.extra, uint(last.bits))
	w.flush()
	b, at, hold, have := w.b, w.at, w.hold, w.have // in registers
	for i := len(list) - 2; i >= 0; i-- {
		c := &list[i]
		var v, n uint32
		d, v, n = dist.code(d, c.dist)
		hold, have = hold|uint64(v)<<(have&63), have+uint(n)
		m, v, n = match.code(m, c.match)
		hold, have = hold|uint64(v)<<(have&63), have+uint(n)
		l, v, n = lit.code(l, c.lit)
		hold, have = hold|uint64(v)<<(have&63), have+uint(n)
		binary.LittleEndian.PutUint64(b[at:], hold)
		at, hold, have = at+int(have>>3), hold>>(have&56), have&7
		hold, have = hold|c.extra<<(have&63), have+uint(c.bits)
		binary.LittleEndian.PutUint64(b[at:], hold)
		at, hold, have = at+int(have>>3), hold>>(have&56), have&7
	}
	w.at, w.hold, w.have = at, hold, have
	match.end(w, m)
	dist.end(w, d)
	lit.end(w, l)
	w.add(1, 1)
	w.pad()
}
