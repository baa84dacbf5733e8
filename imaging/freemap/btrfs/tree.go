package btrfs

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"hyzer/imaging/freemap"
)

// Tree blocks: a header, then items (key, place, size) or pointers (key,
// address, generation).
const (
	keyBytes      = 17
	headBytes     = 101
	itemBytes     = 25
	pointerBytes  = 33
	offBlockPlace = 48
	offBlockGen   = 80
	offOwner      = 88
	offItems      = 96
	offLevel      = 100

	keyRoot      = 132
	keyExtent    = 168
	keyMetadata  = 169
	keyChunk     = 228
	ownerRoots   = 1
	ownerExtents = 2
	ownerChunks  = 3
	offTreeBlock = 176
	offTreeLevel = 238
	offTreeGen   = 160
)

// key is what trees are ordered by.
type key struct {
	object uint64
	kind   byte
	offset uint64
}

func parseKey(b []byte) key {
	return key{binary.LittleEndian.Uint64(b), b[8], binary.LittleEndian.Uint64(b[9:])}
}

func (k key) compare(o key) int {
	return cmp.Or(cmp.Compare(k.object, o.object), cmp.Compare(k.kind, o.kind), cmp.Compare(k.offset, o.offset))
}

// tree reads the trees of a file system.
type tree struct {
	*super
	r      io.ReaderAt
	chunks chunks
}

// walk calls fn for every item of a tree, in order. As keys must ascend over
// the whole tree it cannot go in circles.
func (t *tree) walk(root pointer, owner uint64, fn func(k key, data []byte) error) error {
	last, first := key{}, true
	return t.block(root, owner, nil, func(k key, data []byte) error {
		if !first && k.compare(last) <= 0 {
			return errors.New("keys are out of order")
		}
		last, first = k, false
		return fn(k, data)
	})
}

// block calls fn for every item below a tree block, which must begin with key
// from, if it is known.
func (t *tree) block(p pointer, owner uint64, from *key, fn func(k key, data []byte) error) error {
	b, err := t.read(p, owner)
	if err != nil {
		return err
	}
	n := int(binary.LittleEndian.Uint32(b[offItems:]))
	if p.level == 0 {
		err = eachItem(b, n, from, fn)
	} else {
		err = t.eachChild(b, n, p, owner, from, fn)
	}
	if err != nil {
		return fmt.Errorf("tree block at logical address %d: %w", p.logical, err)
	}
	return nil
}

func eachItem(b []byte, n int, from *key, fn func(k key, data []byte) error) error {
	if n > (len(b)-headBytes)/itemBytes || n == 0 && from != nil {
		return fmt.Errorf("%d items", n)
	}
	for i := range n {
		item := b[headBytes+i*itemBytes:]
		k := parseKey(item)
		if i == 0 && from != nil && k != *from {
			return errors.New("begins with another key than its parent says")
		}
		at, size := uint64(binary.LittleEndian.Uint32(item[keyBytes:])), uint64(binary.LittleEndian.Uint32(item[keyBytes+4:]))
		if at+size > uint64(len(b)-headBytes) {
			return fmt.Errorf("item of %d bytes at byte %d", size, at)
		}
		if err := fn(k, b[headBytes+at:][:size]); err != nil {
			return err
		}
	}
	return nil
}

func (t *tree) eachChild(b []byte, n int, p pointer, owner uint64, from *key, fn func(k key, data []byte) error) error {
	if n == 0 || n > (len(b)-headBytes)/pointerBytes {
		return fmt.Errorf("%d children", n)
	}
	last := key{}
	for i := range n {
		entry := b[headBytes+i*pointerBytes:]
		k := parseKey(entry)
		if i == 0 && from != nil && k != *from || i > 0 && k.compare(last) <= 0 {
			return errors.New("keys are out of order")
		}
		last = k
		child := pointer{
			logical: binary.LittleEndian.Uint64(entry[keyBytes:]), generation: binary.LittleEndian.Uint64(entry[keyBytes+8:]), level: p.level - 1,
		}
		if child.generation > p.generation {
			return fmt.Errorf("child of generation %d", child.generation)
		}
		if err := t.block(child, owner, &k, fn); err != nil {
			return err
		}
	}
	return nil
}

// read reads a tree block and verifies that it is the one that is meant.
func (t *tree) read(p pointer, owner uint64) ([]byte, error) {
	le := binary.LittleEndian
	c, err := t.chunks.find(p.logical, t.nodeBytes)
	if err != nil {
		return nil, err
	}
	b := make([]byte, t.nodeBytes)
	if err := freemap.ReadFull(t.r, b, int64(c.copies[0]+p.logical-c.logical)); err != nil {
		return nil, err
	}
	if err := t.intact(b); err != nil {
		return nil, fmt.Errorf("tree block at logical address %d: %w", p.logical, err)
	}
	if le.Uint64(b[offBlockPlace:]) != p.logical || le.Uint64(b[offBlockGen:]) != p.generation || le.Uint64(b[offOwner:]) != owner ||
		int(b[offLevel]) != p.level || p.level > levelMax || !bytes.Equal(b[offFSID:][:uuidBytes], t.nodeFSID[:]) {
		return nil, fmt.Errorf("tree block at logical address %d is another one", p.logical)
	}
	return b, nil
}
