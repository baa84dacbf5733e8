package lvm

import (
	"errors"
	"fmt"
	"io"

	"hyzer/imaging/freemap"
)

const (
	kind        = "LVM2"
	warningsMax = 20
)

// Look finds the free space of what is in a logical volume of size bytes. No
// map means that all of it is kept.
type Look func(volume io.ReaderAt, size int64) (*freemap.Map, error)

// Free returns the free space of the physical volume that begins at the start
// of r and has size bytes, with that of the logical volumes in it. Whatever is
// unknown or damaged is kept whole.
func Free(r io.ReaderAt, size int64, look Look) (*freemap.Map, error) {
	g, err := open(r, size)
	if err == nil {
		err = g.disjoint()
	}
	if err != nil {
		return freemap.Whole(kind, size, err), nil
	}
	m := &freemap.Map{Type: kind, Sectors: uint64(size) / freemap.SectorBytes}
	var owned []freemap.Range
	for _, v := range g.volumes {
		owned = append(owned, v.pieces...)
		m.Free = append(m.Free, v.free(r, look, m)...)
	}
	m.Free = append(m.Free, freemap.Invert(freemap.Normalize(owned), g.data.Start, g.data.End)...)
	m.Free = freemap.Normalize(m.Free)
	return m, nil
}

func open(r io.ReaderAt, size int64) (*group, error) {
	h, err := readHeader(r)
	if err != nil {
		return nil, err
	}
	name, vg, err := newest(r, h, size)
	if err != nil {
		return nil, err
	}
	g, err := readGroup(vg, h, size)
	if err != nil {
		return nil, fmt.Errorf("volume group %s: %w", name, err)
	}
	return g, nil
}

// disjoint refuses extents of two owners.
func (g *group) disjoint() error {
	var all []freemap.Range
	sum := uint64(0)
	for _, v := range g.volumes {
		all = append(all, v.pieces...)
		for _, p := range v.pieces {
			sum += p.Sectors()
		}
	}
	if freemap.Total(freemap.Normalize(all)) != sum {
		return errors.New("extents belong to two logical volumes")
	}
	return nil
}

// free looks into a volume. What it says adds to the warnings of m.
func (v *volume) free(r io.ReaderAt, look Look, m *freemap.Map) []freemap.Range {
	if !v.plain || len(v.pieces) == 0 {
		return nil
	}
	lv := newReader(r, v.pieces)
	f, err := look(lv, int64(lv.sectors())*sectorBytes)
	if err != nil {
		f = freemap.Whole("file system", 0, err)
	}
	if f == nil {
		return nil
	}
	for _, w := range f.Warnings {
		if len(m.Warnings) < warningsMax {
			m.Warnings = append(m.Warnings, fmt.Sprintf("%s: logical volume %s: %s", kind, v.name, w))
		}
	}
	return lv.onDisk(f.Free)
}
