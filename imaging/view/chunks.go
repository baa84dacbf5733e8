package view

import (
	"hash"
	"slices"
	"sort"
	"sync"

	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
)

// Checker holds the chunks of one image against a signature while they are
// decoded for something else, so that the image is read once. Chunks may come in
// any order, from several goroutines.
type Checker struct {
	s *sig.File

	mu     sync.Mutex
	found  Checked
	joints map[uint64]*joint // by the sector that the record begins at
}

// joint is a record that chunk borders cut.
type joint struct {
	seen   uint64 // sectors of it that were in a chunk
	dead   bool   // some of them have no data
	pieces []piece
}

// piece is the data of a joint in one chunk.
type piece struct {
	start uint64 // sector
	data  []byte
}

// NewChecker returns a Checker that has seen no chunk.
func NewChecker(s *sig.File) *Checker { return &Checker{s: s, joints: map[uint64]*joint{}} }

// largeBlockSectors is the largest hash block that several workers hash: what
// borders cut is kept until the rest of it comes.
const largeBlockSectors = 4096

// Workers is how many goroutines may decode, of those that want to.
func (c *Checker) Workers(n int) int {
	if c.s.BlockSectors > largeBlockSectors {
		return 1
	}
	return n
}

// Checked is what was found, when all chunks were seen.
func (c *Checker) Checked() Checked {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := c.found
	found.Beyond = c.s.Len() - found.Records
	return found
}

// Chunk takes the chunk that d has decoded, as it is stored.
func (c *Checker) Chunk(h *ndz.Header, d *ndz.Decoder) error {
	at, err := c.s.Search(h.First)
	if err != nil {
		return err
	}
	p := passage{c: c, h: h, records: c.s.From(at), hash: c.s.Type.New()}
	p.advance()
	if err := d.Emit(p.data); err != nil {
		return err
	}
	for p.have {
		p.advance()
	}
	c.mu.Lock()
	c.found.Unsigned += uint64(h.DataBytes())/ndz.SectorBytes - p.covered
	c.mu.Unlock()
	return p.records.Err()
}

// passage is one chunk on its way through a Checker.
type passage struct {
	c       *Checker
	h       *ndz.Header
	records *sig.Cursor
	hash    hash.Hash
	covered uint64 // sectors with data that records name

	have   bool // a record whose part [lo, hi) of the chunk has data
	record sig.Record
	lo, hi uint64
	piece  []byte // if that is not all of it
}

// whole tells whether all of the current record is in the chunk.
func (p *passage) whole() bool { return p.hi-p.lo == p.record.Size }

// advance goes on to the next record whose sectors in the chunk all have data.
func (p *passage) advance() {
	for p.have = false; p.records.Next(); {
		p.record = p.records.Record()
		if p.record.Start >= p.h.Last {
			return
		}
		p.lo, p.hi = max(p.record.Start, p.h.First), min(p.record.End(), p.h.Last)
		n := inUse(p.h.Regions, p.lo, p.hi)
		p.covered += n
		if n == p.hi-p.lo {
			p.have, p.piece = true, nil
			p.hash.Reset()
			return
		}
		if !p.whole() {
			p.c.join(p.record, p.hi-p.lo, nil)
		}
	}
}

// inUse is how many sectors of [lo, hi) are in regions.
func inUse(regions []ndz.Region, lo, hi uint64) (n uint64) {
	i := sort.Search(len(regions), func(i int) bool { return regions[i].End() > lo })
	for ; i < len(regions) && regions[i].Start < hi; i++ {
		n += min(regions[i].End(), hi) - max(regions[i].Start, lo)
	}
	return n
}

// data takes the next run of the chunk.
func (p *passage) data(offset int64, data []byte) error {
	for end := offset + int64(len(data)); p.have; p.advance() {
		from, to := max(int64(p.lo)*ndz.SectorBytes, offset), min(int64(p.hi)*ndz.SectorBytes, end)
		if from >= to {
			return nil
		}
		if run := data[from-offset : to-offset]; p.whole() {
			p.hash.Write(run)
		} else {
			p.piece = append(p.piece, run...)
		}
		if to < int64(p.hi)*ndz.SectorBytes {
			return nil
		}
		p.finish()
	}
	return nil
}

// finish ends the current record, or what of it is in the chunk.
func (p *passage) finish() {
	if !p.whole() {
		p.c.join(p.record, p.hi-p.lo, &piece{p.lo, p.piece})
		return
	}
	var sum [sig.HashBytes]byte
	p.hash.Sum(sum[:0])
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	p.c.found.Count(p.record, sum)
}

// join adds a part of a record that chunk borders cut, nil if it has sectors
// without data, and hashes the record when it is all there.
func (c *Checker) join(r sig.Record, sectors uint64, part *piece) {
	c.mu.Lock()
	defer c.mu.Unlock()
	j := c.joints[r.Start]
	if j == nil {
		j = &joint{}
		c.joints[r.Start] = j
	}
	j.seen += sectors
	if j.dead = j.dead || part == nil; j.dead {
		j.pieces = nil
	} else {
		j.pieces = append(j.pieces, *part)
	}
	if j.seen < r.Size {
		return
	}
	delete(c.joints, r.Start)
	if j.dead {
		return
	}
	slices.SortFunc(j.pieces, func(a, b piece) int { return int(int64(a.start) - int64(b.start)) })
	h := c.s.Type.New()
	for _, p := range j.pieces {
		h.Write(p.data)
	}
	var sum [sig.HashBytes]byte
	h.Sum(sum[:0])
	c.found.Count(r, sum)
}
