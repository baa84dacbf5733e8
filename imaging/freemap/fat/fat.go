// Package fat finds the free space of FAT12, FAT16 and FAT32 file systems
// (spec freemaps, section 4).
//
// Invariant: a cluster is free only if every copy of the FAT in use says so.
package fat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"hyzer/imaging/freemap"
)

// Boot sector fields.
const (
	bootBytes        = 512
	offOEM           = 3
	offSectorBytes   = 11
	offClusterSecs   = 13
	offReserved      = 14
	offFATs          = 16
	offRootEntries   = 17
	offSectors16     = 19
	offMedia         = 21
	offFATSectors16  = 22
	offSectors32     = 32
	offFATSectors32  = 36
	offState         = 37
	offFlags32       = 40
	offVersion32     = 42
	offState32       = 65
	offSignature     = 510
	signature        = 0xaa55
	flagNoMirror     = 0x80
	maskActive       = 0x0f
	dirEntryBytes    = 32
	fatsMax          = 4
	clusters12Max    = 4084
	clusters16Max    = 65524
	clusters32Max    = 0x0ffffff5
	entryMask32      = 0x0fffffff
	windowEntries    = 1 << 16
	firstCluster     = 2
	clean16, clean32 = 0x8000, 0x08000000
	stateDirty       = 1
	extendedMark     = 0x28 // or one more; after it the state means something
)

// volume is a boot sector, decoded. Its sectors are the file system's own.
type volume struct {
	bits           int // of a FAT entry
	sectorBytes    uint64
	clusterSectors uint64
	reserved       uint64
	fats           uint64
	active         int // the FAT in use, or -1 for all
	fatSectors     uint64
	rootSectors    uint64
	sectors        uint64
	clusters       uint64
	media          byte
	dirty          bool // says the boot sector, as Linux does while it is mounted
}

// Is tells whether r begins with the boot sector of a FAT file system.
func Is(r io.ReaderAt) bool {
	b := make([]byte, bootBytes)
	n, _ := r.ReadAt(b, 0)
	if n < len(b) {
		return false
	}
	_, err := parse(b)
	return err == nil
}

func parse(b []byte) (*volume, error) {
	le := binary.LittleEndian
	u16 := func(at int) uint64 { return uint64(le.Uint16(b[at:])) }
	u32 := func(at int) uint64 { return uint64(le.Uint32(b[at:])) }
	if u16(offSignature) != signature || b[0] != 0xeb && b[0] != 0xe9 {
		return nil, fmt.Errorf("no FAT boot sector")
	}
	v := &volume{
		sectorBytes: u16(offSectorBytes), clusterSectors: uint64(b[offClusterSecs]), reserved: u16(offReserved),
		fats: uint64(b[offFATs]), active: -1, fatSectors: u16(offFATSectors16), sectors: u16(offSectors16), media: b[offMedia],
	}
	if v.sectors == 0 {
		v.sectors = u32(offSectors32)
	}
	wide := v.fatSectors == 0
	if wide {
		v.fatSectors = u32(offFATSectors32)
		if f := u16(offFlags32); f&flagNoMirror != 0 {
			v.active = int(f & maskActive)
		}
	}
	switch {
	case v.sectorBytes < 512 || v.sectorBytes > 4096 || v.sectorBytes&(v.sectorBytes-1) != 0,
		v.clusterSectors == 0 || v.clusterSectors&(v.clusterSectors-1) != 0,
		v.reserved == 0, v.fats == 0 || v.fats > fatsMax, v.media < 0xf0, v.fatSectors == 0,
		v.active >= int(v.fats),
		wide && u16(offVersion32) != 0,
		wide != (u16(offRootEntries) == 0):
		return nil, fmt.Errorf("not a FAT boot sector")
	}
	state := offState
	if wide {
		state = offState32
	}
	v.dirty = b[state+1]&^1 == extendedMark && b[state]&stateDirty != 0
	v.rootSectors = (u16(offRootEntries)*dirEntryBytes + v.sectorBytes - 1) / v.sectorBytes
	return v, v.size(wide)
}

// size works out the number of clusters, which decides the type.
func (v *volume) size(wide bool) error {
	data := v.dataStart()
	if data >= v.sectors {
		return fmt.Errorf("FAT of %d sectors, %d of them before the data", v.sectors, data)
	}
	v.clusters = (v.sectors - data) / v.clusterSectors
	switch {
	case wide:
		v.bits = 32
	case v.clusters > clusters12Max:
		v.bits = 16
	default:
		v.bits = 12
	}
	limit := map[int]uint64{12: clusters12Max, 16: clusters16Max, 32: clusters32Max}[v.bits]
	if need := (v.clusters + firstCluster) * uint64(v.bits) / 8; v.clusters > limit || need > v.fatSectors*v.sectorBytes {
		return fmt.Errorf("FAT%d with %d clusters and %d sectors of FAT", v.bits, v.clusters, v.fatSectors)
	}
	return nil
}

func (v *volume) dataStart() uint64 { return v.reserved + v.fats*v.fatSectors + v.rootSectors }

// Free returns the free space of the file system at the start of r, which has
// size bytes to live in.
func Free(r io.ReaderAt, size int64) (*freemap.Map, error) {
	b := make([]byte, bootBytes)
	if n, err := r.ReadAt(b, 0); n < len(b) {
		return nil, fmt.Errorf("FAT boot sector: %w", err)
	}
	v, err := parse(b)
	if err != nil {
		return nil, err
	}
	if v.sectors*v.sectorBytes > uint64(size) {
		return nil, fmt.Errorf("FAT file system of %d bytes in a partition of %d", v.sectors*v.sectorBytes, size)
	}
	m := &freemap.Map{Type: fmt.Sprintf("FAT%d", v.bits), Sectors: v.sectors * v.sectorBytes / freemap.SectorBytes}
	clean, err := v.checkHead(r)
	if err != nil {
		return nil, err
	}
	if !clean {
		return freemap.Whole(m.Type, size, errors.New("file system is not clean: check it before imaging")), nil
	}
	return m, v.walk(r, m)
}

// copies lists the FATs that count.
func (v *volume) copies() []uint64 {
	if v.active >= 0 {
		return []uint64{uint64(v.active)}
	}
	var all []uint64
	for i := range v.fats {
		all = append(all, i)
	}
	return all
}

// checkHead looks at the first two entries, which are no clusters, and tells
// whether the file system is clean.
func (v *volume) checkHead(r io.ReaderAt) (clean bool, err error) {
	head, err := v.entries(r, v.copies()[0], 0, firstCluster)
	if err != nil {
		return false, err
	}
	if byte(head[0]) != v.media || head[0]>>8&0xf != 0xf {
		return false, fmt.Errorf("FAT begins with %#x, want media byte %#x", head[0], v.media)
	}
	mark := map[int]uint32{16: clean16, 32: clean32}[v.bits] // FAT12 has none
	return !v.dirty && head[1]&mark == mark, nil
}

// walk adds every cluster that is free in all copies.
func (v *volume) walk(r io.ReaderAt, m *freemap.Map) error {
	per := v.sectorBytes / freemap.SectorBytes
	data, cluster := v.dataStart()*per, v.clusterSectors*per
	differ := false
	for at := uint64(firstCluster); at < v.clusters+firstCluster; at += windowEntries {
		n := min(windowEntries, v.clusters+firstCluster-at)
		var used []uint32
		for i, fat := range v.copies() {
			e, err := v.entries(r, fat, at, n)
			if err != nil {
				return err
			}
			if i == 0 {
				used = e
				continue
			}
			for k := range used {
				differ = differ || used[k] != e[k]
				used[k] |= e[k]
			}
		}
		for k, e := range used {
			if e == 0 {
				start := data + (at+uint64(k)-firstCluster)*cluster
				m.Free = freemap.Append(m.Free, start, start+cluster)
			}
		}
	}
	if differ {
		m.Warnings = append(m.Warnings, "FAT: the copies of the FAT differ, kept what any of them has in use")
	}
	return nil
}

// entries reads n entries of a copy of the FAT from entry at on.
func (v *volume) entries(r io.ReaderAt, fat, at, n uint64) ([]uint32, error) {
	bits := uint64(v.bits)
	from := at * bits / 8
	b := make([]byte, (at+n)*bits/8-from+1)
	offset := (v.reserved+fat*v.fatSectors)*v.sectorBytes + from
	if k, err := r.ReadAt(b, int64(offset)); k < len(b)-1 {
		return nil, fmt.Errorf("FAT %d at byte %d: %w", fat, offset, err)
	}
	out := make([]uint32, n)
	for i := range out {
		p := b[(at+uint64(i))*bits/8-from:]
		switch {
		case v.bits == 32:
			out[i] = binary.LittleEndian.Uint32(p) & entryMask32
		case v.bits == 16:
			out[i] = uint32(binary.LittleEndian.Uint16(p))
		case (at+uint64(i))%2 == 0:
			out[i] = uint32(binary.LittleEndian.Uint16(p)) & 0xfff
		default:
			out[i] = uint32(binary.LittleEndian.Uint16(p)) >> 4
		}
	}
	return out, nil
}
