package btrfs

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Chunks map logical addresses to the device.
const (
	chunkHeadBytes = 48
	stripeBytes    = 32
	offChunkType   = 24
	offStripes     = 44
	typeKinds      = 0x7 // data, system, metadata
	typeDUP        = 0x20
	stripesMax     = 2
	chunksMax      = 1 << 20
)

// chunk is a range of logical addresses with its copies on the device.
type chunk struct {
	logical, length uint64
	copies          []uint64 // first byte of each
}

func (c chunk) end() uint64 { return c.logical + c.length }

// chunks are all chunks that are known, in order.
type chunks []chunk

// add parses the chunk item for a logical address.
func (s *super) add(list chunks, logical uint64, b []byte) (chunks, error) {
	le := binary.LittleEndian
	if len(b) < chunkHeadBytes || len(list) >= chunksMax {
		return nil, errors.New("chunk is damaged")
	}
	c := chunk{logical: logical, length: le.Uint64(b)}
	kind, n := le.Uint64(b[offChunkType:]), int(le.Uint16(b[offStripes:]))
	switch {
	case kind&^(typeKinds|typeDUP) != 0 || kind&typeDUP == 0 && n != 1 || kind&typeDUP != 0 && n != stripesMax:
		return nil, fmt.Errorf("chunk of type %#x with %d copies: it is not single or DUP", kind, n)
	case len(b) != chunkHeadBytes+n*stripeBytes || c.length == 0 || c.length > s.devBytes || logical > bytesMax:
		return nil, fmt.Errorf("chunk of %d bytes at logical address %d", c.length, logical)
	}
	for i := range n {
		stripe := b[chunkHeadBytes+i*stripeBytes:]
		if id := le.Uint64(stripe); id != s.devID {
			return nil, fmt.Errorf("chunk on device %d", id)
		}
		at := le.Uint64(stripe[8:])
		if at > s.devBytes-c.length {
			return nil, fmt.Errorf("chunk at byte %d of a device of %d", at, s.devBytes)
		}
		c.copies = append(c.copies, at)
	}
	return list.insert(c)
}

// insert keeps the list in order. A chunk may come again, from the tree after
// the superblock, but then the same.
func (l chunks) insert(c chunk) (chunks, error) {
	i, found := slices.BinarySearchFunc(l, c.logical, func(c chunk, at uint64) int { return cmp.Compare(c.logical, at) })
	if found && l[i].length == c.length && slices.Equal(l[i].copies, c.copies) {
		return l, nil
	}
	if found || i > 0 && l[i-1].end() > c.logical || i < len(l) && c.end() > l[i].logical {
		return nil, fmt.Errorf("chunks overlap at logical address %d", c.logical)
	}
	return slices.Insert(l, i, c), nil
}

// find returns the chunk that has all of length bytes at a logical address.
func (l chunks) find(logical, length uint64) (chunk, error) {
	i, found := slices.BinarySearchFunc(l, logical, func(c chunk, at uint64) int { return cmp.Compare(c.logical, at) })
	if !found {
		i--
	}
	if i < 0 || length > l[i].length || logical-l[i].logical > l[i].length-length {
		return chunk{}, fmt.Errorf("no chunk has %d bytes at logical address %d", length, logical)
	}
	return l[i], nil
}

// systemChunks reads the chunks in the superblock, with which the tree of
// chunks can be read.
func (s *super) systemChunks() (chunks, error) {
	var list chunks
	for b := s.sysChunks; len(b) > 0; {
		if len(b) < keyBytes+chunkHeadBytes {
			return nil, errors.New("system chunks are damaged")
		}
		k := parseKey(b)
		b = b[keyBytes:]
		n := chunkHeadBytes + int(binary.LittleEndian.Uint16(b[offStripes:]))*stripeBytes
		if k.kind != keyChunk || n > len(b) {
			return nil, errors.New("system chunks are damaged")
		}
		var err error
		if list, err = s.add(list, k.offset, b[:n]); err != nil {
			return nil, err
		}
		b = b[n:]
	}
	return list, nil
}
