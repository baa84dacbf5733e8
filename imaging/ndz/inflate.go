package ndz

import (
	"encoding/binary"
	"hash"
	"hash/adler32"
)

// inflater decodes the one zlib stream of a chunk (RFC 1950, 1951). The whole
// compressed stream is in memory, and so is the output or at least the window
// before it, which is what makes it faster than a decoder of streams.
type inflater struct {
	src  []byte
	pos  int    // of the next byte to load
	hold uint64 // bits loaded, next one lowest
	have uint   // how many of them are valid

	kind     blockKind
	last     bool // this block is the last one
	stored   int  // bytes left of a stored block
	matchLen int  // left of a match that the output had no room for
	matchAt  int  // its distance
	sum      hash.Hash32

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
	windowBytes   = 32 << 10
	matchBytesMax = 258
	copyBytes     = 16 // moved at a time, past the end of a match
	// fastSource and fastRoom are what the fast loop needs to go round once
	// without looking where it ends.
	fastSource = 16
	fastRoom   = matchBytesMax + copyBytes + 4
)

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

// reset begins with the zlib header of a new stream.
func (f *inflater) reset(payload []byte) error {
	if !f.symbols.ok {
		for i := range f.symbols.lit {
			f.symbols.lit[i] = litEntry(i)
		}
		for i := range f.symbols.dist {
			f.symbols.dist[i] = distEntry(i)
		}
		f.symbols.ok = true
		f.sum = adler32.New()
	}
	f.src, f.pos, f.hold, f.have = payload, 2, 0, 0
	f.kind, f.last, f.stored, f.matchLen = blockNone, false, 0, 0
	f.sum.Reset()
	const deflate, windowMax, dictionary = 8, 7, 0x20
	if len(payload) < 2 || payload[0]&15 != deflate || payload[0]>>4 > windowMax ||
		payload[1]&dictionary != 0 || (uint(payload[0])<<8|uint(payload[1]))%31 != 0 {
		f.pos = 0
		return f.fault(errHeader)
	}
	return nil
}

// fill decodes into dst from byte at on, all of it. dst[:at] is the output
// before it, at least the window. total is what the regions add up to.
func (f *inflater) fill(dst []byte, at int, total int64) error {
	from := at
	for at < len(dst) {
		n, err := f.run(dst, at)
		if err != nil && err != errEnds {
			return f.fault(err)
		}
		if err == errEnds || n == at && f.kind == blockEnd {
			return faultf(f.offset(), "compressed stream ends before the %d bytes of the regions", total)
		}
		at = n
	}
	f.sum.Write(dst[from:])
	return nil
}

// finish checks that the stream ends here, right, and with it the payload.
// dst is the output so far, at least the window.
func (f *inflater) finish(dst []byte, total int64) error {
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
	if want := binary.BigEndian.Uint32(f.src[f.pos:]); want != f.sum.Sum32() {
		return f.fault(errAdler)
	}
	if f.pos += 4; f.pos < len(f.src) {
		return faultf(f.offset(), "%d bytes of payload after the compressed stream", len(f.src)-f.pos)
	}
	return nil
}

func (f *inflater) tooLong(total int64) error {
	return faultf(f.offset(), "compressed stream is longer than the %d bytes of the regions", total)
}

// run goes on with the current block, or begins the next one.
func (f *inflater) run(dst []byte, at int) (int, error) {
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
func (f *inflater) begin() error {
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

func (f *inflater) beginStored() error {
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

func (f *inflater) copyStored(dst []byte, at int) (int, error) {
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

func (f *inflater) fixedCodes() error {
	var lengths [litSymbols]uint8
	for i := range lengths {
		switch {
		case i < 144:
			lengths[i] = 8
		case i < 256:
			lengths[i] = 9
		case i < 280:
			lengths[i] = 7
		default:
			lengths[i] = 8
		}
	}
	buildTable(f.lit[:], litTableBits, lengths[:], f.symbols.lit[:])
	var dist [distSymbols]uint8
	for i := range dist {
		dist[i] = 5
	}
	buildTable(f.dist[:], distTableBits, dist[:], f.symbols.dist[:])
	return nil
}

// dynamicCodes reads the code lengths of a block (RFC 1951, 3.2.7).
func (f *inflater) dynamicCodes() error {
	if !f.need(14) {
		return errEnds
	}
	nlit, ndist, nlen := int(f.take(5))+257, int(f.take(5))+1, int(f.take(4))+4
	if nlit > litCodesMax || ndist > distCodesMax {
		return errCodes
	}
	var lengths [litCodesMax + distCodesMax]uint8
	if err := f.codeLengths(lengths[:nlit+ndist], nlen); err != nil {
		return err
	}
	if lengths[endOfBlock] == 0 ||
		!buildTable(f.lit[:], litTableBits, lengths[:nlit], f.symbols.lit[:]) ||
		!buildTable(f.dist[:], distTableBits, lengths[nlit:nlit+ndist], f.symbols.dist[:]) {
		return errCodes
	}
	return nil
}

const (
	lengthSymbols   = 19
	lengthTableBits = 7
)

// codeLengths reads run-length coded code lengths. The code they are coded
// with is kept where the distances will be.
func (f *inflater) codeLengths(lengths []uint8, nlen int) error {
	order := [lengthSymbols]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}
	var own [lengthSymbols]uint8
	var entries [lengthSymbols]huffEntry
	for i := range entries {
		entries[i] = huffEntry(i) << 16
	}
	for _, symbol := range order[:nlen] {
		if !f.need(3) {
			return errEnds
		}
		own[symbol] = uint8(f.take(3))
	}
	if !buildTable(f.dist[:], lengthTableBits, own[:], entries[:]) {
		return errCodes
	}
	for i := 0; i < len(lengths); {
		f.need(codeBitsMax) // as far as there are any
		e := f.dist[f.hold&(1<<lengthTableBits-1)]
		if e&entryLink != 0 {
			return errCode
		}
		if uint(e&63) > f.have {
			return errEnds
		}
		f.take(uint(e & 63))
		symbol := uint8(e >> 16)
		if symbol < 16 {
			lengths[i] = symbol
			i++
			continue
		}
		n, err := f.repeat(lengths, i, symbol)
		if err != nil {
			return err
		}
		i += n
	}
	return nil
}

// repeat fills a run of equal lengths from i on.
func (f *inflater) repeat(lengths []uint8, i int, symbol uint8) (int, error) {
	bits, base, value := uint(2), 3, uint8(0)
	switch symbol {
	case 16:
		if i == 0 {
			return 0, errCodes
		}
		value = lengths[i-1]
	case 17:
		bits = 3
	default:
		bits, base = 7, 11
	}
	if !f.need(bits) {
		return 0, errEnds
	}
	n := base + int(f.take(bits))
	if i+n > len(lengths) {
		return 0, errCodes
	}
	for j := range n {
		lengths[i+j] = value
	}
	return n, nil
}

// fast decodes as long as there is plenty of input and of room.
func (f *inflater) fast(dst []byte, at int) (int, error) {
	if f.matchLen > 0 {
		return at, nil
	}
	src, pos, hold, have := f.src, f.pos, f.hold, f.have
	lit, dist := &f.lit, &f.dist
	var err error
	for pos+fastSource <= len(src) && at+fastRoom <= len(dst) {
		hold |= binary.LittleEndian.Uint64(src[pos:]) << (have & 63)
		pos += int(63-have) >> 3
		have |= 56
		e := lit[hold&(1<<litTableBits-1)]
		if e&entryLiteral != 0 {
			// Up to three literals take no more than 33 of 56 bits, or
			// one of them leads to a second table.
			hold >>= e & 63
			have -= uint(e & 63)
			dst[at] = byte(e >> 16)
			at++
			e = lit[hold&(1<<litTableBits-1)]
			if e&entryLiteral != 0 {
				hold >>= e & 63
				have -= uint(e & 63)
				dst[at] = byte(e >> 16)
				at++
				e = lit[hold&(1<<litTableBits-1)]
				if e&entryLiteral != 0 {
					hold >>= e & 63
					have -= uint(e & 63)
					dst[at] = byte(e >> 16)
					at++
					continue
				}
			}
			hold |= binary.LittleEndian.Uint64(src[pos:]) << (have & 63)
			pos += int(63-have) >> 3
			have |= 56
		}
		if e&entryInvalid == entryLink {
			hold >>= e & 63
			have -= uint(e & 63)
			e = lit[(uint64(e>>16)+hold&(1<<(e>>8&31)-1))&(litTableSize-1)]
			if e&entryLiteral != 0 {
				hold >>= e & 63
				have -= uint(e & 63)
				dst[at] = byte(e >> 16)
				at++
				continue
			}
		}
		if e&entryEnd != 0 {
			if e&entryLink != 0 {
				err = errCode
				break
			}
			hold >>= e & 63
			have -= uint(e & 63)
			f.kind = blockNone
			break
		}
		length := int(e>>16) + int(hold&(1<<(e&63)-1)>>(e>>8&31))
		hold >>= e & 63
		have -= uint(e & 63)
		d := dist[hold&(1<<distTableBits-1)]
		if d&entryInvalid == entryLink {
			hold >>= d & 63
			have -= uint(d & 63)
			d = dist[(uint64(d>>16)+hold&(1<<(d>>8&31)-1))&(distTableSize-1)]
		}
		if d&entryInvalid != 0 {
			err = errCode
			break
		}
		distance := int(d>>16) + int(hold&(1<<(d&63)-1)>>(d>>8&31))
		hold >>= d & 63
		have -= uint(d & 63)
		if distance > at {
			err = errDistance
			break
		}
		copyMatch(dst, at, distance, length)
		at += length
	}
	// What lies above the valid bits of hold came from bytes that are to be
	// loaded again.
	f.pos, f.hold, f.have = pos, hold&(1<<(have&63)-1), have
	return at, err
}

// copyMatch repeats length bytes from distance back. It may write up to
// copyBytes more.
func copyMatch(dst []byte, at, distance, length int) {
	from := at - distance
	if distance >= copyBytes {
		for n := 0; n < length; n += copyBytes {
			*(*[copyBytes]byte)(dst[at+n:]) = *(*[copyBytes]byte)(dst[from+n:])
		}
		return
	}
	if distance == 1 {
		run := 0x0101010101010101 * uint64(dst[from])
		for n := 0; n < length; n += 8 {
			binary.LittleEndian.PutUint64(dst[at+n:], run)
		}
		return
	}
	for n := 0; n < length; {
		n += copy(dst[at+n:at+length], dst[from:at+n])
	}
}

// careful decodes symbol by symbol, minding the end of input and of room.
func (f *inflater) careful(dst []byte, at int) (int, error) {
	for {
		if f.matchLen > 0 {
			at = f.copyRest(dst, at)
			if f.matchLen > 0 {
				return at, nil
			}
		}
		if len(dst)-at >= fastRoom && len(f.src)-f.pos >= fastSource {
			return at, nil
		}
		f.need(48)
		hold, have := f.hold, f.have
		e, err := f.symbol(f.lit[:], litTableBits)
		switch {
		case err != nil:
			return at, err
		case e&entryEnd != 0:
			f.consume(e)
			f.kind = blockNone
			return at, nil
		case e&entryLiteral != 0 && at == len(dst):
			f.hold, f.have = hold, have
			return at, nil
		case e&entryLiteral != 0:
			f.consume(e)
			dst[at] = byte(e >> 16)
			at++
			continue
		}
		f.matchLen = f.value(e)
		if e, err = f.symbol(f.dist[:], distTableBits); err != nil {
			return at, err
		}
		if f.matchAt = f.value(e); f.matchAt > at {
			return at, errDistance
		}
	}
}

// copyRest copies what of the current match there is room for.
func (f *inflater) copyRest(dst []byte, at int) int {
	n := min(f.matchLen, len(dst)-at)
	for i := range n {
		dst[at+i] = dst[at+i-f.matchAt]
	}
	f.matchLen -= n
	return at + n
}

// symbol finds the entry of the next code, with all its bits held, and moves
// on to a second table if need be.
func (f *inflater) symbol(table []huffEntry, width uint) (huffEntry, error) {
	f.need(48) // as far as there are any
	e := table[f.hold&(1<<width-1)]
	if e&entryInvalid == entryLink {
		if f.have < width {
			return 0, errEnds
		}
		f.take(width)
		e = table[uint64(e>>16)+f.hold&(1<<(e>>8&31)-1)]
	}
	switch {
	case e&entryInvalid == entryInvalid:
		return 0, errCode
	case uint(e&63) > f.have:
		return 0, errEnds
	}
	return e, nil
}

func (f *inflater) consume(e huffEntry) { f.take(uint(e & 63)) }

// value consumes a code with its extra bits.
func (f *inflater) value(e huffEntry) int {
	v := int(e>>16) + int(f.hold&(1<<(e&63)-1)>>(e>>8&31))
	f.consume(e)
	return v
}

// need loads bytes until n bits are held, and tells whether there were enough.
func (f *inflater) need(n uint) bool {
	for f.have < n && f.pos < len(f.src) {
		f.hold |= uint64(f.src[f.pos]) << f.have
		f.have += 8
		f.pos++
	}
	return f.have >= n
}

func (f *inflater) take(n uint) uint64 {
	v := f.hold & (1<<n - 1)
	f.hold >>= n
	f.have -= n
	return v
}

// drop goes on to the next byte, giving back whole bytes that were loaded.
func (f *inflater) drop() {
	f.pos -= int(f.have / 8)
	f.hold, f.have = 0, 0
}

func (f *inflater) offset() int {
	return HeaderAreaBytes + min(len(f.src), max(0, f.pos-int(f.have/8)))
}

func (f *inflater) fault(err error) error {
	return &FormatError{Chunk: -1, Offset: f.offset(), Reason: "compressed stream is damaged", Err: err}
}
