package ndz

import (
	"encoding/binary"
	"fmt"
)

// What LILO, up to version 21, has on a disk (spec ndz, 1.5).
const (
	// LILOAddressBytes is the size of a packed sector address.
	LILOAddressBytes = 5
	// LILOAddressesMax is how many of them a map sector has.
	LILOAddressesMax = SectorBytes / LILOAddressBytes
	// LILOTableBytes is the size of the table of descriptors.
	LILOTableBytes = 1024
	// LILODescriptorsBytes is the part of the table before the place that a
	// RelocLILOChecksum names.
	LILODescriptorsBytes = 990

	liloChecksumSeed = 0xabcd
	liloFlagLBA32    = 0x20
	liloFlagTopByte  = 0x10
	liloFlagLinear   = 0x40
)

// LILOAddress is a packed sector address, LILOAddressBytes long: sector, track,
// device, head, count. The device byte tells how the other bytes are to be read.
type LILOAddress []byte

// Absent tells whether there is no address.
func (a LILOAddress) Absent() bool { return a[0]|a[1]|a[2]|a[3]|a[4] == 0 }

// Sector is the sector of the disk, or false if the address counts in
// cylinders and heads.
func (a LILOAddress) Sector() (uint64, bool) {
	if a[2]&(liloFlagLinear|liloFlagLBA32) == 0 {
		return 0, false
	}
	v := uint64(a[3])<<16 | uint64(a[1])<<8 | uint64(a[0])
	if a[2]&liloFlagTopByte != 0 {
		v |= uint64(a[4]) << 24
	}
	return v, true
}

// SetSector changes the sector, and fails if it does not fit.
func (a LILOAddress) SetSector(v uint64) error {
	limit := uint64(1) << 24
	if a[2]&liloFlagTopByte != 0 {
		limit = 1 << 32
	}
	if v >= limit {
		return fmt.Errorf("LILO address % x cannot hold sector %d", []byte(a), v)
	}
	a[0], a[1], a[3] = byte(v), byte(v>>8), byte(v>>16)
	if a[2]&liloFlagTopByte != 0 {
		a[4] = byte(v >> 24)
	}
	return nil
}

// move adds start to the address.
func (a LILOAddress) move(start uint64) error {
	if a.Absent() || start == 0 {
		return nil
	}
	v, ok := a.Sector()
	if !ok {
		return fmt.Errorf("LILO address % x is in cylinders and heads, which cannot be moved", []byte(a))
	}
	return a.SetSector(v + start)
}

// SumLILO sets the first word of a table, its sum, to the XOR of all others
// and the seed, and tells whether it was that already.
func SumLILO(table []byte) bool {
	le := binary.LittleEndian
	old := le.Uint16(table)
	le.PutUint16(table, 0)
	sum := uint16(liloChecksumSeed)
	for i := 0; i < LILOTableBytes; i += 2 {
		sum ^= le.Uint16(table[i:])
	}
	le.PutUint16(table, sum)
	return sum == old
}
