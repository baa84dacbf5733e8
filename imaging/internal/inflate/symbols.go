package inflate

import "encoding/binary"

// fast decodes as long as there is plenty of input and of room.
func (f *Decoder) fast(dst []byte, at int) (int, error) {
	if f.matchLen > 0 {
		return at, nil
	}
	src, pos, hold, have := f.src, f.pos, f.hold, f.have
	lit, dist := &f.lit, &f.dist
	for pos+fastSource <= len(src) && at+fastRoom <= len(dst) {
		hold |= binary.LittleEndian.Uint64(src[pos:]) << (have & 63)
		pos += int(63-have) >> 3
		have |= 56
		e := lit[hold&(1<<litTableBits-1)]
		if e&entryLiteral != 0 {
			hold, have = hold>>(e&63), have-uint(e&63)
			dst[at] = byte(e >> 16)
			at++
			e = lit[hold&(1<<litTableBits-1)]
			if e&entryLiteral != 0 {
				hold, have = hold>>(e&63), have-uint(e&63)
				dst[at] = byte(e >> 16)
				at++
				e = lit[hold&(1<<litTableBits-1)]
				if e&entryLiteral != 0 {
					hold, have = hold>>(e&63), have-uint(e&63)
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
			hold, have = hold>>(e&63), have-uint(e&63)
			if e = lit[second(e, hold)&(litTableSize-1)]; e&entryLiteral != 0 {
				hold, have = hold>>(e&63), have-uint(e&63)
				dst[at] = byte(e >> 16)
				at++
				continue
			}
		}
		if e&entryEnd != 0 {
			return f.leave(pos, hold>>(e&63), have-uint(e&63), at, e)
		}
		length := value(e, hold)
		hold, have = hold>>(e&63), have-uint(e&63)
		d := dist[hold&(1<<distTableBits-1)]
		if d&entryInvalid == entryLink {
			hold, have = hold>>(d&63), have-uint(d&63)
			d = dist[second(d, hold)&(distTableSize-1)]
		}
		distance := value(d, hold)
		if d&entryInvalid != 0 || distance > at {
			return f.leave(pos, hold, have, at, d|entryInvalid)
		}
		hold, have = hold>>(d&63), have-uint(d&63)
		if distance < copyBytes {
			copyNear(dst, at, distance, length)
		} else {
			*(*[copyBytes]byte)(dst[at:]) = *(*[copyBytes]byte)(dst[at-distance:])
			for n := copyBytes; n < length; n += copyBytes {
				*(*[copyBytes]byte)(dst[at+n:]) = *(*[copyBytes]byte)(dst[at-distance+n:])
			}
		}
		at += length
	}
	return f.leave(pos, hold, have, at, 0)
}

// second is the place in the second table that a link leads to.
func second(link huffEntry, hold uint64) uint64 {
	return uint64(link>>16) + hold&(1<<(link>>8&31)-1)
}

// value is the length or distance of an entry with its extra bits.
func value(e huffEntry, hold uint64) int {
	return int(e>>16) + int(hold&(1<<(e&63)-1)>>(e>>8&31))
}

// leave ends the fast loop, at the end of the block if e says so. What lies
// above the valid bits of hold came from bytes that are to be loaded again.
func (f *Decoder) leave(pos int, hold uint64, have uint, at int, e huffEntry) (int, error) {
	f.pos, f.hold, f.have = pos, hold&(1<<(have&63)-1), have
	switch {
	case e&entryInvalid == entryInvalid && e>>16 != 0:
		return at, errDistance
	case e&entryInvalid == entryInvalid:
		return at, errCode
	case e&entryEnd != 0:
		f.kind = blockNone
	}
	return at, nil
}

// copyNear repeats length bytes from less than copyBytes back. It may write up
// to copyBytes more.
func copyNear(dst []byte, at, distance, length int) {
	from := at - distance
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
func (f *Decoder) careful(dst []byte, at int) (int, error) {
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
		f.matchLen = f.taken(e)
		if e, err = f.symbol(f.dist[:], distTableBits); err != nil {
			return at, err
		}
		if f.matchAt = f.taken(e); f.matchAt > at {
			return at, errDistance
		}
	}
}

// copyRest copies what of the current match there is room for.
func (f *Decoder) copyRest(dst []byte, at int) int {
	n := min(f.matchLen, len(dst)-at)
	for i := range n {
		dst[at+i] = dst[at+i-f.matchAt]
	}
	f.matchLen -= n
	return at + n
}

// symbol finds the entry of the next code, with all its bits held, and moves
// on to a second table if need be.
func (f *Decoder) symbol(table []huffEntry, width uint) (huffEntry, error) {
	f.need(48) // as far as there are any
	e := table[f.hold&(1<<width-1)]
	if e&entryInvalid == entryLink {
		if f.have < width {
			return 0, errEnds
		}
		f.take(width)
		e = table[second(e, f.hold)]
	}
	switch {
	case e&entryInvalid == entryInvalid:
		return 0, errCode
	case uint(e&63) > f.have:
		return 0, errEnds
	}
	return e, nil
}

func (f *Decoder) consume(e huffEntry) { f.take(uint(e & 63)) }

// taken consumes a code with its extra bits.
func (f *Decoder) taken(e huffEntry) int {
	v := value(e, f.hold)
	f.consume(e)
	return v
}
