package zip

import (
	"fmt"
	"slices"

	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
	"hyzer/imaging/v5"
)

// room is how much payload the chunk takes after what is certain to fit.
func (p *five) room() int { return v5.PayloadBytesMax - endBytes - p.cutPacked }

// expect says when to measure next, and how far to go on before, if the data
// compresses to ratio of itself.
func (p *five) expect(ratio float64) {
	room := float64(p.room()) / max(ratio, 1e-3)
	p.measure = p.after(min(int(fillPart*room), p.squeeze.step()))
	p.until = max(p.measure, min(p.measure+p.squeeze.ahead(), p.after(int(room))))
}

// after is where the stream has whole blocks of about n bytes after the cut.
func (p *five) after(n int) int {
	return min(p.cut+max(n/p.blockBytes(), 1)*p.blockBytes(), v5.StreamBytesMax)
}

// blockBytes is the unit that chunks are filled in.
func (p *five) blockBytes() int { return int(p.divider.sectors) * sectorBytes }

// worth tells whether there is room for so many blocks more.
func (p *five) worth(blocks int) bool { return p.room() >= blocks*(p.blockBytes()+frameBytesMax) }

// feed gives the compressor the stream up to byte end.
func (p *five) feed(end int) error {
	err := p.squeeze.write(p.stream, p.fed, end)
	p.fed = end
	return err
}

// feedAhead gives the compressor what it can begin with.
func (p *five) feedAhead() error {
	for {
		end := min(p.fed+min(feedBytes, p.squeeze.step()), p.until)
		if end <= p.fed || end > len(p.stream) {
			return nil
		}
		if err := p.feed(end); err != nil {
			return err
		}
	}
}

// fill compresses and measures, as long as there is enough data to.
func (p *five) fill() error {
	for !p.full && len(p.stream) >= p.until && p.cut < len(p.stream) {
		if p.fed < p.measure {
			if err := p.feed(p.measure); err != nil {
				return err
			}
		}
		if err := p.squeeze.flush(p.measure); err != nil {
			return err
		}
		ratio := float64(p.packed.Len()-p.cutPacked) / float64(p.measure-p.cut)
		if p.packed.Len() > v5.PayloadBytesMax-endBytes {
			p.takeBack(ratio)
			continue
		}
		p.cut, p.cutPacked = p.measure, p.packed.Len()
		ratio = max(ratio, float64(p.cutPacked)/float64(p.cut))
		if p.full = !p.promises(ratio) || p.cut == v5.StreamBytesMax; p.full {
			return nil
		}
		p.expect(ratio)
		if err := p.feedAhead(); err != nil {
			return err
		}
	}
	return nil
}

// promises tells whether a block may fit, if the data compresses to ratio of
// itself. Where a block cannot be taken back for nothing it has to fit for
// certain.
func (p *five) promises(ratio float64) bool {
	if !p.squeeze.cheap() {
		return p.worth(1)
	}
	return p.room() >= frameBytesMax+int(promisePart*ratio*float64(p.blockBytes()))
}

// takeBack undoes what did not fit, and goes on with a part of it, in a new frame
// if there has to be one and that is worth it.
func (p *five) takeBack(ratio float64) {
	p.packed.Truncate(p.cutPacked)
	if p.cut > p.frame && p.squeeze.back() {
		p.full = p.measure-p.cut <= p.blockBytes()
		p.expect(ratio)
		return
	}
	if p.cut > p.frame {
		p.full = !p.squeeze.frames() || !p.worth(2)
		if p.full {
			return
		}
		p.endFrame()
	}
	p.frame, p.fed = p.cut, p.cut
	p.squeeze.reset(&p.packed)
	p.expect(ratio)
}

// endFrame ends the frame at the cut.
func (p *five) endFrame() {
	b := p.squeeze.end(p.packed.AvailableBuffer(), p.stream[p.frame:p.cut])
	p.packed.Write(b)
	p.cutPacked = p.packed.Len()
}

// seal measures all of the stream, as far as it fits.
func (p *five) seal() error {
	for !p.full && p.cut < len(p.stream) {
		p.measure = min(p.measure, len(p.stream))
		p.until = p.measure
		if err := p.fill(); err != nil {
			return err
		}
	}
	return nil
}

// close writes the chunk, and begins the next with what did not fit.
func (p *five) close() error {
	if err := p.seal(); err != nil {
		return err
	}
	if p.restored == 0 || p.cut == 0 && len(p.stream) > 0 {
		return fmt.Errorf("the chunk that begins at sector %d: not a single sector fits", p.first)
	}
	p.packed.Truncate(p.cutPacked)
	if p.cut > p.frame {
		p.endFrame()
	}
	rest := p.split()
	if err := p.writeChunk(); err != nil {
		return err
	}
	if p.cut > 0 {
		p.ratio = float64(p.cutPacked) / float64(p.cut)
	}
	kept := p.keep(rest)
	p.begin()
	if err := p.replay(rest, kept); err != nil { // which may close another chunk
		return err
	}
	p.spare = append(p.spare, kept)
	return nil
}

func (p *five) takeSpare() []byte {
	n := len(p.spare)
	if n == 0 {
		return nil
	}
	s := p.spare[n-1]
	p.spare = p.spare[:n-1]
	return s[:0]
}

// split cuts the records where the stream is cut, and returns the rest.
func (p *five) split() (rest []v5.Record) {
	left := uint64(p.cut / p.head.SectorBytes)
	for i, r := range p.records {
		if r.Kind != v5.Data || r.Sectors <= left {
			if r.Kind == v5.Data {
				left -= r.Sectors
			}
			continue
		}
		rest = append(rest, p.records[i:]...)
		rest[0].Sectors -= left
		p.records = p.records[:i]
		if left > 0 {
			p.records = append(p.records, v5.Record{Kind: v5.Data, Sectors: left})
		}
		return rest
	}
	return nil
}

// keep copies what records at the end of the chunk are of.
func (p *five) keep(rest []v5.Record) []byte {
	kept := p.takeSpare()
	next := p.cutOf(rest)
	for _, r := range rest {
		size := int(r.Sectors) * p.head.SectorBytes
		switch r.Kind {
		case v5.Data:
			kept, next = append(kept, p.stream[next:next+size]...), next+size
		case v5.Repeat:
			kept = append(kept, p.stream[int(r.Source)*p.head.SectorBytes:][:size]...)
		}
	}
	return kept
}

// replay adds what was kept of a chunk to the one after it.
func (p *five) replay(rest []v5.Record, kept []byte) error {
	at := p.first
	for _, r := range rest {
		start, size := at, int(r.Sectors)*p.head.SectorBytes
		at += r.Sectors * p.per
		var data []byte
		switch r.Kind {
		case v5.Free:
			continue // the block after it comes with its place
		case v5.Data, v5.Repeat:
			data, kept = kept[:size], kept[size:]
		case v5.Zeros:
			data = make([]byte, size)
		}
		for _, b := range p.divider.append(nil, start, data) {
			if err := p.block(b); err != nil {
				return err
			}
		}
	}
	return nil
}

// cutOf is where the data of the records at the end of a stream begins.
func (p *five) cutOf(rest []v5.Record) int {
	at := len(p.stream)
	for _, r := range rest {
		if r.Kind == v5.Data {
			at -= int(r.Sectors) * p.head.SectorBytes
		}
	}
	return at
}

// made is a chunk but for its number.
type made struct {
	head    v5.Header
	payload []byte
	signed  []sig.Record  // that came before its end
	dataEnd uint64        // sector
	input   int           // bytes of data
	buffer  []byte        // of payload, and then the chunk
	back    chan<- []byte // where that goes
	err     error         // instead of a chunk
}

func (p *five) writeChunk() error {
	h := p.head
	h.First, h.Records = p.first/p.per, slices.Clone(p.records)
	h.Last, h.StreamBytes = h.First, p.cut
	var input, end uint64
	var regions []ndz.Region
	for _, r := range p.records {
		if r.Kind != v5.Free {
			input += r.Sectors
			end = h.Last + r.Sectors
			regions = append(regions, ndz.Region{Start: h.Last * p.per, Size: r.Sectors * p.per})
		}
		h.Last += r.Sectors
	}
	for _, r := range relocsIn(p.layout.Relocs, regions) {
		h.Relocs = append(h.Relocs, v5.Reloc{Type: uint32(r.Type), Sector: r.Sector, Offset: uint16(r.Offset), Size: uint16(r.Size)})
	}
	if p.cut == 0 {
		h.Codec = v5.None
	}
	m := made{head: h, payload: p.packed.Bytes()[:p.cutPacked], signed: p.signed, dataEnd: end * p.per, input: int(input) * p.head.SectorBytes}
	p.first, p.signed = h.Last*p.per, nil
	return p.emit(m)
}
