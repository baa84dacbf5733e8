package fec

import (
	"errors"
	"fmt"
	"slices"

	"hyzer/multicast/wire"
)

const (
	// ParityBlocks is how many parity blocks a chunk has. A client that lacks
	// more of a chunk asks for its blocks by number.
	ParityBlocks = 256
	// ParityBytes is the length of all of them.
	ParityBytes = ParityBlocks * wire.BlockBytes
	// groups is how many interleaved groups the blocks of a chunk form, and
	// groupBlocks how many blocks each has.
	groups      = 8
	groupBlocks = wire.ChunkBlocks / groups
	// directMax is up to how many parity blocks are computed one by one; more
	// are cheaper by the transform, and the sooner if its leaves are.
	directMax       = 3
	directMaxLeaves = 1
)

// ErrTooFew is returned by Restore when the parity blocks held do not tell all
// that is missing.
var ErrTooFew = errors.New("too few parity blocks to restore the chunk")

// Symbol says that parity block Parity lies where block Slot of the chunk
// belongs.
type Symbol struct {
	Parity, Slot uint16
}

// coefficient is c(r, i) of the package's description.
func coefficient(r, i int) uint8 {
	return gf.div(gf.exp[r*(i%groups)%order], uint8(r%groupBlocks^(groupBlocks+i/groups)))
}

// Coder encodes and restores chunks. The zero value is ready. It is not safe
// for concurrent use.
type Coder struct {
	plain bool   // in tests: as on a processor without quads
	group []byte // one group of a chunk
	last  [wire.BlockBytes]byte
	rows  []byte // of a system
}

// Encode computes parity blocks first, first+1 and so on of a chunk of 1 to
// ChunkBytes bytes, as many as parity has room for.
func (c *Coder) Encode(chunk []byte, first int, parity []byte) error {
	n := len(parity) / wire.BlockBytes
	if len(chunk) > wire.ChunkBytes || first < 0 || first+n > ParityBlocks || len(parity)%wire.BlockBytes != 0 {
		return fmt.Errorf("encoding a chunk of %d bytes into %d from parity block %d on: want at most %d bytes, whole blocks, up to block %d",
			len(chunk), len(parity), first, wire.ChunkBytes, ParityBlocks-1)
	}
	clear(parity)
	sums := make([]sum, n)
	for i := range sums {
		sums[i] = sum{first + i, parity[i*wire.BlockBytes:][:wire.BlockBytes]}
	}
	c.add(chunk, new(wire.BlockMap), sums)
	return nil
}

// Restore fills the missing blocks of a chunk from the parity blocks that lie
// in their slots. chunk is whole blocks long.
func (c *Coder) Restore(chunk []byte, missing *wire.BlockMap, held []Symbol) error {
	lost := numbers(missing)
	if len(lost) > len(held) {
		return ErrTooFew
	}
	if len(lost) > 0 && lost[len(lost)-1] >= len(chunk)/wire.BlockBytes {
		return fmt.Errorf("block %d missing of a chunk of %d bytes", lost[len(lost)-1], len(chunk))
	}
	sys := system{width: wire.BlockBytes, lost: lost}
	sys.make(held, &c.rows)
	sums := make([]sum, len(held))
	for n, s := range held {
		at := int(s.Slot) * wire.BlockBytes
		if s.Parity >= ParityBlocks || at+wire.BlockBytes > len(chunk) {
			return fmt.Errorf("parity block %d in slot %d of a chunk of %d bytes", s.Parity, s.Slot, len(chunk))
		}
		sums[n] = sum{int(s.Parity), sys.rows[n][:wire.BlockBytes]}
		copy(sums[n].into, chunk[at:])
	}
	c.add(chunk, missing, sums)
	if sys.eliminate() < len(lost) {
		return ErrTooFew
	}
	sys.substitute()
	for n, lead := range sys.leads {
		if lead >= 0 {
			copy(chunk[lost[lead]*wire.BlockBytes:], sys.rows[n][:wire.BlockBytes])
		}
	}
	return nil
}

// Independent keeps of held what tells something of the missing blocks that
// the parity blocks before it do not: Restore needs as many of these as are
// missing.
func Independent(missing *wire.BlockMap, held []Symbol) []Symbol {
	var room []byte
	sys := system{lost: numbers(missing)}
	sys.make(held, &room)
	if sys.eliminate() == len(held) {
		return held
	}
	n := -1
	return slices.DeleteFunc(held, func(Symbol) bool { n++; return sys.leads[n] < 0 })
}

// numbers returns the blocks of the set.
func numbers(m *wire.BlockMap) []int {
	list := make([]int, 0, m.Count())
	for left := *m; ; {
		first, count := left.FirstRun()
		if count == 0 {
			return list
		}
		for i := range count {
			list = append(list, first+i)
		}
		left.RemoveRange(first, count)
	}
}

// sum is a parity block that blocks are added to.
type sum struct {
	parity int
	into   []byte
}

// add adds the blocks of a chunk that are not missing to parity blocks.
func (c *Coder) add(chunk []byte, missing *wire.BlockMap, to []sum) {
	if len(to) > directMax || c.leaves() && len(to) > directMaxLeaves {
		c.addTransformed(chunk, missing, to)
		return
	}
	for i := 0; i*wire.BlockBytes < len(chunk); i++ {
		if missing.Has(i) {
			continue
		}
		b := block(chunk, i)
		for _, s := range to {
			addTimes(s.into, coefficient(s.parity, i), b)
		}
	}
}

// block returns block i: it may be shorter at the end of the chunk, and is
// nothing past it.
func block(chunk []byte, i int) []byte {
	at := min(i*wire.BlockBytes, len(chunk))
	return chunk[at:min(at+wire.BlockBytes, len(chunk))]
}
