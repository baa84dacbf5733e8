package xfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"hyzer/imaging/freemap"
)

const kind = "XFS"

// Free space header of an allocation group (AGF), in its second sector.
const (
	agfMagic       = "XAGF"
	offAGFNumber   = 8
	offAGFLength   = 12
	offAGFRoot     = 16
	offAGFLevels   = 28
	offAGFFree     = 52
	offAGFUUID     = 64
	offAGFChecksum = 216
	levelsMax      = 9
	warningsMax    = 20
)

// Blocks of the tree.
const (
	treeMagic4    = "ABTB"
	treeMagic5    = "AB3B"
	treeHead4     = 16
	treeHead5     = 56
	offLevel      = 4
	offRecords    = 6
	offRightBlock = 12
	offPlace      = 16 // in sectors of 512 bytes
	offTreeUUID   = 32
	offOwner      = 48
	offTreeCRC    = 52
	recordBytes   = 8 // start, length
	pointerBytes  = 4
	noBlock       = 0xffffffff
)

// Free returns the free space of the file system that begins at the start of
// r and has size bytes to live in. One that is unclean, unknown or damaged is
// kept whole, and a damaged allocation group too.
func Free(r io.ReaderAt, size int64) (*freemap.Map, error) {
	s, err := readSuper(r, size)
	if err == nil {
		err = s.usable(r)
	}
	if err != nil {
		return freemap.Whole(kind, size, err), nil
	}
	m := &freemap.Map{Type: kind, Sectors: s.blocks * s.blockBytes / freemap.SectorBytes}
	for ag := range s.ags {
		g := &group{super: s, r: r, number: ag, first: ag * s.agBlocks, length: s.agLength(ag)}
		free, err := g.free()
		if err != nil {
			if len(m.Warnings) < warningsMax {
				m.Warnings = append(m.Warnings, fmt.Sprintf("%s: allocation group %d: %v; all of the group is kept", kind, ag, err))
			}
			continue
		}
		for _, f := range free {
			m.Free = freemap.Append(m.Free, f.Start, f.End)
		}
	}
	return m, nil
}

// usable tells why free space cannot be believed, if so.
func (s *super) usable(r io.ReaderAt) error {
	switch {
	case s.inProgress:
		return errors.New("mkfs.xfs or growth did not end")
	case s.needsRepair:
		return errors.New("marked as in need of xfs_repair")
	}
	return s.checkLog(r)
}

// group is an allocation group. Its blocks count from its start.
type group struct {
	*super
	r             io.ReaderAt
	number        uint64
	first, length uint64 // blocks of the disk
}

// free reads the group's tree: down to its first leaf, then from leaf to leaf.
func (g *group) free() ([]freemap.Range, error) {
	root, levels, want, err := g.header()
	if err != nil {
		return nil, err
	}
	b := make([]byte, g.blockBytes)
	block := root
	for level := levels - 1; level > 0; level-- {
		n, err := g.read(b, block, level)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, fmt.Errorf("block %d of the tree is empty", block)
		}
		fit := (len(b) - g.headBytes()) / (recordBytes + pointerBytes)
		block = uint64(binary.BigEndian.Uint32(b[g.headBytes()+fit*recordBytes:]))
	}
	return g.leaves(b, block, want)
}

// leaves lists the records from leaf block on. As they must ascend, and no
// leaf but the only one may be empty, a circle of leaves ends too.
func (g *group) leaves(b []byte, block, want uint64) ([]freemap.Range, error) {
	var list []freemap.Range
	lowest := g.kept()
	sum := uint64(0)
	for block != noBlock {
		n, err := g.read(b, block, 0)
		if err != nil {
			return nil, err
		}
		block = uint64(binary.BigEndian.Uint32(b[offRightBlock:]))
		if n == 0 && (block != noBlock || lowest != g.kept()) {
			return nil, errors.New("empty leaf in the tree")
		}
		for i := range n {
			rec := b[g.headBytes()+i*recordBytes:]
			start, length := uint64(binary.BigEndian.Uint32(rec)), uint64(binary.BigEndian.Uint32(rec[4:]))
			if err := g.check(start, length, lowest); err != nil {
				return nil, err
			}
			lowest = start + length
			sum += length
			per := g.blockBytes / freemap.SectorBytes
			list = freemap.Append(list, (g.first+start)*per, (g.first+lowest)*per)
		}
	}
	if sum != want {
		return nil, fmt.Errorf("%d free blocks in the tree, %d in its header", sum, want)
	}
	return list, nil
}

// check refuses a free extent that is out of order or holds what is in use.
func (g *group) check(start, length, lowest uint64) error {
	if start < lowest || length == 0 || start+length > g.length {
		return fmt.Errorf("free extent of %d blocks at block %d of %d", length, start, g.length)
	}
	if from := g.first + start; from < g.logStart+g.logBlocks && g.logStart < from+length {
		return fmt.Errorf("free extent of %d blocks at block %d is in the log", length, start)
	}
	return nil
}

// kept is the number of blocks that the headers at the start of a group take.
func (s *super) kept() uint64 {
	return (agHeaders*s.sectorBytes + s.blockBytes - 1) / s.blockBytes
}

// header reads the AGF.
func (g *group) header() (root uint64, levels int, free uint64, err error) {
	be := binary.BigEndian
	b := make([]byte, g.sectorBytes)
	if err := freemap.ReadFull(g.r, b, int64(g.first*g.blockBytes+g.sectorBytes)); err != nil {
		return 0, 0, 0, err
	}
	u32 := func(at int) uint64 { return uint64(be.Uint32(b[at:])) }
	five := g.version == version5
	switch {
	case string(b[:len(agfMagic)]) != agfMagic, u32(offAGFNumber) != g.number, u32(offAGFLength) != g.length:
		return 0, 0, 0, errors.New("its header is damaged")
	case five && (!intact(b, offAGFChecksum) || !bytes.Equal(b[offAGFUUID:][:uuidBytes], g.uuid[:])):
		return 0, 0, 0, errors.New("checksum of its header does not match")
	case u32(offAGFLevels) == 0 || u32(offAGFLevels) > levelsMax:
		return 0, 0, 0, fmt.Errorf("tree of %d levels", u32(offAGFLevels))
	}
	return u32(offAGFRoot), int(u32(offAGFLevels)), u32(offAGFFree), nil
}

func (s *super) headBytes() int {
	if s.version == version5 {
		return treeHead5
	}
	return treeHead4
}

// read reads a block of the tree into b, and returns its number of records.
func (g *group) read(b []byte, block uint64, level int) (int, error) {
	be := binary.BigEndian
	if block < g.kept() || block >= g.length {
		return 0, fmt.Errorf("tree has block %d of %d", block, g.length)
	}
	at := (g.first + block) * g.blockBytes
	if err := freemap.ReadFull(g.r, b, int64(at)); err != nil {
		return 0, err
	}
	want, entry := treeMagic4, recordBytes
	if g.version == version5 {
		want = treeMagic5
	}
	if level > 0 {
		entry += pointerBytes
	}
	n := int(be.Uint16(b[offRecords:]))
	if string(b[:len(want)]) != want || int(be.Uint16(b[offLevel:])) != level || n > (len(b)-g.headBytes())/entry {
		return 0, fmt.Errorf("block %d of the tree is damaged", block)
	}
	if g.version == version5 && (!intact(b, offTreeCRC) ||
		be.Uint64(b[offPlace:]) != at/freemap.SectorBytes || uint64(be.Uint32(b[offOwner:])) != g.number ||
		!bytes.Equal(b[offTreeUUID:][:uuidBytes], g.uuid[:])) {
		return 0, fmt.Errorf("checksum of block %d of the tree does not match", block)
	}
	return n, nil
}
