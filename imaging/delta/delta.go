package delta

import (
	"context"
	"errors"
	"fmt"
	"io"

	"hyzer/imaging/freemap"
	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
	"hyzer/imaging/view"
	"hyzer/imaging/zip"
)

// Image is a disk, of one image or of several on top of each other, with the
// signature of its state.
type Image struct {
	Disk *view.Disk
	Sig  *sig.File
}

// Made is what Make made.
type Made struct {
	zip.Stats
	Same bool // there was nothing to put into the delta
}

// Changed returns what of to is not in from, by their signatures: the records
// of to that from does not have with the same extent and hash, or that hold
// relocated data.
func Changed(from, to Image) ([]freemap.Range, error) {
	if from.Sig.Type != to.Sig.Type || from.Sig.BlockSectors != to.Sig.BlockSectors {
		return nil, fmt.Errorf("signatures differ in hash or block size: %s of %d sectors, %s of %d",
			from.Sig.Type, from.Sig.BlockSectors, to.Sig.Type, to.Sig.BlockSectors)
	}
	relocs, err := to.Disk.Relocs()
	if err != nil {
		return nil, err
	}
	var changed []freemap.Range
	old, next := from.Sig.From(0), to.Sig.From(0)
	more := old.Next()
	for next.Next() {
		r := next.Record()
		for more && old.Record().Start < r.Start {
			more = old.Next()
		}
		same := more && old.Record().Start == r.Start && old.Record().Size == r.Size && old.Record().Hash == r.Hash
		if !same || relocated(relocs, r) {
			changed = freemap.Append(changed, r.Start, r.End())
		}
	}
	if err := errors.Join(old.Err(), next.Err()); err != nil {
		return nil, err
	}
	// A signature may cover sectors that were free when the image was made.
	return freemap.Intersect(changed, to.Disk.Data()), nil
}

func relocated(relocs []ndz.Reloc, r sig.Record) bool {
	for _, x := range relocs {
		if x.Sector >= r.Start && x.Sector < r.End() {
			return true
		}
	}
	return false
}

// Make writes the delta that makes to out of from. If they are the same the
// delta holds a single sector of the disk, because an image cannot hold none: it
// restores like any other.
func Make(ctx context.Context, from, to Image, out io.Writer, opts zip.Options) (Made, error) {
	changed, err := Changed(from, to)
	if err != nil {
		return Made{}, err
	}
	made := Made{Same: len(changed) == 0}
	if made.Same {
		changed = zip.Least(to.Disk.Data(), to.Disk.Summary().SectorBytes)
	}
	relocs, err := to.Disk.Relocs()
	if err != nil {
		return Made{}, err
	}
	mark := ndz.Mark{Delta: true, Base: from.Sig.ID(), State: to.Sig.ID()}
	made.Stats, err = write(ctx, to.Disk, changed, relocs, mark, out, opts)
	return made, err
}

// write makes an image of ranges of a disk.
func write(ctx context.Context, disk *view.Disk, data []freemap.Range, relocs []ndz.Reloc, mark ndz.Mark, out io.Writer, opts zip.Options) (zip.Stats, error) {
	last := disk.Sectors()
	layout := &zip.Layout{Scheme: "image", Sectors: last, Data: data, Mark: mark}
	for _, r := range relocs {
		if r.Type == ndz.RelocShortSector && r.Sector+1 != last {
			continue // of a file that has become longer
		}
		if len(freemap.Overlap(data, freemap.Range{Start: r.Sector, End: r.Sector + 1})) > 0 {
			layout.Relocs = append(layout.Relocs, r)
		}
	}
	if opts.SectorBytes == 0 {
		opts.SectorBytes = disk.Summary().SectorBytes
	}
	src := zip.Source{ReaderAt: disk, Bytes: int64(last) * ndz.SectorBytes}
	return zip.Write(ctx, src, layout, out, opts)
}

// named makes an image that has an id keep it, and its version, unless others
// are given.
func named(s ndz.Summary, opts zip.Options) zip.Options {
	if opts.Version == ndz.V5 && opts.ImageID == nil && s.ImageID != (ndz.ImageID{}) {
		opts.ImageID = &s.ImageID
	}
	if opts.Version == ndz.V5 && opts.ImageVersion == 0 {
		opts.ImageVersion = s.ImageVersion
	}
	return opts
}

// Merge writes the image of a disk of several images, or a single image anew,
// with its mark. With full, the signature of the disk's state, only what that
// names is in the new image; else all that any layer has, also what was freed
// between them.
func Merge(ctx context.Context, disk *view.Disk, full *sig.File, out io.Writer, opts zip.Options) (zip.Stats, error) {
	if full != nil {
		if err := disk.Limit(full); err != nil {
			return zip.Stats{}, err
		}
	}
	relocs, err := disk.Relocs()
	if err != nil {
		return zip.Stats{}, err
	}
	mark := ndz.Mark{}
	if layers := disk.Layers(); len(layers) == 1 {
		mark = layers[0].Mark()
		opts = named(disk.Summary(), opts)
	}
	return write(ctx, disk, disk.Data(), relocs, mark, out, opts)
}
