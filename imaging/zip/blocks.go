package zip

import (
	"encoding/binary"
	"hash/maphash"
)

// dedupBytes is the unit in which equal data and zeros are found: the block of
// nearly all file systems.
const dedupBytes = 4096

// block is a part of a unit that lies in one aligned block of the disk.
type block struct {
	start uint64 // sector
	data  []byte
	zero  bool
	hash  uint64
}

// sectors is the size of a block.
func (b block) sectors() uint64 { return uint64(len(b.data)) / sectorBytes }

// divider cuts units into blocks.
type divider struct {
	seed    maphash.Seed
	sectors uint64 // of a block
}

// divide looks at the blocks of a unit that was read.
func (d divider) divide(u *unit) error {
	u.blocks = u.blocks[:0]
	at := 0
	for _, r := range u.ranges {
		size := int(r.Sectors()) * sectorBytes
		u.blocks = d.append(u.blocks, r.Start, u.data[at:at+size])
		at += size
	}
	return nil
}

func (d divider) append(blocks []block, start uint64, data []byte) []block {
	for len(data) > 0 {
		n := min(int(d.sectors-start%d.sectors)*sectorBytes, len(data))
		b := block{start: start, data: data[:n]}
		if b.zero = allZero(b.data); !b.zero {
			b.hash = maphash.Bytes(d.seed, b.data)
		}
		blocks = append(blocks, b)
		start, data = start+uint64(n/sectorBytes), data[n:]
	}
	return blocks
}

// allZero looks at whole sectors.
func allZero(p []byte) bool {
	for ; len(p) >= 8; p = p[8:] {
		if binary.LittleEndian.Uint64(p) != 0 {
			return false
		}
	}
	return true
}
