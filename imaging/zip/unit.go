package zip

import (
	"fmt"
	"io"
	"math"
	"slices"

	"hyzer/imaging/freemap"
	"hyzer/imaging/internal/adler"
	"hyzer/imaging/internal/deflate"
	"hyzer/imaging/sig"
)

const (
	// unitBytesMax is what one worker reads and compresses at a time, with
	// an empty window at its start.
	unitBytesMax = 4 << 20
	// pieceBytes is what is compressed between two flushes.
	pieceBytes = 127 * sectorBytes
	// windowBytes is how far back a match can reach.
	windowBytes = 32 << 10
)

// unit is a part of the data that one worker deals with.
type unit struct {
	ranges []freemap.Range // image-relative
	size   int             // bytes in ranges
	joined bool            // the first sectors must not be parted by a border of chunks

	data    []byte // of ranges, one after the other
	packed  []byte
	pieces  []piece
	blocks  []block      // V5
	records []sig.Record // without chunk numbers
	err     error
	done    chan struct{}
}

// piece is a part of a unit, compressed on from the one before it and ended on
// a byte.
type piece struct {
	from, to   int // in unit.data
	start, end int // in unit.packed
	adler      uint32
}

// planner cuts the data of a layout into units, on borders of hash blocks so
// that no block is in two.
type planner struct {
	data   []freemap.Range
	align  uint64   // sectors
	joined []uint64 // sectors that units must begin with, ascending
}

// joined are the sectors at which relocations of several sectors begin.
func (l *Layout) joined() []uint64 {
	var list []uint64
	for _, r := range l.Relocs {
		if first, end := r.Span(); end-first > 1 {
			list = append(list, first)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// limit is where a range that begins at start ends at the latest, and whether
// a unit must begin at start.
func (p *planner) limit(start uint64) (end uint64, begins bool) {
	for len(p.joined) > 0 && p.joined[0] < start {
		p.joined = p.joined[1:]
	}
	switch {
	case len(p.joined) == 0:
		return math.MaxUint64, false
	case p.joined[0] > start:
		return p.joined[0], false
	case len(p.joined) > 1:
		return p.joined[1], true
	}
	return math.MaxUint64, true
}

// next fills u, and returns false if nothing is left.
func (p *planner) next(u *unit) bool {
	u.ranges, u.size, u.joined = u.ranges[:0], 0, false
	for len(p.data) > 0 && u.size < unitBytesMax {
		r := &p.data[0]
		room := uint64(unitBytesMax-u.size) / sectorBytes
		limit, begins := p.limit(r.Start)
		if len(u.ranges) > 0 && (room < p.align || begins) {
			break
		}
		u.joined = u.joined || begins
		end := r.End
		if r.Sectors() > room {
			end = max((r.Start+room)/p.align, r.Start/p.align+1) * p.align
			end = min(end, r.End)
		}
		end = min(end, limit)
		u.ranges = append(u.ranges, freemap.Range{Start: r.Start, End: end})
		u.size += int(end-r.Start) * sectorBytes
		if r.Start = end; r.Start == r.End {
			p.data = p.data[1:]
		}
	}
	return len(u.ranges) > 0
}

// worker reads, hashes and compresses units.
type worker struct {
	*input
	press func(*unit) error
}

func (w *worker) run(u *unit) {
	if u.err = w.read(u); u.err == nil {
		w.hash(u)
		u.err = w.press(u)
	}
	close(u.done)
}

func (w *worker) read(u *unit) error {
	if cap(u.data) < u.size {
		u.data = make([]byte, max(u.size, min(2*cap(u.data), unitBytesMax)))
	}
	u.data = u.data[:u.size]
	at := 0
	for _, r := range u.ranges {
		p := u.data[at:][:int(r.Sectors())*sectorBytes]
		offset := int64(w.layout.Base+r.Start) * sectorBytes
		n, err := w.src.ReadAt(p, offset)
		if n < len(p) && (err != io.EOF || offset+int64(n) != w.src.Bytes) {
			return fmt.Errorf("reading the source at sector %d: %w", w.layout.Base+r.Start+uint64(n/sectorBytes), err)
		}
		clear(p[n:]) // of the last sector of a file
		w.layout.change(p, r)
		at += len(p)
	}
	return nil
}

func (w *worker) hash(u *unit) {
	u.records = u.records[:0]
	if w.sign == nil {
		return
	}
	blocks := w.sign.Blocks(u.ranges)
	for r, ok := blocks.Next(); ok; r, ok = blocks.Next() {
		u.records = append(u.records, r)
	}
	w.sign.Type.Fill(u.records, u.data)
}

// press returns what compresses units to pieces.
func (p *packer) press() (func(*unit) error, error) {
	z, err := deflate.New(p.opts.level())
	return func(u *unit) error { u.compress(z); return nil }, err
}

func (u *unit) compress(z *deflate.Encoder) {
	u.packed = u.packed[:0]
	u.pieces = u.pieces[:0]
	z.Reset()
	for from := 0; from < u.size; {
		p := piece{from: from, to: min(from+pieceBytes, u.size), start: len(u.packed)}
		u.packed = z.Append(u.packed, u.data, p.from, p.to)
		p.end, p.adler = len(u.packed), adler.Checksum(u.data[p.from:p.to])
		u.pieces = append(u.pieces, p)
		from = p.to
	}
}
