package delta

import (
	"context"
	"errors"
	"fmt"
	"io"

	"hyzer/imaging/freemap"
	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
	"hyzer/imaging/zip"
)

// Image is an image with its signature.
type Image struct {
	Disk *ndz.Image
	Sig  *sig.File
}

// ErrSame is returned if there is nothing to put into a delta.
var ErrSame = errors.New("images are identical")

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
	old := make(map[[2]uint64][sig.HashBytes]byte, len(from.Sig.Records))
	for _, r := range from.Sig.Records {
		old[[2]uint64{r.Start, r.Size}] = r.Hash
	}
	var changed []freemap.Range
	for _, r := range to.Sig.Records {
		hash, ok := old[[2]uint64{r.Start, r.Size}]
		if !ok || hash != r.Hash || relocated(relocs, r) {
			changed = freemap.Append(changed, r.Start, r.End())
		}
	}
	// A signature may cover sectors that were free when the image was made.
	return intersect(changed, ranges(to.Disk)), nil
}

func relocated(relocs []ndz.Reloc, r sig.Record) bool {
	for _, x := range relocs {
		if x.Sector >= r.Start && x.Sector < r.End() {
			return true
		}
	}
	return false
}

// ranges is the data of an image.
func ranges(m *ndz.Image) []freemap.Range {
	var list []freemap.Range
	for _, r := range m.Regions() {
		list = freemap.Append(list, r.Start, r.End())
	}
	return list
}

func intersect(a, b []freemap.Range) []freemap.Range {
	return freemap.Subtract(a, freemap.Subtract(a, b))
}

// Make writes the delta that makes to out of from. It is ErrSame if there is
// none to make; then out is untouched.
func Make(ctx context.Context, from, to Image, out io.Writer, opts zip.Options) (zip.Stats, error) {
	changed, err := Changed(from, to)
	if err != nil {
		return zip.Stats{}, err
	}
	if len(changed) == 0 {
		return zip.Stats{}, ErrSame
	}
	relocs, err := to.Disk.Relocs()
	if err != nil {
		return zip.Stats{}, err
	}
	mark := ndz.Mark{Delta: true, Base: from.Sig.ID(), State: to.Sig.ID()}
	return write(ctx, to.Disk, changed, relocs, mark, out, opts)
}

// write makes an image of ranges of a disk.
func write(ctx context.Context, disk disk, data []freemap.Range, relocs []ndz.Reloc, mark ndz.Mark, out io.Writer, opts zip.Options) (zip.Stats, error) {
	last := disk.Summary().Last
	layout := &zip.Layout{Scheme: "image", Sectors: last, Data: data, Mark: mark}
	for _, r := range relocs {
		if len(intersect([]freemap.Range{{Start: r.Sector, End: r.Sector + 1}}, data)) > 0 {
			layout.Relocs = append(layout.Relocs, r)
		}
	}
	src := zip.Source{ReaderAt: disk, Bytes: int64(last) * ndz.SectorBytes}
	return zip.Write(ctx, src, layout, out, opts)
}

// disk is one image, or two put together.
type disk interface {
	io.ReaderAt
	Summary() ndz.Summary
}

// union is a base with a delta over it.
type union struct {
	base, delta *ndz.Image
	over        []freemap.Range // the delta's data
}

// Summary is the delta's: it covers the new disk.
func (u union) Summary() ndz.Summary { return u.delta.Summary() }

func (u union) ReadAt(p []byte, offset int64) (int, error) {
	n, err := u.delta.ReadAt(p, offset)
	if n < len(p) {
		return n, err
	}
	start := uint64(offset) / ndz.SectorBytes
	all := []freemap.Range{{Start: start, End: start + uint64(len(p)/ndz.SectorBytes)}}
	for _, r := range freemap.Subtract(all, u.over) {
		q := p[(r.Start-start)*ndz.SectorBytes : (r.End-start)*ndz.SectorBytes]
		// What is beyond a smaller base is in the delta, or free.
		if n, err := u.base.ReadAt(q, int64(r.Start)*ndz.SectorBytes); n < len(q) && err != io.EOF {
			return 0, err
		}
	}
	return len(p), nil
}

// Apply writes the full image of base with delta over it. With full, the
// signature of the whole new disk, only what that names is in the new image;
// else all that base or delta has, also what was freed between them.
func Apply(ctx context.Context, base, delta *ndz.Image, full *sig.File, out io.Writer, opts zip.Options) (zip.Stats, error) {
	u := union{base: base, delta: delta, over: ranges(delta)}
	last := delta.Summary().Last
	data := freemap.Normalize(append(clip(ranges(base), last), u.over...))
	if full != nil {
		var named []freemap.Range
		for _, r := range full.Records {
			named = freemap.Append(named, r.Start, r.End())
		}
		if missing := freemap.Subtract(clip(named, last), data); len(missing) > 0 {
			return zip.Stats{}, fmt.Errorf("signature names sectors [%d,%d) that neither base nor delta has: is it the base the delta was made for?",
				missing[0].Start, missing[0].End)
		}
		data = intersect(data, named)
	}
	relocs, err := u.relocs()
	if err != nil {
		return zip.Stats{}, err
	}
	return write(ctx, u, data, relocs, ndz.Mark{}, out, opts)
}

func clip(list []freemap.Range, end uint64) []freemap.Range {
	return intersect(list, []freemap.Range{{Start: 0, End: end}})
}

// relocs are the delta's, and the base's where the delta has no data.
func (u union) relocs() ([]ndz.Reloc, error) {
	relocs, err := u.delta.Relocs()
	if err != nil {
		return nil, err
	}
	old, err := u.base.Relocs()
	if err != nil {
		return nil, err
	}
	for _, r := range old {
		at := []freemap.Range{{Start: r.Sector, End: r.Sector + 1}}
		if len(intersect(at, u.over)) == 0 {
			relocs = append(relocs, r)
		}
	}
	return relocs, nil
}
