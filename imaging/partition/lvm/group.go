package lvm

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"hyzer/imaging/freemap"
)

// Limits on what metadata may claim.
const (
	extentSectorsMax = 1 << 32
	extentsMax       = 1 << 40
	segmentsMax      = 1 << 16
)

// group is a volume group on one physical volume. Ranges count sectors of it.
type group struct {
	extentSectors uint64
	data          freemap.Range // all extents
	pv            string        // name of the physical volume in the metadata
	volumes       []volume
}

// volume is a logical volume.
type volume struct {
	name   string
	plain  bool            // it can be looked into
	pieces []freemap.Range // on the physical volume, in the order of the volume
}

// newest returns the metadata of the highest sequence number in any area.
func newest(r io.ReaderAt, h *header, size int64) (name string, best *node, err error) {
	var seq uint64
	for _, a := range h.metadata {
		text, err := readText(r, a, size)
		if err != nil {
			return "", nil, fmt.Errorf("metadata area at byte %d: %w", a.start, err)
		}
		if text == "" {
			continue
		}
		root, err := parse(text)
		if err != nil {
			return "", nil, fmt.Errorf("metadata area at byte %d: %w", a.start, err)
		}
		if len(root.order) != 1 {
			return "", nil, fmt.Errorf("metadata of %d volume groups", len(root.order))
		}
		vg := root.section(root.order[0])
		n, err := vg.number("seqno")
		if err != nil {
			return "", nil, err
		}
		if best == nil || n > seq {
			name, best, seq = root.order[0], vg, n
		}
	}
	if best == nil {
		return "", nil, errors.New("has no metadata of its volume group")
	}
	return name, best, nil
}

// readGroup makes sense of the metadata.
func readGroup(vg *node, h *header, size int64) (*group, error) {
	pvs := vg.section("physical_volumes")
	switch {
	case vg.string("format") != "lvm2":
		return nil, fmt.Errorf("format %q", vg.string("format"))
	case len(pvs.order) != 1:
		return nil, fmt.Errorf("volume group of %d physical volumes", len(pvs.order))
	case len(h.data) != 1:
		return nil, fmt.Errorf("%d data areas", len(h.data))
	}
	g := &group{pv: pvs.order[0]}
	pv := pvs.section(g.pv)
	if strings.ReplaceAll(pv.string("id"), "-", "") != h.uuid {
		return nil, errors.New("metadata is of another physical volume")
	}
	if err := g.place(vg, pv, h, size); err != nil {
		return nil, err
	}
	volumes := vg.section("logical_volumes")
	used := references(volumes)
	for _, name := range volumes.order {
		v, err := g.volume(name, volumes.section(name))
		if err != nil {
			return nil, fmt.Errorf("logical volume %s: %w", name, err)
		}
		v.plain = v.plain && !used[name]
		g.volumes = append(g.volumes, *v)
	}
	return g, nil
}

// place finds out where the extents are.
func (g *group) place(vg, pv *node, h *header, size int64) error {
	extent, err1 := vg.number("extent_size")
	start, err2 := pv.number("pe_start")
	count, err3 := pv.number("pe_count")
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	sectors := uint64(size) / sectorBytes
	switch {
	case extent == 0 || extent > extentSectorsMax || count > extentsMax || count > sectors/extent || start > sectors-count*extent,
		h.deviceBytes > uint64(size), h.data[0].start != start*sectorBytes:
		return fmt.Errorf("%d extents of %d sectors from sector %d of %d", count, extent, start, sectors)
	}
	g.extentSectors, g.data = extent, freemap.Range{Start: start, End: start + count*extent}
	for _, a := range h.metadata {
		// The end of an area that has no size is not known, but it is after its start.
		if end := (a.start + max(a.size, sectorBytes)) / sectorBytes; end > g.data.Start && a.start/sectorBytes < g.data.End {
			return errors.New("metadata is among the extents")
		}
	}
	return nil
}

// references are all strings in the segments: names of volumes that others are
// made of among them.
func references(volumes *node) map[string]bool {
	used := make(map[string]bool)
	var walk func(n *node)
	walk = func(n *node) {
		for _, list := range n.values {
			for _, v := range list {
				if v.quoted {
					used[v.text] = true
				}
			}
		}
		for _, s := range n.sections {
			walk(s)
		}
	}
	for _, lv := range volumes.sections {
		for _, s := range lv.sections {
			walk(s)
		}
	}
	return used
}

// volume reads the segments of a logical volume. Whatever is not linear makes
// it one that is not looked into, but its extents are still its own.
func (g *group) volume(name string, lv *node) (*volume, error) {
	v := &volume{name: name, plain: lv.has("status", "VISIBLE") && !lv.has("status", "LOCKED")}
	count, err := lv.number("segment_count")
	if err != nil || count > segmentsMax {
		return nil, fmt.Errorf("%d segments, %v", count, err)
	}
	at := uint64(0)
	for i := range count {
		s := lv.section(fmt.Sprintf("segment%d", i+1))
		start, err1 := s.number("start_extent")
		extents, err2 := s.number("extent_count")
		if err := errors.Join(err1, err2); err != nil || start != at || extents > extentsMax {
			return nil, fmt.Errorf("segment %d of %d extents at %d, %v", i+1, extents, start, err)
		}
		at += extents
		pieces, err := g.segment(s, extents)
		if err != nil {
			return nil, fmt.Errorf("segment %d: %w", i+1, err)
		}
		v.plain = v.plain && s.string("type") == "striped" && len(s.values["stripes"]) == 2 && len(pieces) == 1
		v.pieces = append(v.pieces, pieces...)
	}
	return v, nil
}

// segment returns what of the physical volume a segment has. Only of stripes
// it is known how long each is.
func (g *group) segment(s *node, extents uint64) ([]freemap.Range, error) {
	stripes := s.values["stripes"]
	if s.string("type") != "striped" {
		for key, list := range s.values {
			for _, v := range list {
				if v.quoted && v.text == g.pv && key != "type" {
					return nil, fmt.Errorf("type %q has extents of its own", s.string("type"))
				}
			}
		}
		return nil, nil
	}
	count, err := s.number("stripe_count")
	if err != nil || count == 0 || uint64(len(stripes)) != 2*count || extents%count != 0 {
		return nil, fmt.Errorf("%d stripes of %d, %v", len(stripes)/2, count, err)
	}
	var pieces []freemap.Range
	for i := 0; i < len(stripes); i += 2 {
		name, first := stripes[i], stripes[i+1].number
		if !name.quoted || stripes[i+1].quoted {
			return nil, errors.New("stripes cannot be read")
		}
		if name.text != g.pv {
			continue
		}
		all, n := g.data.Sectors()/g.extentSectors, extents/count
		if n == 0 || first > all || n > all-first {
			return nil, fmt.Errorf("%d extents at extent %d", n, first)
		}
		p := freemap.Range{Start: g.data.Start + first*g.extentSectors}
		p.End = p.Start + n*g.extentSectors
		pieces = append(pieces, p)
	}
	return pieces, nil
}
