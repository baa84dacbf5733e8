package unzip

import (
	"context"
	"errors"
	"io"
	"sort"

	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
)

// ErrWrongSignature is returned for an image that Options.Have is not of.
var ErrWrongSignature = errors.New("signature is of another image")

// look decodes a chunk, or only its header if the target has its data.
func (w *Writer) look(ctx context.Context, d *ndz.Decoder, data []byte) (h *ndz.Header, kept bool, err error) {
	if w.opts.Have != nil {
		if h, err = ndz.ParseHeader(data); err != nil {
			return nil, false, err
		}
		if kept, err = w.has(ctx, h); kept || err != nil {
			return h, kept, err
		}
	}
	h, err = d.Decode(data)
	return h, false, err
}

// has tells whether the target has all the data of a chunk, by the signature.
// Relocated data is not as the signature has it, so such a chunk is written.
func (w *Writer) has(ctx context.Context, h *ndz.Header) (bool, error) {
	if s := h.Mark.State; !s.IsZero() && s != w.haveID {
		return false, ErrWrongSignature
	}
	p := w.opts.Decode.Placement
	if len(h.Relocs) > 0 || p.InPartition() && h.DataEnd() > p.Size {
		return false, nil
	}
	var buf []byte
	for _, r := range w.named(h) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		sum, err := sig.HashRange(w.content, w.opts.Have.Type, r.Start, r.Size, &buf)
		if errors.Is(err, io.EOF) || err == nil && sum != r.Hash {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return covers(w.named(h), h.Regions), nil
}

// named is the records of the signature that lie in what a chunk covers, also
// in part.
func (w *Writer) named(h *ndz.Header) []sig.Record {
	all := w.opts.Have.Records
	lo := sort.Search(len(all), func(i int) bool { return all[i].End() > h.First })
	hi := sort.Search(len(all), func(i int) bool { return all[i].Start >= h.Last })
	return all[lo:max(lo, hi)]
}

// covers tells whether every sector of the regions is in a record.
func covers(records []sig.Record, regions []ndz.Region) bool {
	i := 0
	for _, r := range regions {
		for at := r.Start; at < r.End(); at = records[i].End() {
			for i < len(records) && records[i].End() <= at {
				i++
			}
			if i == len(records) || records[i].Start > at {
				return false
			}
		}
	}
	return true
}
