package zip

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"hyzer/imaging/freemap"
	"hyzer/imaging/freemap/member"
	"hyzer/imaging/ndz"
	"hyzer/imaging/partition"
	"hyzer/imaging/partition/mbr"
	"hyzer/imaging/partition/scheme"
)

// Layout is what of a source goes into an image. Ranges are relative to Base.
type Layout struct {
	Scheme   string // GPT, MBR, "bare" or "raw"
	Unit     int    // bytes of the disk's own sectors; 0: not known to be other than 512
	Base     uint64 // first sector of the image in the source
	Sectors  uint64 // covered
	Data     []freemap.Range
	Wipe     []freemap.Range // parts of Data that are free and read as zeros
	Patches  []Patch         // sectors stored otherwise than they are
	Relocs   []ndz.Reloc
	Hashes   *HashStats // of a comparison with a signature
	Mark     ndz.Mark   // that every chunk gets, unless it is of V1
	Parts    []Part
	Warnings []string

	Delta                     bool   // Data is only what differs from a base
	FullSectors, DeltaSectors uint64 // if a base was compared with
}

// Patch replaces a sector of Data, which must be in use.
type Patch struct {
	Sector uint64
	Data   []byte
}

// Part is what was found in one partition, or in all of the source.
type Part struct {
	Number      int // 0 if there is no partition table
	Start       uint64
	Sectors     uint64
	Type        string // of the table
	FileSystem  string // found, or "" if everything is kept
	FreeSectors uint64
}

// errNothing is the answer to a source in which nothing is in use.
var errNothing = errors.New("nothing of the source is in use: there is no image to make")

// Analyze finds out what of src is in use.
func Analyze(src Source, opts Options) (*Layout, error) {
	l := &Layout{Sectors: uint64(src.Bytes+sectorBytes-1) / sectorBytes}
	if opts.MaxSectors > 0 {
		l.Sectors = min(l.Sectors, opts.MaxSectors)
	}
	if l.Unit = opts.SectorBytes; l.Unit == 0 {
		l.Unit = src.Unit
	}
	if src.Busy {
		l.Warnings = append(l.Warnings, "source or a partition of it is in use: what is written meanwhile may be half in the image")
	}
	free, err := l.find(src, opts)
	if err != nil {
		return nil, err
	}
	if opts.version() < ndz.V5 || opts.Signature != nil || opts.Base != nil {
		if err := l.old(opts); err != nil {
			return nil, err
		}
	}
	l.divide(freemap.Normalize(free), opts)
	l.keepPatched()
	if len(l.Data) == 0 {
		return nil, errNothing
	}
	if short := src.Bytes % sectorBytes; short != 0 && opts.Slice == 0 && opts.MaxSectors == 0 {
		l.Relocs = append(l.Relocs, ndz.Reloc{Type: ndz.RelocShortSector, Sector: l.Sectors - 1, Size: int(short)})
	}
	return l, nil
}

// old fails if the disk is one that V1 to V4, or signatures, cannot say where
// on it something is.
func (l *Layout) old(opts Options) error {
	if l.Sectors > ndz.SectorsMax-1 {
		return fmt.Errorf("%d sectors: images of V1 to V4 and signatures end below %d (2 TiB); make a V5 image without a signature",
			l.Sectors, uint64(ndz.SectorsMax))
	}
	return nil
}

// divide sorts the free ranges into those left out and those too short.
func (l *Layout) divide(free []freemap.Range, opts Options) {
	shortest := uint64(MinFreeSectorsDefault)
	if opts.MinFreeSectors != 0 {
		shortest = uint64(max(0, opts.MinFreeSectors))
	}
	free = whole(clip(free, l.Sectors), uint64(l.unit()/sectorBytes))
	long, short := freemap.Split(free, shortest)
	l.Data = freemap.Invert(long, 0, l.Sectors)
	if !opts.KeepDeleted {
		l.Wipe = short
	}
}

func clip(list []freemap.Range, end uint64) []freemap.Range {
	var out []freemap.Range
	for _, r := range list {
		out = freemap.Append(out, min(r.Start, end), min(r.End, end))
	}
	return out
}

// whole is what of an ascending list is whole sectors of a disk that has larger
// ones.
func whole(list []freemap.Range, per uint64) []freemap.Range {
	if per == 1 {
		return list
	}
	var out []freemap.Range
	for _, r := range list {
		out = freemap.Append(out, (r.Start+per-1)/per*per, r.End/per*per)
	}
	return out
}

// unit is the size of the disk's own sectors.
func (l *Layout) unit() int { return max(l.Unit, sectorBytes) }

// find returns the free space of the image, and fills in the rest of l.
func (l *Layout) find(src Source, opts Options) ([]freemap.Range, error) {
	if opts.Raw {
		l.Scheme = "raw"
		return nil, nil
	}
	if opts.Bare {
		return l.bare(src, opts)
	}
	table, err := scheme.Read(partition.Disk{ReaderAt: src, Sectors: l.Sectors, Unit: l.Unit})
	boot := bootSector(src)
	switch {
	case errors.Is(err, scheme.ErrNone) && opts.Slice > 0:
		return nil, errors.New("no GPT or MBR partition table found to take a partition from")
	case errors.Is(err, scheme.ErrNone):
		return l.bare(src, opts)
	case err != nil && boot && opts.Slice == 0:
		return l.bare(src, opts) // what looked like a table is boot code
	case err != nil:
		return nil, err
	case table.Scheme == "MBR" && boot && opts.Slice == 0:
		l.Scheme = "raw"
		l.Warnings = append(l.Warnings, "source begins with both a file system and a partition table, all of it is kept")
		return nil, nil
	}
	if err := l.guessed(src, table); err != nil {
		return nil, err
	}
	l.Scheme, l.Unit = table.Scheme, table.Unit
	if name := l.member(src, table); name != "" {
		l.Scheme = "raw"
		l.Warnings = append(l.Warnings, fmt.Sprintf("disk is a part of %s, all of it is kept", name))
		return nil, l.only(table, opts)
	}
	l.Warnings = append(l.Warnings, table.Warnings...)
	if opts.Slice > 0 {
		return l.slice(src, table, opts)
	}
	return l.disk(src, table, opts)
}

// member tells what all of a disk with partitions is a part of, or "". A mark at
// the end may be of the last partition.
func (l *Layout) member(src Source, table *partition.Table) string {
	size := int64(l.Sectors) * sectorBytes
	name := member.Of(src, size)
	for _, e := range table.Entries {
		if name != "" && e.End() <= l.Sectors && member.Of(section(src, e), int64(e.Sectors)*sectorBytes) == name {
			return ""
		}
	}
	return name
}

// only makes the image one of a partition alone, if that is asked for.
func (l *Layout) only(table *partition.Table, opts Options) error {
	if opts.Slice == 0 {
		return nil
	}
	e, err := table.Entry(opts.Slice)
	if err == nil && e.End() > l.Sectors {
		err = fmt.Errorf("partition %d ends at sector %d of a disk of %d", e.Number, e.End(), l.Sectors)
	}
	l.Base, l.Sectors = e.Start, e.Sectors
	return err
}

// guessed fails if a table that does not tell the size of the disk's sectors
// makes no sense with 512 bytes, but does with 4096.
func (l *Layout) guessed(src Source, table *partition.Table) error {
	if l.Unit != 0 || table.Scheme != "MBR" {
		return nil
	}
	known := func(e partition.Entry) bool {
		return e.End() <= l.Sectors && slices.ContainsFunc(probes(), func(p probe) bool { return p.is(section(src, e)) })
	}
	if slices.ContainsFunc(table.Entries, known) {
		return nil
	}
	large, err := mbr.Read(partition.Disk{ReaderAt: src, Sectors: l.Sectors, Unit: 4096})
	if err == nil && slices.ContainsFunc(large.Entries, known) {
		return scheme.ErrUnit
	}
	return nil
}

// bootSector tells whether the first sector is that of a file system.
func bootSector(src io.ReaderAt) bool {
	return slices.ContainsFunc(probes(), func(p probe) bool {
		return (p.family == "fat" || p.family == "ntfs" || p.family == "exfat") && p.is(src)
	})
}

func (l *Layout) bare(src Source, opts Options) ([]freemap.Range, error) {
	l.Scheme = "bare"
	e := partition.Entry{Sectors: l.Sectors}
	if e.Expect = opts.FileSystem; e.Expect == "ufs" {
		e.Content = partition.BSDLabel // or the file system alone
	}
	free, err := l.content(src, e, opts)
	if err == nil && e.Expect != "" && !slices.ContainsFunc(probes(), func(p probe) bool {
		return p.family == e.Expect && p.is(section(src, e))
	}) && l.Parts[0].FileSystem != labelType {
		return nil, fmt.Errorf("source has no %s file system", e.Expect)
	}
	if err == nil && l.Parts[0].FileSystem == "" {
		return nil, errors.New("no partition table and no known file system found; image it raw")
	}
	return free, err
}

func (l *Layout) slice(src Source, table *partition.Table, opts Options) ([]freemap.Range, error) {
	if err := l.only(table, opts); err != nil {
		return nil, err
	}
	e, err := table.Entry(opts.Slice)
	if err != nil {
		return nil, err
	}
	free, err := l.content(src, e, opts)
	if err == nil && !opts.NoRelocs {
		l.relocateLILO(src, e)
		err = l.relocateLabel(src, e)
	}
	return free, err
}

func (l *Layout) disk(src Source, table *partition.Table, opts Options) ([]freemap.Range, error) {
	free := slices.Clone(table.Free)
	if i := slices.IndexFunc(table.Entries, func(e partition.Entry) bool { return e.End() > l.Sectors }); i >= 0 && opts.MaxSectors == 0 {
		e := table.Entries[i]
		l.Warnings = append(l.Warnings, fmt.Sprintf("partition %d ends at sector %d of a disk of %d: the table is damaged or of another disk; all that no partition has is kept", e.Number, e.End(), l.Sectors))
		free = nil
	}
	for _, e := range table.Entries {
		if e.End() > l.Sectors && opts.MaxSectors == 0 {
			l.Warnings = append(l.Warnings, fmt.Sprintf("partition %d ends at sector %d of a disk of %d, all of it is kept", e.Number, e.End(), l.Sectors))
			continue
		}
		f, err := l.content(src, e, opts)
		if err != nil {
			return nil, err
		}
		free = append(free, freemap.Shift(f, e.Start)...)
	}
	return free, nil
}

// change makes p, the data of r, what is to be stored.
func (l *Layout) change(p []byte, r freemap.Range) {
	for _, w := range freemap.Overlap(l.Wipe, r) {
		from, to := max(w.Start, r.Start), min(w.End, r.End)
		clear(p[(from-r.Start)*sectorBytes : (to-r.Start)*sectorBytes])
	}
	for _, x := range l.Patches {
		if x.Sector >= r.Start && x.Sector < r.End {
			copy(p[(x.Sector-r.Start)*sectorBytes:][:sectorBytes], x.Data)
		}
	}
}
