package view

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sort"

	"hyzer/imaging/freemap"
	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
)

// The reasons not to put images on top of each other.
var (
	// ErrWrongBase is returned for a base that a delta was not made for.
	ErrWrongBase = errors.New("delta was made for another base")
	// ErrNotDelta is returned for a full image on top of another.
	ErrNotDelta = errors.New("is a full image, not a delta")
	// ErrNoBase is returned for a delta with nothing below it.
	ErrNoBase = errors.New("is a delta; name its base before it")
)

// LayerError tells which image does not go on top of those below it.
type LayerError struct {
	Layer int // from 0
	Err   error
}

func (e *LayerError) Error() string { return fmt.Sprintf("image %d: %v", e.Layer+1, e.Err) }

func (e *LayerError) Unwrap() error { return e.Err }

// Named returns the error with the names of the image and of the one below it.
func (e *LayerError) Named(image, below string) error {
	if e.Layer == 0 {
		return fmt.Errorf("%s %w", image, e.Err)
	}
	return fmt.Errorf("%s on %s: %w", image, below, e.Err)
}

// Layer is an image of a Disk.
type Layer struct {
	*Image
	// Sig, if not nil, is the signature of the disk with this layer on it. It
	// proves what the layer above was made for if the images' marks do not.
	Sig *sig.File
}

// State is the state that the layer says it makes; zero if it does not say.
func (l Layer) State() ndz.StateID { return l.sum.Mark.State }

// Disk is a full image with deltas over it, as one disk. It is safe for use by
// several goroutines. Space that a delta freed reads as it did before, because
// deltas do not name it; see Limit.
type Disk struct {
	layers  []Layer
	extents []layerExtent // ascending
	data    []freemap.Range
}

// layerExtent is a run of sectors with the layer that has its data.
type layerExtent struct {
	freemap.Range
	layer int
}

// Stack puts layers on top of each other, the full image first. Every marked
// delta is held against what is below it: the mark of the layer under it must
// name the delta's base, or that layer's Sig must be of it and of the data.
// Deltas of the old programs have no mark and pass, as does everything with
// anyBase. A single delta is ErrNoBase, unless anyBase.
func Stack(ctx context.Context, anyBase bool, layers ...Layer) (*Disk, error) {
	d := &Disk{}
	for i, l := range layers {
		if !anyBase {
			if err := d.admits(ctx, l); err != nil {
				return nil, &LayerError{i, err}
			}
		}
		d.push(l)
	}
	if len(layers) == 0 {
		return nil, errors.New("no image given")
	}
	return d, nil
}

// admits tells why l cannot go on top of the disk, if so.
func (d *Disk) admits(ctx context.Context, l Layer) error {
	m := l.sum.Mark
	switch {
	case len(d.layers) == 0 && m.Delta:
		return ErrNoBase
	case len(d.layers) == 0, m.IsZero():
		return nil
	case !m.Delta:
		return ErrNotDelta
	}
	return d.Prove(ctx, m.Base)
}

// Prove checks that the disk is in a state: by the mark of the top layer, or by
// its signature, which must then be of the data too. Else it is ErrWrongBase.
func (d *Disk) Prove(ctx context.Context, state ndz.StateID) error {
	top := d.top()
	if !top.State().IsZero() && top.State() == state {
		return nil
	}
	if top.Sig == nil || top.Sig.ID() != state {
		return ErrWrongBase
	}
	bad, err := sig.Check(ctx, d, top.Sig, 0, nil)
	if err == nil && bad.Bad > 0 {
		err = fmt.Errorf("%w: %d of %d blocks differ", ErrWrongBase, bad.Bad, bad.Records)
	}
	return err
}

func (d *Disk) push(l Layer) {
	n := len(d.layers)
	d.layers = append(d.layers, l)
	below := map[int][]freemap.Range{}
	for _, x := range d.extents {
		below[x.layer] = append(below[x.layer], x.Range)
	}
	var all []layerExtent
	end := []freemap.Range{{Start: 0, End: l.Sectors()}}
	for i := range n {
		for _, r := range freemap.Intersect(freemap.Subtract(below[i], l.data), end) {
			all = append(all, layerExtent{r, i})
		}
	}
	for _, r := range l.data {
		all = append(all, layerExtent{r, n})
	}
	sort.Slice(all, func(i, k int) bool { return all[i].Start < all[k].Start })
	d.extents, d.data = all, nil
	for _, x := range all {
		d.data = freemap.Append(d.data, x.Start, x.End)
	}
}

// Limit takes out of the disk what the signature of its state does not name:
// what was freed by deltas. A signature that names what no layer has is of
// another disk.
func (d *Disk) Limit(full *sig.File) error {
	var named []freemap.Range
	records := full.From(0)
	for records.Next() {
		r := records.Record()
		named = freemap.Append(named, r.Start, r.End())
	}
	if records.Err() != nil {
		return records.Err()
	}
	// A signature may cover sectors that were free when it was made.
	named = freemap.Intersect(named, []freemap.Range{{Start: 0, End: d.Sectors()}})
	if missing := freemap.Subtract(named, d.data); len(missing) > 0 {
		return fmt.Errorf("%w: the signature names sectors [%d,%d) that no image of it has", ErrWrongBase, missing[0].Start, missing[0].End)
	}
	d.data = freemap.Intersect(d.data, named)
	var kept []layerExtent
	for _, x := range d.extents {
		for _, r := range freemap.Intersect([]freemap.Range{x.Range}, freemap.Overlap(d.data, x.Range)) {
			kept = append(kept, layerExtent{r, x.layer})
		}
	}
	d.extents = kept
	return nil
}

func (d *Disk) top() Layer { return d.layers[len(d.layers)-1] }

// Layers are the images of the disk, the full one first.
func (d *Disk) Layers() []Layer { return d.layers }

// Summary is that of the image on top, which covers the disk as it is now.
func (d *Disk) Summary() ndz.Summary { return d.top().sum }

// Sectors is the length of the disk in sectors of 512 bytes.
func (d *Disk) Sectors() uint64 { return d.top().Sectors() }

// Data lists the sectors that there is data for. It is the Disk's own.
func (d *Disk) Data() []freemap.Range { return d.data }

// Relocs are the relocations of all data that is in use, those of one image in
// its order.
func (d *Disk) Relocs() (out []ndz.Reloc, err error) {
	for i, l := range d.layers {
		relocs, err := l.Relocs()
		if err != nil {
			return nil, err
		}
		for _, r := range relocs {
			if k := d.at(r.Sector); k < len(d.extents) && d.extents[k].Start <= r.Sector && d.extents[k].layer == i {
				out = append(out, r)
			}
		}
	}
	return out, nil
}

// at is the first extent that ends after a sector.
func (d *Disk) at(sector uint64) int {
	return sort.Search(len(d.extents), func(i int) bool { return d.extents[i].End > sector })
}

// ReadAt reads from the disk. Past its end it is io.EOF.
func (d *Disk) ReadAt(p []byte, offset int64) (int, error) {
	p, short := within(p, offset, d.Sectors())
	clear(p)
	end := offset + int64(len(p))
	for _, x := range d.extents[d.at(uint64(max(offset, 0))/freemap.SectorBytes):] {
		from, to := max(int64(x.Start)*freemap.SectorBytes, offset), min(int64(x.End)*freemap.SectorBytes, end)
		if from >= to {
			break
		}
		if n, err := d.layers[x.layer].ReadAt(p[from-offset:to-offset], from); int64(n) < to-from {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
	}
	return len(p), short
}
