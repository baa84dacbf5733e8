package lilo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"hyzer/imaging/ndz"
)

// Layout of the boot sector and of the table of descriptors.
const (
	sectorBytes = ndz.SectorBytes

	signature    = "LILO"
	offSignature = 6
	offStage     = 10
	offVersion   = 12
	stageFirst   = 1
	versionMax   = 0x0115 // 1.21; later ones are laid out otherwise

	offTable     = 24 // two addresses of the table, one of the default command line
	tableParts   = ndz.LILOTableBytes / sectorBytes
	offDefault   = offTable + tableParts*ndz.LILOAddressBytes
	offMessage   = 42 // map of the text shown at start
	offKeys      = 47
	offSecondary = 52 // second stage, one after the other
	secondaryMax = 11

	descriptorBytes = 52
	descriptorsMax  = 19
	offDescriptors  = 2 // after the sum
	offInitrd       = 36
	offStart        = 41

	// mapSectorsMax bounds the chains of map sectors: 20 systems of 32 MiB.
	mapSectorsMax = 20 * 32 << 20 / sectorBytes / (ndz.LILOAddressesMax - 1)
)

// ErrNone is returned for a partition without LILO in its first sector.
var ErrNone = errors.New("no LILO")

// Loader is what LILO has in a partition.
type Loader struct {
	// Relocs are the places of addresses and of the table's sum, in the order
	// in which they must be changed.
	Relocs []ndz.Reloc
	// Sectors are those with addresses, counted from the partition, with
	// addresses that count from there too.
	Sectors map[uint64][]byte
	// Table is the first sector of the table, which has two. Its sum, and an
	// address that is in both, need them in one chunk.
	Table uint64
}

// reader collects what is to be changed.
type reader struct {
	r       io.ReaderAt // the partition
	start   uint64      // on the disk
	sectors uint64
	out     Loader
	maps    []uint64 // first sectors of chains
}

// Read finds the addresses in the partition r, which has so many sectors and
// begins at sector start of the disk. An error that is not ErrNone and not one
// of reading says why they cannot be moved.
func Read(r io.ReaderAt, start, sectors uint64) (*Loader, error) {
	l := &reader{r: r, start: start, sectors: sectors}
	l.out.Sectors = map[uint64][]byte{}
	boot, err := l.sector(0)
	if err != nil {
		return nil, err
	}
	if string(boot[offSignature:][:len(signature)]) != signature {
		return nil, ErrNone
	}
	le := binary.LittleEndian
	if stage, version := le.Uint16(boot[offStage:]), le.Uint16(boot[offVersion:]); stage != stageFirst || version > versionMax {
		return nil, fmt.Errorf("stage %#x of version %#x is not known", stage, version)
	}
	for _, step := range []func([]byte) error{l.boot, l.table, l.chains} {
		if err := step(boot); err != nil {
			return nil, err
		}
	}
	return &l.out, nil
}

// sector returns a sector of the partition, to be changed in place.
func (l *reader) sector(n uint64) ([]byte, error) {
	if b := l.out.Sectors[n]; b != nil {
		return b, nil
	}
	b := make([]byte, sectorBytes)
	if k, err := l.r.ReadAt(b, int64(n)*sectorBytes); k < len(b) {
		return nil, fmt.Errorf("sector %d: %w", n, err)
	}
	l.out.Sectors[n] = b
	return b, nil
}

// move makes an address count from the partition, and returns its sector there.
func (l *reader) move(b []byte) (uint64, error) {
	a := ndz.LILOAddress(b[:ndz.LILOAddressBytes])
	v, ok := a.Sector()
	switch {
	case !ok:
		return 0, fmt.Errorf("address % x counts in cylinders and heads", []byte(a))
	case v < l.start || v >= l.start+l.sectors:
		return 0, fmt.Errorf("sector %d is not in the partition", v)
	}
	return v - l.start, a.SetSector(v - l.start)
}

// address moves the address at an offset of a sector, if there is one, and
// marks it.
func (l *reader) address(sector uint64, offset int) (to uint64, found bool, err error) {
	b := l.out.Sectors[sector][offset:]
	if ndz.LILOAddress(b).Absent() {
		return 0, false, nil
	}
	to, err = l.move(b)
	l.out.Relocs = append(l.out.Relocs, ndz.Reloc{Type: ndz.RelocLILOAddress, Sector: sector, Offset: offset, Size: ndz.LILOAddressBytes})
	return to, true, err
}

// boot moves the addresses in the boot sector.
func (l *reader) boot([]byte) error {
	offsets := []int{offTable, offTable + ndz.LILOAddressBytes, offDefault, offMessage, offKeys}
	for i := range secondaryMax {
		offsets = append(offsets, offSecondary+i*ndz.LILOAddressBytes)
	}
	for _, offset := range offsets {
		to, found, err := l.address(0, offset)
		switch {
		case err != nil:
			return err
		case !found && offset < offDefault:
			return errors.New("no table of descriptors")
		case !found && offset >= offSecondary:
			return nil
		case offset == offTable:
			l.out.Table = to
		case offset < offDefault && to != l.out.Table+1:
			return fmt.Errorf("table of descriptors is in pieces, at sectors %d and %d", l.out.Table, to)
		case found && offset == offMessage:
			l.maps = append(l.maps, to)
		}
	}
	return nil
}

// table moves the addresses in the descriptors, and marks their sum.
func (l *reader) table([]byte) error {
	table := make([]byte, 0, ndz.LILOTableBytes)
	for i := range uint64(tableParts) {
		b, err := l.sector(l.out.Table + i)
		if err != nil {
			return err
		}
		table = append(table, b...)
	}
	if !ndz.SumLILO(table) {
		return errors.New("table of descriptors has a wrong checksum")
	}
	for i := range descriptorsMax {
		for _, field := range []int{offInitrd, offStart} {
			if err := l.descriptor(table, offDescriptors+i*descriptorBytes+field); err != nil {
				return err
			}
		}
	}
	ndz.SumLILO(table)
	for i := range uint64(tableParts) {
		copy(l.out.Sectors[l.out.Table+i], table[i*sectorBytes:])
	}
	l.out.Relocs = append(l.out.Relocs, ndz.Reloc{
		Type: ndz.RelocLILOChecksum, Sector: l.out.Table + ndz.LILODescriptorsBytes/sectorBytes,
		Offset: ndz.LILODescriptorsBytes % sectorBytes, Size: 2,
	})
	return nil
}

// descriptor moves the address of a map at an offset of the table.
func (l *reader) descriptor(table []byte, offset int) error {
	if ndz.LILOAddress(table[offset:]).Absent() {
		return nil
	}
	to, err := l.move(table[offset:])
	l.maps = append(l.maps, to)
	l.out.Relocs = append(l.out.Relocs, ndz.Reloc{
		Type: ndz.RelocLILOAddress, Sector: l.out.Table + uint64(offset/sectorBytes), Offset: offset % sectorBytes, Size: ndz.LILOAddressBytes,
	})
	return err
}

// chains moves all addresses in map sectors, the last of which, if a sector is
// full, is that of the next.
func (l *reader) chains([]byte) error {
	seen := map[uint64]bool{}
	for len(l.maps) > 0 {
		at := l.maps[0]
		if l.maps = l.maps[1:]; seen[at] {
			continue
		}
		if seen[at] = true; len(seen) > mapSectorsMax {
			return fmt.Errorf("more than %d map sectors", mapSectorsMax)
		}
		if l.out.Sectors[at] != nil {
			return fmt.Errorf("sector %d is a map and something else", at)
		}
		b, err := l.sector(at)
		if err != nil {
			return err
		}
		for i := range ndz.LILOAddressesMax {
			a := b[i*ndz.LILOAddressBytes:]
			if ndz.LILOAddress(a).Absent() {
				break
			}
			to, err := l.move(a)
			if err != nil {
				return err
			}
			if i == ndz.LILOAddressesMax-1 {
				l.maps = append(l.maps, to)
			}
		}
	}
	for _, at := range slices.Sorted(maps.Keys(seen)) {
		l.out.Relocs = append(l.out.Relocs, ndz.Reloc{Type: ndz.RelocLILOMapSector, Sector: at, Size: sectorBytes})
	}
	return nil
}
