package zip

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/maphash"

	"hyzer/imaging/v5"
)

const (
	// feedBytes is how much is given to the compressor at a time.
	feedBytes = 256 << 10
	// fillPart of the room that is left is what is filled before the chunk is
	// measured: the rest is for what compresses worse than the data before.
	fillPart = 0.8
	// frameBytesMax is what a block that does not compress takes beside itself.
	frameBytesMax = 64
	// recordBytesMax is the most that a gap and a record after it take in the
	// table.
	recordBytesMax = 10 + 10 + 5
	// spareBytes of the table are kept for what needs a record; zeros and
	// repeats can do without.
	spareBytes = v5.TableBytesMax / 4
)

// five packs chunks of V5. It runs on one goroutine; the compressor has its
// own.
//
// The chunk is filled by feeding the compressor less than what is expected to
// fit, measuring, and feeding on. What turns out not to fit is taken back and
// begins the next chunk.
type five struct {
	*output
	divider
	squeeze squeezer
	head    v5.Header
	per     uint64 // of our sectors in one of the image

	records  []v5.Record
	table    int    // bytes of all records but the last
	at       uint64 // sector after them
	dataEnd  uint64
	restored uint64         // sectors
	stream   []byte         // of the records
	seen     map[uint64]int // where in the stream a block of this hash is

	packed    bytes.Buffer // of stream, as far as fed
	fed       int
	cut       int // of stream: fits for certain,
	cutPacked int // and takes this much
	frame     int // where in the stream the frame begins
	measure   int // when the stream has this length
	ratio     float64
	full      bool // nothing after cut fits

	sealed []byte
	spare  [][]byte // streams
}

func newFive(o *output) (*five, error) {
	if o.opts.Key != nil || o.opts.Checksum || o.opts.Sign != nil {
		return nil, errors.New("V5 chunks always have a sum and are not encrypted; sign the manifest instead")
	}
	p := &five{output: o, seen: map[uint64]int{}, ratio: 0.5}
	p.packed.Grow(2 * v5.ChunkBytes)
	sector := o.opts.SectorBytes
	if sector == 0 {
		sector = o.layout.unit()
	}
	p.per = uint64(sector / sectorBytes)
	p.divider = divider{maphash.MakeSeed(), max(p.per, dedupBytes/sectorBytes)}
	m := o.layout.Mark
	p.head = v5.Header{SectorBytes: sector, ImageVersion: o.opts.ImageVersion, Delta: m.Delta, Base: m.Base, State: m.State}
	if o.opts.ImageID == nil {
		rand.Read(p.head.ImageID[:])
	} else {
		p.head.ImageID = *o.opts.ImageID
	}
	var err error
	if p.squeeze, err = newSqueezer(o.opts.codec(), o.opts.Level); err != nil {
		return nil, err
	}
	p.head.Codec = codecOf(p.squeeze)
	p.begin(nil)
	return p, p.aligned()
}

// aligned makes sure that the layout is of whole sectors.
func (p *five) aligned() error {
	if p.layout.Sectors%p.per != 0 {
		return fmt.Errorf("source of %d bytes is not whole sectors of %d", p.layout.Sectors*sectorBytes, p.head.SectorBytes)
	}
	for _, r := range p.layout.Data {
		if r.Start%p.per != 0 || r.End%p.per != 0 {
			return fmt.Errorf("data at sectors [%d,%d) of 512 bytes is not whole sectors of %d", r.Start, r.End, p.head.SectorBytes)
		}
	}
	return nil
}

func (p *five) press() (func(*unit) error, error) { return p.divide, nil }

func (p *five) unit(u *unit) error {
	for u.joined && p.restored > 0 {
		if err := p.close(); err != nil {
			return err
		}
	}
	for _, b := range u.blocks {
		if err := p.block(b); err != nil {
			return err
		}
	}
	return nil
}

// begin empties the chunk.
func (p *five) begin(stream []byte) {
	p.records, p.table, p.at, p.restored = p.records[:0], 0, p.first, 0
	p.stream = stream[:0]
	clear(p.seen)
	p.packed.Reset()
	p.fed, p.cut, p.cutPacked, p.frame, p.full = 0, 0, 0, 0, false
	p.squeeze.reset(&p.packed)
	p.expect(p.ratio)
}

// block adds one block to the chunk, or to the next if it has no room.
func (p *five) block(b block) error {
	for !p.takes(b) {
		if err := p.close(); err != nil {
			return err
		}
	}
	p.gap(b.start)
	p.add(b)
	if len(p.stream) >= p.measure {
		return p.fill()
	}
	if len(p.stream)-p.fed >= feedBytes {
		return p.feed(len(p.stream))
	}
	return nil
}

// takes tells whether the chunk has room for one more block.
func (p *five) takes(b block) bool {
	return !p.full && len(p.stream)+len(b.data) <= v5.StreamBytesMax && p.tableRoom() >= recordBytesMax &&
		p.restored+b.sectors() <= v5.RestoredBytesMax/sectorBytes
}

// tableRoom is what of the table no record has taken yet.
func (p *five) tableRoom() int {
	const last = 10 + 10 // and a gap at the end
	return v5.TableBytesMax - len(p.layout.Relocs)*v5.RelocBytes - p.table - last
}

// gap goes on to sector.
func (p *five) gap(sector uint64) {
	if sector > p.at {
		p.record(v5.Record{Kind: v5.Free, Sectors: (sector - p.at) / p.per})
	}
}

// add adds a block as what it is.
func (p *five) add(b block) {
	n, sector := b.sectors()/p.per, p.head.SectorBytes
	at, known := p.seen[b.hash]
	cheap := p.tableRoom() > spareBytes && !p.layout.relocates(b.start, b.start+b.sectors())
	p.restored += b.sectors()
	switch {
	case cheap && b.zero:
		p.record(v5.Record{Kind: v5.Zeros, Sectors: n})
	case cheap && known && len(p.stream)-at >= len(b.data) && bytes.Equal(p.stream[at:][:len(b.data)], b.data):
		p.record(v5.Record{Kind: v5.Repeat, Sectors: n, Source: uint64(at / sector)})
	default:
		if !b.zero {
			p.seen[b.hash] = len(p.stream)
		}
		p.stream = append(p.stream, b.data...)
		p.record(v5.Record{Kind: v5.Data, Sectors: n})
	}
	p.dataEnd = p.at
}

// record adds r to the table, or to the record before it.
func (p *five) record(r v5.Record) {
	p.at += r.Sectors * p.per
	if n := len(p.records); n > 0 {
		last := &p.records[n-1]
		if last.Kind == r.Kind && (r.Kind != v5.Repeat || last.Source+last.Sectors == r.Source) {
			last.Sectors += r.Sectors
			return
		}
		p.table += v5.TableBytes(p.records[n-1:], 0)
	}
	p.records = append(p.records, r)
}

// finish writes the open chunk, which covers the rest of the disk.
func (p *five) finish() error {
	for p.restored > 0 {
		if err := p.seal(); err != nil {
			return err
		}
		if p.cut == len(p.stream) {
			p.gap(p.layout.Sectors)
		}
		if err := p.close(); err != nil {
			return err
		}
	}
	return nil
}
