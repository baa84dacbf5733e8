package zip

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"hyzer/imaging/freemap"
	"hyzer/imaging/freemap/btrfs"
	"hyzer/imaging/freemap/exfat"
	"hyzer/imaging/freemap/ext"
	"hyzer/imaging/freemap/f2fs"
	"hyzer/imaging/freemap/fat"
	"hyzer/imaging/freemap/luks"
	"hyzer/imaging/freemap/member"
	"hyzer/imaging/freemap/ntfs"
	"hyzer/imaging/freemap/swap"
	"hyzer/imaging/freemap/ufs"
	"hyzer/imaging/freemap/xfs"
	"hyzer/imaging/ndz"
	"hyzer/imaging/partition"
	"hyzer/imaging/partition/bsdlabel"
	"hyzer/imaging/partition/lilo"
	"hyzer/imaging/partition/lvm"
	"hyzer/imaging/partition/mbr"
)

// probe is one family of file systems.
type probe struct {
	family string
	is     func(io.ReaderAt) bool
	free   func(io.ReaderAt, int64) (*freemap.Map, error)
}

// believe returns the free space in r. Of what cannot be read all is kept: a
// source that fails is read again for that, and says so then.
func (p probe) believe(r *io.SectionReader) *freemap.Map {
	m, err := p.free(r, r.Size())
	if err != nil {
		return freemap.Whole(p.family, r.Size(), err)
	}
	return m
}

// probes are what a partition may hold: file systems and LVM.
func probes() []probe { return append(fileSystems(), probe{"lvm", lvm.Is, volumes}) }

func fileSystems() []probe {
	return []probe{
		{"ext", ext.Is, ext.Free},
		{"ntfs", ntfs.Is, ntfs.Free},
		{"fat", fat.Is, fat.Free},
		{"ufs", ufs.Is, ufs.Free},
		{"swap", swap.Is, swap.Free},
		{"exfat", exfat.Is, exfat.Free},
		{"xfs", xfs.Is, xfs.Free},
		{"btrfs", btrfs.Is, btrfs.Free},
		{"f2fs", f2fs.Is, f2fs.Free},
		{"luks", luks.Is, luks.Free},
	}
}

// Families are the file systems that Options.FileSystem can name.
func Families() []string {
	var names []string
	for _, p := range probes() {
		names = append(names, p.family)
	}
	return names
}

// section is the partition e of the source.
func section(src io.ReaderAt, e partition.Entry) *io.SectionReader {
	return io.NewSectionReader(src, int64(e.Start)*sectorBytes, int64(e.Sectors)*sectorBytes)
}

// tailSectorsMax is how much after a file system is worth no word.
const tailSectorsMax = 2048

// content returns the free space in a partition, relative to it.
func (l *Layout) content(src Source, e partition.Entry, opts Options) ([]freemap.Range, error) {
	part := Part{Number: e.Number, Start: e.Start, Sectors: e.Sectors, Type: e.Type}
	m, err := l.look(src, e, opts)
	if err != nil {
		return nil, fmt.Errorf("%s%w; repair it, or keep it raw", prefix(e.Number), err)
	}
	if m == nil {
		m = &freemap.Map{Sectors: e.Sectors}
	}
	if opts.SkipTail {
		m.Free = freemap.Append(m.Free, m.Sectors, max(m.Sectors, e.Sectors))
	} else if e.Sectors >= m.Sectors+tailSectorsMax {
		m.Warnings = append(m.Warnings, fmt.Sprintf("%d sectors after the %s file system are kept; imagezip -x leaves them out", e.Sectors-m.Sectors, m.Type))
	}
	for _, w := range m.Warnings {
		l.Warnings = append(l.Warnings, prefix(e.Number)+w)
	}
	part.FileSystem, part.FreeSectors = m.Type, freemap.Total(m.Free)
	l.Parts = append(l.Parts, part)
	return m.Free, nil
}

// prefix begins what is said about a partition.
func prefix(number int) string {
	if number == 0 {
		return ""
	}
	return fmt.Sprintf("partition %d: ", number)
}

// look decides how to treat a partition. No map means that all is kept.
func (l *Layout) look(src Source, e partition.Entry, opts Options) (*freemap.Map, error) {
	all := &freemap.Map{Sectors: e.Sectors, Free: []freemap.Range{{Start: 0, End: e.Sectors}}}
	switch {
	case slices.Contains(opts.Ignore, e.Number):
		return all, nil
	case slices.Contains(opts.KeepRaw, e.Number), e.Content == partition.Boot:
		return nil, nil
	case e.Content == partition.BSDSwap:
		all.Type = "BSD swap"
		return all, nil
	case e.Content == partition.BSDLabel && l.unit() > sectorBytes:
		if bsdlabel.Any(section(src, e), l.unit()) {
			return freemap.Whole(labelType, int64(e.Sectors)*sectorBytes, fmt.Errorf("of a disk with sectors of %d bytes", l.unit())), nil
		}
	case e.Content == partition.BSDLabel:
		m, err := l.label(src, e, opts)
		if !errors.Is(err, bsdlabel.ErrNone) {
			return m, err
		}
	}
	return fileSystem(section(src, e), e, probes())
}

// fileSystem asks every reader whether it knows the content of a partition.
// If several do the type in the partition table decides; if that does not
// help, as Linux has one type for many, all is kept.
func fileSystem(r *io.SectionReader, e partition.Entry, known []probe) (*freemap.Map, error) {
	if name := member.Of(r, r.Size()); name != "" {
		return freemap.Whole(name, r.Size(), errors.New("a part of something else")), nil
	}
	var found []probe
	var names []string
	for _, p := range known {
		if p.is(r) {
			found, names = append(found, p), append(names, p.family)
		}
	}
	if i := slices.Index(names, e.Expect); i >= 0 && (e.Expect != "ext" || !slices.ContainsFunc(names, linuxType)) {
		return found[i].believe(r), nil
	}
	switch len(found) {
	case 0:
		return unknown(r, e), nil
	case 1:
		return found[0].believe(r), nil
	}
	return &freemap.Map{Sectors: e.Sectors, Warnings: []string{fmt.Sprintf(
		"has marks of several file systems (%s), all of it is kept", strings.Join(names, ", "))}}, nil
}

// volumes returns the free space of an LVM2 physical volume. In its logical
// volumes are file systems, but no further physical volumes.
func volumes(r io.ReaderAt, size int64) (*freemap.Map, error) {
	return lvm.Free(r, size, func(lv io.ReaderAt, size int64) (*freemap.Map, error) {
		return fileSystem(io.NewSectionReader(lv, 0, size), partition.Entry{Sectors: uint64(size) / sectorBytes}, fileSystems())
	})
}

// linuxType tells the families that have the same partition types as ext.
func linuxType(family string) bool {
	return slices.Contains([]string{"xfs", "btrfs", "f2fs", "luks", "lvm"}, family)
}

// unknown is a partition without a file system we know.
func unknown(r io.ReaderAt, e partition.Entry) *freemap.Map {
	m := &freemap.Map{Sectors: e.Sectors}
	switch {
	case swap.Suspended(r):
		m.Warnings = []string{"holds a suspended system, all of it is kept"}
	case e.Expect != "":
		m.Warnings = []string{fmt.Sprintf("type %s, but no %s file system in it; all of it is kept", e.Type, e.Expect)}
	}
	return m
}

// labelType is the file system type of a slice of several.
const labelType = "BSD label"

// label returns the free space of the partitions in a BSD slice.
func (l *Layout) label(src Source, e partition.Entry, opts Options) (*freemap.Map, error) {
	label, err := bsdlabel.Read(section(src, e), e.Start, e.Sectors, e.MBRType == mbr.TypeOpenBSD)
	if err != nil {
		return nil, err
	}
	table, err := label.Table()
	if err != nil {
		return nil, err
	}
	m := &freemap.Map{Type: labelType, Sectors: e.Sectors}
	for _, sub := range table.Entries {
		if sub.End() > e.Sectors {
			return nil, fmt.Errorf("BSD partition %c ends at sector %d of a slice of %d", 'a'+sub.Number-1, sub.End(), e.Sectors)
		}
		within := sub
		within.Start += e.Start
		within.Number = 0 // Ignore and KeepRaw count partitions of the disk
		f, err := l.bsdPart(src, within, BSDPart{e.Number, sub.Number}, opts)
		if err != nil {
			return nil, fmt.Errorf("BSD partition %c: %w", 'a'+sub.Number-1, err)
		}
		if f != nil {
			m.Free = append(m.Free, freemap.Shift(f.Free, sub.Start)...)
			m.Warnings = append(m.Warnings, f.Warnings...)
		}
	}
	m.Free = freemap.Subtract(freemap.Normalize(m.Free), []freemap.Range{{Start: 0, End: bsdlabel.BootSectors}})
	return m, nil
}

// bsdPart decides how to treat a partition of a slice.
func (l *Layout) bsdPart(src Source, e partition.Entry, p BSDPart, opts Options) (*freemap.Map, error) {
	switch {
	case slices.Contains(opts.IgnoreBSD, p):
		return &freemap.Map{Sectors: e.Sectors, Free: []freemap.Range{{Start: 0, End: e.Sectors}}}, nil
	case slices.Contains(opts.KeepRawBSD, p):
		return nil, nil
	}
	return l.look(src, e, Options{})
}

// relocateLabel stores the label of a BSD slice with relative offsets, and
// marks it for relocation.
func (l *Layout) relocateLabel(src Source, e partition.Entry) error {
	if e.Content != partition.BSDLabel || l.unit() > sectorBytes {
		return nil
	}
	label, err := bsdlabel.Read(section(src, e), e.Start, e.Sectors, e.MBRType == mbr.TypeOpenBSD)
	if errors.Is(err, bsdlabel.ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	kind := ndz.RelocFreeBSDLabel
	if e.MBRType == mbr.TypeOpenBSD {
		kind = ndz.RelocOpenBSDLabel
	}
	l.Patches = append(l.Patches, Patch{bsdlabel.Sector, label.Relative()})
	l.Relocs = append(l.Relocs, ndz.Reloc{Type: kind, Sector: bsdlabel.Sector, Size: bsdlabel.RelocatedBytes})
	return nil
}

// relocateLILO stores the addresses of LILO relative to the partition, and
// marks them for relocation. If one cannot be moved, none is.
func (l *Layout) relocateLILO(src Source, e partition.Entry) {
	if e.Content == partition.BSDLabel || l.unit() > sectorBytes {
		return
	}
	loader, err := lilo.Read(section(src, e), e.Start, e.Sectors)
	if errors.Is(err, lilo.ErrNone) {
		return
	}
	if err != nil {
		l.Warnings = append(l.Warnings, fmt.Sprintf("%sLILO: %v; run lilo again if this is restored to another place", prefix(e.Number), err))
		return
	}
	for _, sector := range slices.Sorted(maps.Keys(loader.Sectors)) {
		l.Patches = append(l.Patches, Patch{sector, loader.Sectors[sector]})
	}
	l.Relocs = append(l.Relocs, loader.Relocs...)
}

// keepPatched drops the relocations if a patched sector is not in the image,
// as one of files that are not really there.
func (l *Layout) keepPatched() {
	for _, p := range l.Patches {
		if len(freemap.Overlap(l.Data, freemap.Range{Start: p.Sector, End: p.Sector + 1})) == 0 {
			l.Warnings = append(l.Warnings, fmt.Sprintf("sector %d has an address that depends on its place, and is free; no relocations are made", p.Sector))
			l.Patches, l.Relocs = nil, nil
			return
		}
	}
}
