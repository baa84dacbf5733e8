package extfs

import (
	"encoding/binary"
	"fmt"
	"sort"
)

// run is blocks of a file that follow each other, or a hole if block is 0.
type run struct {
	block, count uint64
}

// Extent trees.
const (
	extentMagic      = 0xf30a
	extentHeadBytes  = 12
	extentEntryBytes = 12
	extentDepthMax   = 5
	extentLengthMax  = 32768 // longer: not written yet, reads as zeros
	extentSumBytes   = 4
)

// Indirect blocks: the block map's first entries are direct, each of the others
// one level deeper than the one before.
const (
	directBlocks   = 12
	indirectLevels = 3
)

// lookup finds the run that file block n is in, from n on. limit is the number
// of blocks that the file has.
func (f *FS) lookup(i *Inode, n, limit uint64) (run, error) {
	find := f.indirect
	if i.flags&flagExtents != 0 {
		find = f.extent
	}
	r, err := find(i, n, limit)
	if err != nil {
		return r, fmt.Errorf("inode %d, file block %d: %w", i.Number, n, err)
	}
	if r.block != 0 && r.block+r.count > f.g.Blocks {
		return r, damaged("inode %d, file block %d: is in block %d of %d", i.Number, n, r.block, f.g.Blocks)
	}
	r.count = min(r.count, limit-n)
	return r, nil
}

// extent looks n up in an extent tree.
func (f *FS) extent(i *Inode, n, limit uint64) (run, error) {
	le := binary.LittleEndian
	node := i.raw[offBlock:][:blockMapBytes]
	for depth := -1; ; {
		entries, err := extentNode(node, depth)
		if err != nil {
			return run{}, err
		}
		depth = int(le.Uint16(node[6:]))
		entry := func(k int) []byte { return node[extentHeadBytes+k*extentEntryBytes:] }
		k := sort.Search(entries, func(k int) bool { return uint64(le.Uint32(entry(k))) > n })
		if k < entries {
			limit = min(limit, uint64(le.Uint32(entry(k))))
		}
		if k == 0 {
			return run{count: limit - n}, nil
		}
		e := entry(k - 1)
		if depth == 0 {
			return extentRun(e, n, limit), nil
		}
		child := uint64(le.Uint32(e[4:])) | uint64(le.Uint16(e[8:]))<<32
		if node, err = f.extentBlock(i, child); err != nil {
			return run{}, err
		}
	}
}

// extentNode checks the head of a node, which is one level below parent (-1:
// the root), and returns the number of its entries.
func extentNode(b []byte, parent int) (int, error) {
	le := binary.LittleEndian
	entries, depth := int(le.Uint16(b[2:])), int(le.Uint16(b[6:]))
	if le.Uint16(b) != extentMagic || entries > (len(b)-extentHeadBytes)/extentEntryBytes ||
		depth > extentDepthMax || parent >= 0 && depth != parent-1 {
		return 0, damaged("extent node of %d entries at depth %d", entries, depth)
	}
	return entries, nil
}

// extentRun is what of the extent in e comes from file block n on, which is not
// before it; or the hole after it.
func extentRun(e []byte, n, limit uint64) run {
	le := binary.LittleEndian
	first, length := uint64(le.Uint32(e)), uint64(le.Uint16(e[4:]))
	written := length <= extentLengthMax
	if !written {
		length -= extentLengthMax
	}
	switch {
	case n >= first+length:
		return run{count: limit - n}
	case !written:
		return run{count: first + length - n}
	}
	start := uint64(le.Uint32(e[8:])) | uint64(le.Uint16(e[6:]))<<32
	return run{start + n - first, first + length - n}
}

// extentBlock reads a node and verifies its checksum, which is after the room
// for entries.
func (f *FS) extentBlock(i *Inode, n uint64) ([]byte, error) {
	b, err := f.readBlock(n)
	if err != nil {
		return nil, err
	}
	end := extentHeadBytes + int(binary.LittleEndian.Uint16(b[4:]))*extentEntryBytes
	if sum, ok := f.g.Checksum(append(f.salt(i), b[:min(end, len(b))])...); ok &&
		(end+extentSumBytes > len(b) || sum != binary.LittleEndian.Uint32(b[end:])) {
		return nil, damaged("extent node in block %d: checksum does not match", n)
	}
	return b, nil
}

// indirect looks n up in a map of direct and indirect blocks.
func (f *FS) indirect(i *Inode, n, limit uint64) (run, error) {
	le := binary.LittleEndian
	root := i.raw[offBlock:][:blockMapBytes]
	if n < directBlocks {
		return pointers(root[:directBlocks*4], n), nil
	}
	per := f.g.BlockBytes / 4
	rest, span := n-directBlocks, uint64(1)
	for level := range indirectLevels {
		if span *= per; rest >= span {
			rest -= span
			continue
		}
		child := uint64(le.Uint32(root[(directBlocks+level)*4:]))
		for {
			if child == 0 {
				return run{count: span - rest}, nil
			}
			b, err := f.readBlock(child)
			if err != nil {
				return run{}, err
			}
			if span /= per; span == 1 {
				return pointers(b, rest), nil
			}
			child = uint64(le.Uint32(b[rest/span*4:]))
			rest %= span
		}
	}
	return run{}, damaged("is beyond what indirect blocks reach")
}

// pointers is the run that begins at entry n of an array of block numbers.
func pointers(b []byte, n uint64) run {
	at := func(k uint64) uint64 { return uint64(binary.LittleEndian.Uint32(b[4*k:])) }
	r := run{at(n), 1}
	for k := n + 1; k < uint64(len(b)/4); k++ {
		if r.block == 0 && at(k) != 0 || r.block != 0 && at(k) != r.block+r.count {
			break
		}
		r.count++
	}
	return r
}
