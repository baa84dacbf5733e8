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

// expect says when to measure next, if the data compresses to ratio of itself.
func (p *five) expect(ratio float64) {
	n := min(int(fillPart*float64(p.room())/max(ratio, 1e-3)), p.squeeze.step())
	p.measure = min(p.cut+max(n/p.blockBytes(), 1)*p.blockBytes(), v5.StreamBytesMax)
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

// fill compresses and measures, as long as there is enough data to.
func (p *five) fill() error {
	for !p.full && len(p.stream) >= p.measure && p.cut < len(p.stream) {
		if err := p.feed(max(p.measure, p.fed)); err != nil {
			return err
		}
		if err := p.squeeze.flush(); err != nil {
			return err
		}
		ratio := float64(p.packed.Len()-p.cutPacked) / float64(p.fed-p.cut)
		if p.packed.Len() > v5.PayloadBytesMax-endBytes {
			p.takeBack(ratio)
			continue
		}
		p.cut, p.cutPacked = p.fed, p.packed.Len()
		if p.full = !p.worth(1) || p.cut == v5.StreamBytesMax; p.full {
			return nil
		}
		p.expect(max(ratio, float64(p.cutPacked)/float64(p.cut)))
	}
	return nil
}

// takeBack undoes what did not fit, and goes on with a part of it, in a new frame
// if there has to be one and that is worth it.
func (p *five) takeBack(ratio float64) {
	p.packed.Truncate(p.cutPacked)
	p.fed = p.cut
	if p.cut > p.frame && p.squeeze.back() {
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
	p.frame = p.cut
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
	stream := p.stream
	p.begin(p.takeSpare())
	if err := p.replay(rest, stream); err != nil {
		return err
	}
	p.spare = append(p.spare, stream)
	return nil
}

func (p *five) takeSpare() []byte {
	n := len(p.spare)
	if n == 0 {
		return nil
	}
	s := p.spare[n-1]
	p.spare = p.spare[:n-1]
	return s
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

// replay adds what was taken out of a chunk to the one after it.
func (p *five) replay(rest []v5.Record, stream []byte) error {
	at, next := p.first, p.cutOf(rest, stream)
	for _, r := range rest {
		start, size := at, int(r.Sectors)*p.head.SectorBytes
		at += r.Sectors * p.per
		var data []byte
		switch r.Kind {
		case v5.Free:
			continue // the block after it comes with its place
		case v5.Data:
			data, next = stream[next:next+size], next+size
		case v5.Repeat:
			data = stream[int(r.Source)*p.head.SectorBytes:][:size]
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
func (p *five) cutOf(rest []v5.Record, stream []byte) int {
	at := len(stream)
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
	buffer  []byte        // of payload
	back    chan<- []byte // where that goes
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
