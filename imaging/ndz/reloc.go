package ndz

import (
	"encoding/binary"
	"fmt"
)

// RelocType says how data depends on where its partition lies.
type RelocType uint32

// The relocations (spec ndz, 1.5).
const (
	RelocNone          RelocType = 0
	RelocFreeBSDLabel  RelocType = 1
	RelocOpenBSDLabel  RelocType = 2
	RelocLILOAddress   RelocType = 3
	RelocLILOMapSector RelocType = 4
	RelocLILOChecksum  RelocType = 5
	RelocShortSector   RelocType = 6
)

const (
	liloAddressBytes      = 5
	liloTableBytes        = 1024
	liloDescriptorsBytes  = 990 // of the table; a checksum's place is after them
	liloChecksumSeed      = 0xabcd
	liloFlagLBA32         = 0x20
	liloFlagTopByte       = 0x10
	liloFlagLinear        = 0x40
	liloAddressesInSector = SectorBytes / liloAddressBytes
)

// Reloc marks data that must change with the place the image is restored to.
type Reloc struct {
	Type   RelocType
	Sector uint64 // relative to the image base, like a region
	Offset int    // byte in the sector
	Size   int    // bytes affected
}

// Placement is where an image goes: the partition of a slice restore, or zero
// for a whole disk or a bare file system.
type Placement struct {
	Start uint64 // sectors; added to LILO and disklabel addresses
	Size  uint64 // sectors; 0 if the restore is not into a partition
}

// InPartition tells a slice restore from any other.
func (p Placement) InPartition() bool { return p.Size > 0 }

func parseRelocs(b []byte, n int) []Reloc {
	if n == 0 {
		return nil
	}
	relocs := make([]Reloc, n)
	for i := range relocs {
		at := i * relocBytes
		relocs[i] = Reloc{
			Type:   RelocType(u32(b, at)),
			Sector: uint64(u32(b, at+4)),
			Offset: int(int32(u32(b, at+8))),
			Size:   int(int32(u32(b, at+12))),
		}
	}
	return relocs
}

func (r Reloc) put(b []byte) {
	binary.LittleEndian.PutUint32(b, uint32(r.Type))
	binary.LittleEndian.PutUint32(b[4:], uint32(r.Sector))
	binary.LittleEndian.PutUint32(b[8:], uint32(r.Offset))
	binary.LittleEndian.PutUint32(b[12:], uint32(r.Size))
}

// extent is the range of bytes, relative to the start of r.Sector, that must
// be in one buffer for r to be applied.
func (r Reloc) extent() (from, to int) {
	switch r.Type {
	case RelocFreeBSDLabel, RelocOpenBSDLabel:
		return r.Offset, SectorBytes
	case RelocLILOAddress:
		return r.Offset, r.Offset + liloAddressBytes
	case RelocLILOMapSector:
		return 0, SectorBytes
	case RelocLILOChecksum:
		return r.Offset - liloDescriptorsBytes, r.Offset - liloDescriptorsBytes + liloTableBytes
	}
	return 0, 0
}

// inBounds refuses offsets and sizes no writer makes, before they are added to.
func (r Reloc) inBounds() bool {
	return r.Offset >= 0 && r.Offset <= SectorBytes && r.Size >= 0 && r.Size <= SectorBytes
}

// apply changes data, which is what extent asked for.
func (r Reloc) apply(data []byte, p Placement) error {
	switch r.Type {
	case RelocFreeBSDLabel, RelocOpenBSDLabel:
		return relocateLabel(data, p, r.Type == RelocOpenBSDLabel)
	case RelocLILOAddress:
		return relocateLILO(data, p.Start)
	case RelocLILOMapSector:
		return relocateLILOMap(data, p.Start)
	case RelocLILOChecksum:
		sumLILO(data)
	}
	return nil
}

func relocateLILOMap(sector []byte, start uint64) error {
	for i := range liloAddressesInSector {
		a := sector[i*liloAddressBytes:][:liloAddressBytes]
		if absentLILO(a) {
			return nil
		}
		if err := relocateLILO(a, start); err != nil {
			return err
		}
	}
	return nil
}

func absentLILO(a []byte) bool { return a[0]|a[1]|a[2]|a[3]|a[4] == 0 }

// relocateLILO adds start to a packed sector address: sector, track, device,
// head, count. The device byte tells how the other bytes are to be read.
func relocateLILO(a []byte, start uint64) error {
	if absentLILO(a) {
		return nil
	}
	if a[2]&(liloFlagLinear|liloFlagLBA32) == 0 {
		if start == 0 {
			return nil
		}
		return fmt.Errorf("LILO address % x is in cylinders and heads, which cannot be moved", a)
	}
	v := uint64(a[3])<<16 | uint64(a[1])<<8 | uint64(a[0])
	if a[2]&liloFlagTopByte != 0 {
		v |= uint64(a[4]) << 24
	}
	v += start
	limit := uint64(1) << 24
	if a[2]&liloFlagTopByte != 0 {
		limit = 1 << 32
	}
	if v >= limit {
		return fmt.Errorf("LILO address % x moved by %d sectors does not fit any more", a, start)
	}
	a[0], a[1], a[3] = byte(v), byte(v>>8), byte(v>>16)
	if a[2]&liloFlagTopByte != 0 {
		a[4] = byte(v >> 24)
	}
	return nil
}

// sumLILO sets the first word of the table, its sum, to the XOR of all others
// and the seed.
func sumLILO(table []byte) {
	le := binary.LittleEndian
	le.PutUint16(table, 0)
	sum := uint16(liloChecksumSeed)
	for i := 0; i < liloTableBytes; i += 2 {
		sum ^= le.Uint16(table[i:])
	}
	le.PutUint16(table, sum)
}
