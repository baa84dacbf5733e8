package ndz

import "encoding/binary"

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
		return r.Offset, r.Offset + LILOAddressBytes
	case RelocLILOMapSector:
		return 0, SectorBytes
	case RelocLILOChecksum:
		return r.Offset - LILODescriptorsBytes, r.Offset - LILODescriptorsBytes + LILOTableBytes
	}
	return 0, 0
}

// Span is the sectors that must be in one chunk for r to be applied.
func (r Reloc) Span() (first, end uint64) {
	from, to := r.extent()
	first = r.Sector - uint64((max(0, -from)+SectorBytes-1)/SectorBytes)
	return first, r.Sector + uint64(max(1, (to+SectorBytes-1)/SectorBytes))
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
		return LILOAddress(data).move(p.Start)
	case RelocLILOMapSector:
		return relocateLILOMap(data, p.Start)
	case RelocLILOChecksum:
		SumLILO(data)
	}
	return nil
}

func relocateLILOMap(sector []byte, start uint64) error {
	for i := range LILOAddressesMax {
		a := LILOAddress(sector[i*LILOAddressBytes:][:LILOAddressBytes])
		if a.Absent() {
			return nil
		}
		if err := a.move(start); err != nil {
			return err
		}
	}
	return nil
}
