// Package ufs finds the free space of UFS1 and UFS2 (FFS) file systems from
// the maps of free fragments in their cylinder groups (spec freemaps,
// section 3).
package ufs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"hyzer/imaging/freemap"
)

const (
	superBytes = 1536
	magic1     = 0x011954
	magic2     = 0x19540119

	offCgBlock   = 12
	offInoBlock  = 16
	offDataBlock = 20
	offCgOffset  = 24
	offCgMask    = 28
	offSize1     = 36
	offGroups    = 44
	offBlock     = 48
	offFragment  = 52
	offPerBlock  = 56
	offInoPerBlk = 120
	offCgBytes   = 160
	offInodes    = 184
	offFrags     = 188
	offClean     = 209
	offSize2     = 1080
	offMagic     = 1372

	cgMagic      = 0x090255
	cgOffMagic   = 4
	cgOffIndex   = 12
	cgOffFrags   = 20
	cgOffBlocks  = 28 // free ones,
	cgOffPieces  = 36 // and fragments of those that are not
	cgOffFree    = 96
	cgOffInited  = 120
	cgHeadBytes  = 168
	inodeBytes2  = 256
	groupsMax    = 1 << 22
	blockMax     = 64 << 10
	fragmentsMax = 1 << 40
	warningsMax  = 20
)

// super is the superblock, decoded. Its addresses count fragments.
type super struct {
	two                         bool
	fragBytes, blockBytes       uint64
	groups, fragsPerGroup, size uint64
	cgBlock, inoBlock, data     uint64
	cgOffset, cgMask            uint64
	cgBytes                     uint64
	inodes, inodesPerBlock      uint64
	fragsPerBlock               uint64
	clean                       bool
}

// places is where the superblock may be, in the order they are tried.
func places() []int64 { return []int64{64 << 10, 8 << 10, 0, 256 << 10} }

// Is tells whether there is a UFS superblock in r.
func Is(r io.ReaderAt) bool {
	_, err := read(r)
	return err == nil
}

func read(r io.ReaderAt) (*super, error) {
	b := make([]byte, superBytes)
	for _, at := range places() {
		if n, _ := r.ReadAt(b, at); n < len(b) {
			continue
		}
		m := binary.LittleEndian.Uint32(b[offMagic:])
		if m == magic2 || m == magic1 && at != places()[0] {
			return parse(b, m == magic2)
		}
	}
	return nil, fmt.Errorf("no UFS superblock")
}

func parse(b []byte, two bool) (*super, error) {
	u32 := func(at int) uint64 { return uint64(binary.LittleEndian.Uint32(b[at:])) }
	s := &super{
		two: two, fragBytes: u32(offFragment), blockBytes: u32(offBlock), fragsPerBlock: u32(offPerBlock),
		groups: u32(offGroups), fragsPerGroup: u32(offFrags), size: u32(offSize1),
		cgBlock: u32(offCgBlock), inoBlock: u32(offInoBlock), data: u32(offDataBlock),
		cgOffset: u32(offCgOffset), cgMask: u32(offCgMask), cgBytes: u32(offCgBytes),
		inodes: u32(offInodes), inodesPerBlock: u32(offInoPerBlk), clean: b[offClean] != 0,
	}
	if two {
		s.size = binary.LittleEndian.Uint64(b[offSize2:])
		s.cgOffset = 0
	}
	switch {
	case s.fragBytes < 512 || s.fragBytes > blockMax || s.fragBytes&(s.fragBytes-1) != 0,
		s.blockBytes < s.fragBytes || s.blockBytes > blockMax || s.blockBytes != s.fragBytes*s.fragsPerBlock,
		s.groups == 0 || s.groups > groupsMax,
		s.fragsPerGroup == 0 || s.size == 0 || s.size > fragmentsMax || s.size <= (s.groups-1)*s.fragsPerGroup,
		s.cgBytes < cgHeadBytes || s.cgBytes > s.blockBytes,
		s.data > s.fragsPerGroup || s.inoBlock > s.data || s.cgBlock > s.fragsPerGroup:
		return nil, fmt.Errorf("damaged UFS superblock")
	}
	return s, nil
}

// Free returns the free space of the file system at the start of r, which has
// size bytes to live in.
func Free(r io.ReaderAt, size int64) (*freemap.Map, error) {
	s, err := read(r)
	if err != nil {
		return nil, err
	}
	if s.size*s.fragBytes > uint64(size) {
		return nil, fmt.Errorf("UFS of %d bytes in a partition of %d", s.size*s.fragBytes, size)
	}
	m := &freemap.Map{Type: "UFS1", Sectors: s.size * s.fragBytes / freemap.SectorBytes}
	if s.two {
		m.Type = "UFS2"
	}
	if !s.clean {
		return freemap.Whole(m.Type, size, errors.New("file system is not clean: run fsck before imaging")), nil
	}
	buf := make([]byte, s.blockBytes)
	for g := range s.groups {
		if err := s.group(r, g, buf, m); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// group adds the free fragments of one cylinder group. A damaged one is kept.
func (s *super) group(r io.ReaderAt, g uint64, cg []byte, m *freemap.Map) error {
	base := g * s.fragsPerGroup
	start := base + s.cgOffset*(g&^s.cgMask&0xffffffff)
	at := (start + s.cgBlock) * s.fragBytes
	if n, err := r.ReadAt(cg, int64(at)); n < len(cg) {
		return fmt.Errorf("UFS cylinder group %d at byte %d: %w", g, at, err)
	}
	u32 := func(at int) uint64 { return uint64(binary.LittleEndian.Uint32(cg[at:])) }
	frags, free := u32(cgOffFrags), u32(cgOffFree)
	if u32(cgOffMagic) != cgMagic || u32(cgOffIndex) != g ||
		frags > s.fragsPerGroup || base+frags > s.size || free+(frags+7)/8 > s.cgBytes {
		keep(m, g, "is damaged")
		return nil
	}
	per := s.fragBytes / freemap.SectorBytes
	var list []freemap.Range
	sum := uint64(0)
	freemap.SetRuns(cg[free:], int(frags), func(from, to int) {
		list = freemap.Append(list, (base+uint64(from))*per, (base+uint64(to))*per)
		sum += uint64(to - from)
	})
	if want := u32(cgOffBlocks)*s.fragsPerBlock + u32(cgOffPieces); sum != want {
		keep(m, g, fmt.Sprintf("has %d free fragments and counts %d", sum, want))
		return nil
	}
	if from, to := s.uninited(base, u32(cgOffInited)); from < min(to, base+frags) {
		list = freemap.Normalize(append(list, freemap.Range{Start: from * per, End: min(to, base+frags) * per}))
	}
	for _, f := range list {
		m.Free = freemap.Append(m.Free, f.Start, f.End)
	}
	return nil
}

// keep tells why a group is kept.
func keep(m *freemap.Map, g uint64, why string) {
	if len(m.Warnings) < warningsMax {
		m.Warnings = append(m.Warnings, fmt.Sprintf("UFS: cylinder group %d %s, all of it is kept", g, why))
	}
}

// uninited are the fragments of inodes that UFS2 has not initialised yet.
func (s *super) uninited(base, inited uint64) (from, to uint64) {
	if !s.two || inited > s.inodes {
		return 0, 0
	}
	perBlock := s.blockBytes / inodeBytes2
	blocks := (inited + perBlock - 1) / perBlock
	return base + s.inoBlock + blocks*s.fragsPerBlock, base + s.data
}
