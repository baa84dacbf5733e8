package zip

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"

	"hyzer/imaging/sig"
	"hyzer/imaging/v5"
)

const (
	// feedBytes is the most that is given to the compressor at a time.
	feedBytes = 256 << 10
	// fillPart of the room that is left is what is filled before the chunk is
	// measured: the rest is for what compresses worse than the data before.
	fillPart = 0.8
	// promisePart of what a block is expected to take is room enough to try it.
	promisePart = 0.7
	// frameBytesMax is what a block that does not compress takes beside itself.
	frameBytesMax = 64
	// looseBytesMax bounds the zeros and repeats that a chunk may lose again,
	// because data before them does not fit.
	looseBytesMax = 4 << 20
	// recordBytesMax is the most that a gap and a record after it take in the
	// table.
	recordBytesMax = 10 + 10 + 5
	// spareBytes of the table are kept for what needs a record; zeros and
	// repeats can do without.
	spareBytes = v5.TableBytesMax / 4
)

// five packs chunks of V5, on one goroutine.
//
// The chunk is filled by feeding the compressor less than what is expected to
// fit, measuring, and feeding on. What turns out not to fit is taken back and
// begins the next chunk.
type five struct {
	divider
	layout  *Layout
	emit    func(made) error // takes the chunks
	squeeze squeezer
	head    v5.Header
	per     uint64 // of our sectors in one of the image

	first    uint64       // where the coverage of the open chunk begins
	signed   []sig.Record // since the last chunk
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
	measure   int // what is measured next,
	until     int // when the stream has this length
	ratio     float64
	full      bool // nothing after cut fits

	loose int      // bytes of zeros and repeats since all of the stream was measured
	spare [][]byte // of what is kept when a chunk is closed
}

// newFive returns what packs chunks that begin with head. The
// compressor may have helpers, goroutines that end when it is closed.
func newFive(layout *Layout, opts Options, head v5.Header, d divider, helpers int) (*five, error) {
	p := &five{divider: d, layout: layout, head: head, per: uint64(head.SectorBytes / sectorBytes), seen: map[uint64]int{}, ratio: 0.5}
	p.packed.Grow(packedBytes)
	if err := p.aligned(); err != nil {
		return nil, err
	}
	var err error
	if p.squeeze, err = newSqueezer(opts.codec(), opts.Level, helpers); err != nil {
		return nil, err
	}
	p.head.Codec = codecOf(p.squeeze)
	return p, nil
}

// packedBytes is room for a payload, and for a block that does not fit into it.
const packedBytes = v5.ChunkBytes + v5.ChunkBytes/4

// headOf is what all chunks of an image have in common.
func headOf(l *Layout, opts Options) (v5.Header, error) {
	if opts.Key != nil || opts.Checksum || opts.Sign != nil {
		return v5.Header{}, errors.New("V5 chunks always have a sum and are not encrypted; sign the manifest instead")
	}
	h := v5.Header{SectorBytes: opts.SectorBytes, ImageVersion: opts.ImageVersion, Delta: l.Mark.Delta, Base: l.Mark.Base, State: l.Mark.State}
	if h.SectorBytes == 0 {
		h.SectorBytes = l.unit()
	}
	h.End = l.Sectors * sectorBytes / uint64(h.SectorBytes)
	if opts.ImageID == nil {
		rand.Read(h.ImageID[:])
	} else {
		h.ImageID = *opts.ImageID
	}
	return h, nil
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

// restart begins with the data of a segment.
func (p *five) restart(first uint64, emit func(made) error) {
	p.first, p.emit, p.signed, p.ratio = first, emit, nil, 0.5
	p.begin()
}

func (p *five) unit(u *unit) error {
	p.signed = append(p.signed, u.records...)
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
func (p *five) begin() {
	p.packed.Reset()
	p.squeeze.reset(&p.packed) // which lets go of the stream
	p.records, p.table, p.at, p.restored = p.records[:0], 0, p.first, 0
	p.stream = p.stream[:0]
	clear(p.seen)
	p.fed, p.cut, p.cutPacked, p.frame, p.loose, p.full = 0, 0, 0, 0, 0, false
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
	if p.loose > looseBytesMax {
		p.loose = 0
		return p.seal()
	}
	if err := p.feedAhead(); err != nil || len(p.stream) < p.until {
		return err
	}
	return p.fill()
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
		p.loose += len(b.data)
		p.record(v5.Record{Kind: v5.Zeros, Sectors: n})
	case cheap && known && len(p.stream)-at >= len(b.data) && bytes.Equal(p.stream[at:][:len(b.data)], b.data):
		p.loose += len(b.data)
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

// finish writes the open chunk, which covers the disk up to sector end.
func (p *five) finish(end uint64) error {
	for p.restored > 0 {
		if err := p.seal(); err != nil {
			return err
		}
		if p.cut == len(p.stream) {
			p.gap(end)
		}
		if err := p.close(); err != nil {
			return err
		}
	}
	return nil
}
