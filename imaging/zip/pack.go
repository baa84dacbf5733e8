package zip

import (
	"fmt"

	"hyzer/imaging/freemap"
	"hyzer/imaging/internal/adler"
	"hyzer/imaging/internal/deflate"
	"hyzer/imaging/ndz"
)

const (
	// splitBytesMin is the room at the end of a chunk that is worth
	// compressing a part of a piece for.
	splitBytesMin = 1024
	splitTries    = 3
	// splitPart of what is expected to fit is tried.
	splitPart    = 0.97
	trailerBytes = 2 + 4 // an empty last block, and the Adler-32
	cipherBytes  = 8     // of padding
)

// packer joins pieces to chunks of V1 to V4. It runs on one goroutine.
type packer struct {
	*output
	sealer *ndz.Sealer
	z      *deflate.Encoder
	again  []byte // a piece compressed once more

	chunk []byte // payload of the open chunk
	head  ndz.Header
	input int // bytes in the open chunk
	adler uint32
}

// unitPart is the bytes [from, to) of a unit, and where they lie.
type unitPart struct {
	u        *unit
	from, to int
}

func (p *packer) unit(u *unit) error {
	if u.joined && p.input > 0 && !p.roomy() {
		if err := p.close(u.ranges[0].Start); err != nil {
			return err
		}
	}
	for _, x := range u.pieces {
		if err := p.piece(u, x); err != nil {
			return err
		}
	}
	return nil
}

// piece adds a piece as it was compressed, if its matches stay in this chunk
// and it fits, and else in parts that are compressed again.
func (p *packer) piece(u *unit, x piece) error {
	reach := min(windowBytes, x.from)
	part := unitPart{u, x.from, x.to}
	if p.input >= reach && p.room() >= x.end-x.start && p.regionRoom(part) == x.to {
		p.add(part, u.packed[x.start:x.end], x.adler)
		return nil
	}
	ratio := float64(x.end-x.start) / float64(x.to-x.from)
	for part.from < part.to {
		part.from = p.fill(part, ratio)
		if part.from < part.to {
			if err := p.close(part.start()); err != nil {
				return err
			}
		}
	}
	return nil
}

// fill adds as much of part as goes into the open chunk, and returns where
// the rest begins. ratio is the expected compression.
func (p *packer) fill(part unitPart, ratio float64) (rest int) {
	part.to = p.regionRoom(part)
	for range splitTries {
		room := p.room()
		if expected := ratio * float64(part.to-part.from); expected > float64(room) {
			part.to = part.from + int(float64(room)/ratio*splitPart)/sectorBytes*sectorBytes
		}
		if part.to == part.from || p.input > 0 && room < splitBytesMin {
			return part.from
		}
		p.recompress(part)
		if len(p.again) <= room {
			p.add(part, p.again, adler.Checksum(part.data()))
			return part.to
		}
		ratio = float64(len(p.again)) / float64(part.to-part.from)
	}
	return part.from
}

// recompress compresses part after what of its unit is in the open chunk.
func (p *packer) recompress(part unitPart) {
	before := min(p.input, part.from, windowBytes)
	data := part.u.data[part.from-before : part.to]
	p.z.Begin(data, before)
	p.again = p.z.Append(p.again[:0], data, before, len(data))
}

func (x unitPart) data() []byte { return x.u.data[x.from:x.to] }

// start is the sector of the first byte.
func (x unitPart) start() uint64 {
	var s uint64
	x.each(func(r freemap.Range) bool { s = r.Start; return false })
	return s
}

// each calls fn for the ranges of sectors of x, until it returns false.
func (x unitPart) each(fn func(freemap.Range) bool) {
	at := 0
	for _, r := range x.u.ranges {
		size := int(r.Sectors()) * sectorBytes
		from, to := max(x.from-at, 0), min(x.to-at, size)
		if from < to && !fn(freemap.Range{Start: r.Start + uint64(from/sectorBytes), End: r.Start + uint64(to/sectorBytes)}) {
			return
		}
		if at += size; at >= x.to {
			return
		}
	}
}

// room is how many compressed bytes the open chunk still takes.
func (p *packer) room() int {
	n := ndz.PayloadBytesMax - trailerBytes - len(p.chunk)
	if p.opts.Key != nil {
		n -= cipherBytes
	}
	return n
}

// roomy tells whether the open chunk takes any piece whole.
func (p *packer) roomy() bool {
	const worst = pieceBytes + pieceBytes/8 + splitBytesMin // stored, with what stands around it
	regions := ndz.TableBytesLeft(len(p.head.Regions), len(p.layout.Relocs)) / ndz.RegionBytes
	return p.room() >= worst && regions >= pieceBytes/sectorBytes
}

// regionRoom is how far into part the region table of the open chunk reaches.
func (p *packer) regionRoom(part unitPart) int {
	left := ndz.TableBytesLeft(len(p.head.Regions), len(p.layout.Relocs)) / ndz.RegionBytes
	end := part.from
	last := p.dataEnd()
	part.each(func(r freemap.Range) bool {
		if len(p.head.Regions) == 0 && end == part.from || r.Start != last {
			left--
		}
		if left < 0 {
			return false
		}
		end += int(r.Sectors()) * sectorBytes
		last = r.End
		return true
	})
	return end
}

func (p *packer) dataEnd() uint64 {
	if n := len(p.head.Regions); n > 0 {
		return p.head.Regions[n-1].End()
	}
	return 0
}

func (p *packer) add(part unitPart, packed []byte, sum uint32) {
	n := part.to - part.from
	p.chunk = append(p.chunk, packed...)
	p.adler = adler.Combine(p.adler, sum, n)
	p.input += n
	part.each(func(r freemap.Range) bool {
		if k := len(p.head.Regions); k > 0 && p.head.Regions[k-1].End() == r.Start {
			p.head.Regions[k-1].Size += r.Sectors()
		} else {
			p.head.Regions = append(p.head.Regions, ndz.Region{Start: r.Start, Size: r.Sectors()})
		}
		return true
	})
}

// open begins an empty chunk.
func (p *packer) open() {
	p.chunk = append(p.chunk[:0], zlibHeader(p.opts.level())...)
	p.input, p.adler = 0, adler.New
	p.head.Regions = p.head.Regions[:0]
}

// close writes the open chunk; next is the sector of the data after it, up to
// which it covers the disk.
func (p *packer) close(next uint64) error {
	if p.input == 0 {
		return fmt.Errorf("chunk %d: not a single sector fits", p.stats.Chunks)
	}
	p.chunk = append(p.chunk, 3, 0) // last block, fixed codes, no data
	p.chunk = append(p.chunk, byte(p.adler>>24), byte(p.adler>>16), byte(p.adler>>8), byte(p.adler))
	h := p.head
	h.Index, h.First, h.Last = p.stats.Chunks, p.first, next
	h.Relocs = relocsIn(p.layout.Relocs, h.Regions)
	if p.opts.version() != ndz.V1 {
		h.Mark, h.End = p.layout.Mark, p.layout.Sectors
	}
	data, err := p.sealer.Seal(h, p.chunk)
	if err != nil {
		return err
	}
	c := chunk{data: data, last: next, dataEnd: p.dataEnd(), payload: len(p.chunk), input: p.input}
	if err := p.write(c); err != nil {
		return err
	}
	p.open()
	return nil
}

func relocsIn(relocs []ndz.Reloc, regions []ndz.Region) []ndz.Reloc {
	var in []ndz.Reloc
	for _, x := range relocs {
		for _, r := range regions {
			if x.Sector >= r.Start && x.Sector < r.End() {
				in = append(in, x)
			}
		}
	}
	return in
}

// zlibHeader is the two bytes before a stream of a level (RFC 1950).
func zlibHeader(level int) []byte {
	switch {
	case level <= 1:
		return []byte{0x78, 0x01}
	case level <= 5:
		return []byte{0x78, 0x5e}
	case level == 6:
		return []byte{0x78, 0x9c}
	}
	return []byte{0x78, 0xda}
}
