package unzip

import (
	"context"
	"errors"
	"io"

	"hyzer/imaging/freemap"
	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
)

// ErrWrongSignature is returned for an image that a signature is not of.
var ErrWrongSignature = errors.New("signature is of another image")

// Contents is what images restore to, as a view.Disk or a view.Image.
type Contents interface {
	Data() []freemap.Range
	Relocs() ([]ndz.Reloc, error)
}

// Kept finds the sectors that the target has already as they will be after the
// restore of want, by its signature: what Options.Keep is for. Blocks that hold
// relocated data are not as the signature has them, and count as missing. The
// target must be an io.ReaderAt.
func Kept(ctx context.Context, t Target, at ndz.Placement, s *sig.File, want Contents, workers int) ([]freemap.Range, error) {
	r, err := content(t, at)
	if err != nil {
		return nil, err
	}
	relocs, err := want.Relocs()
	if err != nil {
		return nil, err
	}
	var places []freemap.Range
	for _, r := range relocs {
		first, end := r.Span()
		places = append(places, freemap.Range{Start: min(first, r.Sector), End: end}) // the disk begins at 0
	}
	moved, data := freemap.Normalize(places), want.Data()
	records := s.From(0)
	next := func() (sig.Extent, bool, error) {
		for records.Next() {
			x := sig.Extent{Record: records.Record()}
			whole := freemap.Range{Start: x.Start, End: x.End()}
			if len(freemap.Overlap(data, whole)) > 0 && len(freemap.Overlap(moved, whole)) == 0 {
				return x, true, nil
			}
		}
		return sig.Extent{}, false, records.Err()
	}
	var kept []freemap.Range
	err = sig.HashAll(ctx, padded{r}, s.Type, workers, next, func(r sig.Record, got [sig.HashBytes]byte) error {
		if got == r.Hash {
			kept = freemap.Append(kept, r.Start, r.End())
		}
		return nil
	})
	// A signature may cover sectors that were free when the image was made.
	return freemap.Intersect(kept, data), err
}

// padded reads zeros after the end of a target, as there will be if it grows.
type padded struct{ io.ReaderAt }

func (p padded) ReadAt(b []byte, offset int64) (int, error) {
	n, err := p.ReaderAt.ReadAt(b, offset)
	if err != io.EOF {
		return n, err
	}
	clear(b[n:])
	return len(b), nil
}

// look decodes a chunk, or only its header if all of its data is kept.
func (w *Writer) look(d *ndz.Decoder, data []byte) (h *ndz.Header, kept bool, err error) {
	if len(w.opts.Keep) > 0 {
		if h, err = ndz.ParseHeader(data); err != nil {
			return nil, false, err
		}
		if w.keeps(h) {
			return h, true, nil
		}
	}
	h, err = d.Decode(data)
	return h, false, err
}

// keeps tells whether all data of a chunk is kept.
func (w *Writer) keeps(h *ndz.Header) bool {
	for _, r := range h.Regions {
		k := freemap.Overlap(w.opts.Keep, freemap.Range{Start: r.Start, End: r.End()})
		if len(k) != 1 || k[0].Start > r.Start || k[0].End < r.End() {
			return false
		}
	}
	return true
}

// unkept calls fn for those parts of a run that are not kept, and returns how
// much is. Offsets are from the image's base.
func (w *Writer) unkept(offset, size int64, fn func(from, to int64) error) (kept int64, err error) {
	at, end := offset, offset+size
	sectors := freemap.Range{Start: uint64(offset) / ndz.SectorBytes, End: uint64(end+ndz.SectorBytes-1) / ndz.SectorBytes}
	for _, k := range freemap.Overlap(w.opts.Keep, sectors) {
		from, to := max(int64(k.Start)*ndz.SectorBytes, offset), min(int64(k.End)*ndz.SectorBytes, end)
		if at < from {
			if err := fn(at, from); err != nil {
				return kept, err
			}
		}
		kept, at = kept+to-from, to
	}
	if at < end {
		err = fn(at, end)
	}
	return kept, err
}
