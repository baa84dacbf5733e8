package btrfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"hyzer/imaging/freemap"
)

const (
	kind = "btrfs"

	// Kept in any case: boot loaders may be before the first chunk, and copies
	// of the superblock lie inside chunks, with 64 KiB that nothing else has.
	headKeptBytes  = 1 << 20
	superKeptBytes = 64 << 10
	secondSuper    = 64 << 20
	thirdSuper     = 256 << 30
)

// Free returns the free space of the file system that begins at the start of
// r and has size bytes to live in. One that is unclean, unknown or damaged is
// kept whole.
func Free(r io.ReaderAt, size int64) (*freemap.Map, error) {
	s, err := readSuper(r, size)
	if err != nil {
		return freemap.Whole(kind, size, err), nil
	}
	used, err := s.used(r)
	if err != nil {
		return freemap.Whole(kind, size, err), nil
	}
	return &freemap.Map{
		Type:    kind,
		Sectors: s.devBytes / freemap.SectorBytes,
		Free:    freemap.Invert(used, 0, s.devBytes/freemap.SectorBytes),
	}, nil
}

// used lists the sectors of the device that are in use.
func (s *super) used(r io.ReaderAt) ([]freemap.Range, error) {
	list, err := s.systemChunks()
	if err != nil {
		return nil, err
	}
	t := &tree{super: s, r: r, chunks: list}
	if err := t.readChunks(); err != nil {
		return nil, fmt.Errorf("chunk tree: %w", err)
	}
	extents, err := t.extents()
	if err != nil {
		return nil, fmt.Errorf("extent tree: %w", err)
	}
	used := []freemap.Range{{Start: 0, End: headKeptBytes / freemap.SectorBytes}}
	for _, at := range []uint64{superOffset, secondSuper, thirdSuper} {
		used = append(used, freemap.Range{Start: at / freemap.SectorBytes, End: (at + superKeptBytes) / freemap.SectorBytes})
	}
	for _, e := range extents {
		used = t.place(used, e)
	}
	return freemap.Normalize(used), nil
}

// readChunks adds all chunks to those of the superblock.
func (t *tree) readChunks() error {
	list := t.chunks
	err := t.walk(t.chunkRoot, ownerChunks, func(k key, data []byte) (err error) {
		if k.kind == keyChunk {
			list, err = t.add(list, k.offset, data)
		}
		return err
	})
	t.chunks = list
	return err
}

// extents lists the logical addresses in use. They must add up to what the
// superblock counts.
func (t *tree) extents() ([]freemap.Range, error) {
	root, err := t.extentRoot()
	if err != nil {
		return nil, err
	}
	var list []freemap.Range
	end, sum := uint64(0), uint64(0)
	err = t.walk(root, ownerExtents, func(k key, _ []byte) error {
		length := k.offset
		switch k.kind {
		case keyExtent:
		case keyMetadata:
			length = t.nodeBytes
		default:
			return nil
		}
		if _, err := t.chunks.find(k.object, length); err != nil {
			return err
		}
		if k.object < end || length == 0 || (k.object|length)%freemap.SectorBytes != 0 {
			return fmt.Errorf("extent of %d bytes at logical address %d", length, k.object)
		}
		end = k.object + length
		sum += length
		list = freemap.Append(list, k.object, end)
		return nil
	})
	if err == nil && sum != t.bytesUsed {
		err = fmt.Errorf("%d bytes in use, %d in the superblock", sum, t.bytesUsed)
	}
	return list, err
}

// extentRoot finds the extent tree in the tree of roots.
func (t *tree) extentRoot() (pointer, error) {
	var root pointer
	err := t.walk(t.root, ownerRoots, func(k key, data []byte) error {
		if k.object != ownerExtents || k.kind != keyRoot {
			return nil
		}
		if len(data) <= offTreeLevel {
			return errors.New("root is damaged")
		}
		root = pointer{
			logical: binary.LittleEndian.Uint64(data[offTreeBlock:]), generation: binary.LittleEndian.Uint64(data[offTreeGen:]),
			level: int(data[offTreeLevel]),
		}
		return nil
	})
	return root, err
}

// place appends the sectors of all copies of logical addresses, which may go
// on from one chunk into the next.
func (t *tree) place(used []freemap.Range, r freemap.Range) []freemap.Range {
	for r.Start < r.End {
		c, err := t.chunks.find(r.Start, 1)
		if err != nil {
			return used // extents were checked
		}
		end := min(r.End, c.end())
		for _, at := range c.copies {
			from := at + r.Start - c.logical
			used = append(used, freemap.Range{Start: from / freemap.SectorBytes, End: (from + end - r.Start + freemap.SectorBytes - 1) / freemap.SectorBytes})
		}
		r.Start = end
	}
	return used
}
