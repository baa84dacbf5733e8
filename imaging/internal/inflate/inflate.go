package inflate

import (
	"encoding/binary"
	"fmt"

	"hyzer/imaging/internal/adler"
)

// Decoder decodes zlib streams (RFC 1950, 1951). The whole
// compressed stream is in memory, and so is the output or at least the window
// before it, which is what makes it faster than a decoder of streams.
type Decoder struct {
	src  []byte
	pos  int    // of the next byte to load
	hold uint64 // bits loaded, next one lowest
	have uint   // how many of them are valid

	kind     blockKind
	last     bool   // this block is the last one
	stored   int    // bytes left of a stored block
	matchLen int    // left of a match that the output had no room for
	matchAt  int    // its distance
	sum      uint32 // Adler-32 of the output

	lit     [litTableSize]huffEntry
	dist    [distTableSize]huffEntry
	symbols struct {
		lit  [litSymbols]huffEntry
		dist [distSymbols]huffEntry
		ok   bool
	}
}

type blockKind int

const (
	blockNone blockKind = iota // the next block has not begun
	blockStored
	blockCodes
	blockEnd // the last block is over
)

const (
	// WindowBytes is how much of the output before it Fill needs.
	WindowBytes   = 32 << 10
	matchBytesMax = 258
	copyBytes     = 16 // moved at a time, past the end of a match
	// fastSource and fastRoom are what the fast loop needs to go round once
	// without looking where it ends.
	fastSource = 16
	fastRoom   = matchBytesMax + copyBytes + 4
)

// Fault tells what is wrong with a stream.
type Fault struct {
	Offset int // byte of the stream where it was found
	Reason string
	Err    error // cause, or nil
}

func (f *Fault) Error() string {
	if f.Err != nil {
		return fmt.Sprintf("byte %d: %s: %v", f.Offset, f.Reason, f.Err)
	}
	return fmt.Sprintf("byte %d: %s", f.Offset, f.Reason)
}

// Unwrap returns the cause.
func (f *Fault) Unwrap() error { return f.Err }

// streamFault is a fault in the compressed data.
type streamFault string

func (f streamFault) Error() string { return string(f) }

const (
	errEnds     = streamFault("it ends too early")
	errHeader   = streamFault("wrong zlib header")
	errBlock    = streamFault("unknown kind of block")
	errStored   = streamFault("stored block with wrong length")
	errCodes    = streamFault("code lengths make no code")
	errCode     = streamFault("code that stands for nothing")
	errDistance = streamFault("match reaches back before the start")
	errAdler    = streamFault("wrong Adler-32 checksum")
)

// Reset begins with the zlib header of a new stream.
func (f *Decoder) Reset(payload []byte) error {
	if !f.symbols.ok {
		for i := range f.symbols.lit {
			f.symbols.lit[i] = litEntry(i)
		}
		for i := range f.symbols.dist {
			f.symbols.dist[i] = distEntry(i)
		}
		f.symbols.ok = true
	}
	f.src, f.pos, f.hold, f.have = payload, 2, 0, 0
	f.kind, f.last, f.stored, f.matchLen = blockNone, false, 0, 0
	f.sum = adler.New
	const deflate, windowMax, dictionary = 8, 7, 0x20
	if len(payload) < 2 || payload[0]&15 != deflate || payload[0]>>4 > windowMax ||
		payload[1]&dictionary != 0 || (uint(payload[0])<<8|uint(payload[1]))%31 != 0 {
		f.pos = 0
		return f.fault(errHeader)
	}
	return nil
}

// Fill decodes into dst from byte at on, all of it. dst[:at] is the output
// before it, at least the window. total is how long all of it must be.
func (f *Decoder) Fill(dst []byte, at int, total int64) error {
	from := at
	for at < len(dst) {
		n, err := f.run(dst, at)
		if err != nil && err != errEnds {
			return f.fault(err)
		}
		if err == errEnds || n == at && f.kind == blockEnd {
			return f.faultf("compressed stream ends before the %d bytes that it must make", total)
		}
		at = n
	}
	f.sum = adler.Update(f.sum, dst[from:])
	return nil
}

// Finish checks that the stream ends here, right, and with it the payload.
// dst is the output so far, at least the window.
func (f *Decoder) Finish(dst []byte, total int64) error {
	if f.matchLen > 0 {
		return f.tooLong(total)
	}
	for f.kind != blockEnd {
		kind := f.kind
		n, err := f.run(dst, len(dst))
		if err != nil {
			return f.fault(err)
		}
		if n > len(dst) || f.matchLen > 0 || f.stored > 0 || kind == blockCodes && f.kind == blockCodes {
			return f.tooLong(total)
		}
	}
	f.drop()
	if f.pos+4 > len(f.src) {
		return f.fault(errEnds)
	}
	if want := binary.BigEndian.Uint32(f.src[f.pos:]); want != f.sum {
		return f.fault(errAdler)
	}
	if f.pos += 4; f.pos < len(f.src) {
		return f.faultf("%d bytes of payload after the compressed stream", len(f.src)-f.pos)
	}
	return nil
}

func (f *Decoder) tooLong(total int64) error {
	return f.faultf("compressed stream is longer than the %d bytes that it must make", total)
}

// run goes on with the current block, or begins the next one.
func (f *Decoder) run(dst []byte, at int) (int, error) {
	switch f.kind {
	case blockNone:
		return at, f.begin()
	case blockStored:
		return f.copyStored(dst, at)
	case blockCodes:
		at, err := f.fast(dst, at)
		if err != nil || f.kind != blockCodes {
			return at, err
		}
		return f.careful(dst, at)
	}
	return at, nil
}

// begin reads the head of a block.
func (f *Decoder) begin() error {
	if f.last {
		f.kind = blockEnd
		return nil
	}
	if !f.need(3) {
		return errEnds
	}
	f.last = f.take(1) == 1
	switch f.take(2) {
	case 0:
		return f.beginStored()
	case 1:
		f.kind = blockCodes
		return f.fixedCodes()
	case 2:
		f.kind = blockCodes
		return f.dynamicCodes()
	}
	return errBlock
}

func (f *Decoder) beginStored() error {
	f.drop()
	if f.pos+4 > len(f.src) {
		return errEnds
	}
	n := binary.LittleEndian.Uint16(f.src[f.pos:])
	if n != ^binary.LittleEndian.Uint16(f.src[f.pos+2:]) {
		return errStored
	}
	f.pos += 4
	f.stored = int(n)
	f.kind = blockStored
	if n == 0 {
		f.kind = blockNone
	}
	return nil
}

func (f *Decoder) copyStored(dst []byte, at int) (int, error) {
	if f.pos >= len(f.src) {
		return at, errEnds
	}
	n := copy(dst[at:], f.src[f.pos:min(len(f.src), f.pos+f.stored)])
	f.pos += n
	if f.stored -= n; f.stored == 0 {
		f.kind = blockNone
	}
	return at + n, nil
}

// need loads bytes until n bits are held, and tells whether there were enough.
func (f *Decoder) need(n uint) bool {
	for f.have < n && f.pos < len(f.src) {
		f.hold |= uint64(f.src[f.pos]) << f.have
		f.have += 8
		f.pos++
	}
	return f.have >= n
}

func (f *Decoder) take(n uint) uint64 {
	v := f.hold & (1<<n - 1)
	f.hold >>= n
	f.have -= n
	return v
}

// drop goes on to the next byte, giving back whole bytes that were loaded.
func (f *Decoder) drop() {
	f.pos -= int(f.have / 8)
	f.hold, f.have = 0, 0
}

func (f *Decoder) offset() int {
	return min(len(f.src), max(0, f.pos-int(f.have/8)))
}

func (f *Decoder) faultf(format string, args ...any) error {
	return &Fault{Offset: f.offset(), Reason: fmt.Sprintf(format, args...)}
}

func (f *Decoder) fault(err error) error {
	return &Fault{Offset: f.offset(), Reason: "compressed stream is damaged", Err: err}
}
