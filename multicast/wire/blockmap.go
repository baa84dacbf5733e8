package wire

import (
	"encoding/binary"
	"math/bits"
)

// BlockMap is a set of the blocks of one chunk. On the wire block n is bit n%8
// of byte n/8 (A2), which little-endian words keep in place.
type BlockMap [ChunkBlocks / 64]uint64

// SetBytes replaces the set by the one in b.
func (m *BlockMap) SetBytes(b *[BitmapBytes]byte) {
	for i := range m {
		m[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
}

// AppendBytes adds the set's 128 bytes to dst.
func (m *BlockMap) AppendBytes(dst []byte) []byte {
	for _, w := range m {
		dst = binary.LittleEndian.AppendUint64(dst, w)
	}
	return dst
}

// AddRange adds blocks first to first+count-1; they must be below ChunkBlocks.
func (m *BlockMap) AddRange(first, count int) {
	for n := first; n < first+count; {
		w, bit := n/64, n%64
		k := min(64-bit, first+count-n)
		m[w] |= (^uint64(0) >> (64 - k)) << bit
		n += k
	}
}

// RemoveRange takes away blocks first to first+count-1.
func (m *BlockMap) RemoveRange(first, count int) {
	var r BlockMap
	r.AddRange(first, count)
	for i := range m {
		m[i] &^= r[i]
	}
}

// Has says whether block n is in the set.
func (m *BlockMap) Has(n int) bool { return m[n/64]&(1<<(n%64)) != 0 }

// Remove takes block n away.
func (m *BlockMap) Remove(n int) { m[n/64] &^= 1 << (n % 64) }

// Union adds all of o.
func (m *BlockMap) Union(o *BlockMap) {
	for i := range m {
		m[i] |= o[i]
	}
}

// Covers says whether every block of o is in the set.
func (m *BlockMap) Covers(o *BlockMap) bool {
	for i := range m {
		if o[i]&^m[i] != 0 {
			return false
		}
	}
	return true
}

// Overlaps says whether the sets share a block.
func (m *BlockMap) Overlaps(o *BlockMap) bool {
	for i := range m {
		if m[i]&o[i] != 0 {
			return true
		}
	}
	return false
}

// Count returns the number of blocks in the set.
func (m *BlockMap) Count() int {
	n := 0
	for _, w := range m {
		n += bits.OnesCount64(w)
	}
	return n
}

// First returns the lowest block, or ChunkBlocks if the set is empty.
func (m *BlockMap) First() int { return m.next(0) }

// Last returns the highest block, or -1 if the set is empty.
func (m *BlockMap) Last() int {
	for i := len(m) - 1; i >= 0; i-- {
		if m[i] != 0 {
			return 64*i + 63 - bits.LeadingZeros64(m[i])
		}
	}
	return -1
}

// FirstRun returns the lowest contiguous run of blocks; count is 0 if the set
// is empty.
func (m *BlockMap) FirstRun() (first, count int) {
	first = m.next(0)
	end := first
	for end < ChunkBlocks && m.Has(end) {
		if end%64 == 0 && m[end/64] == ^uint64(0) {
			end += 64
			continue
		}
		end++
	}
	return first, end - first
}

// next returns the lowest block from n on, or ChunkBlocks.
func (m *BlockMap) next(n int) int {
	for i := n / 64; i < len(m); i++ {
		w := m[i]
		if i == n/64 {
			w &= ^uint64(0) << (n % 64)
		}
		if w != 0 {
			return 64*i + bits.TrailingZeros64(w)
		}
	}
	return ChunkBlocks
}
