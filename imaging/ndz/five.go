package ndz

import (
	"errors"
	"fmt"

	"hyzer/imaging/v5"
)

// parseV5 reads the head of a V5 chunk as one of this package: its sectors, of
// whatever size, become sectors of SectorBytes, and what is in use is a region,
// whether it is data, zeros or a repeat.
func parseV5(chunk []byte) (*Header, error) {
	five, err := v5.ParseHeader(chunk)
	if err != nil {
		return nil, faultV5(err)
	}
	per := uint64(five.SectorBytes) / SectorBytes
	h := &Header{
		Version: V5, PayloadBytes: five.PayloadBytes, Index: five.Index, RegionAreaBytes: HeaderAreaBytes,
		First: five.First * per, Last: five.Last * per, End: five.End * per, ImageID: five.ImageID,
		Mark: Mark{Delta: five.Delta, Base: five.Base, State: five.State}, V5: five,
	}
	at := h.First
	for _, r := range five.Records {
		size := r.Sectors * per
		switch n := len(h.Regions); {
		case r.Kind == v5.Free:
		case n > 0 && h.Regions[n-1].End() == at:
			h.Regions[n-1].Size += size
		default:
			h.Regions = append(h.Regions, Region{at, size})
		}
		at += size
	}
	for _, r := range five.Relocs {
		h.Relocs = append(h.Relocs, Reloc{RelocType(r.Type), r.Sector, int(r.Offset), int(r.Size)})
	}
	return h, h.checkShort()
}

func faultV5(err error) error {
	if f := (*v5.Fault)(nil); errors.As(err, &f) {
		return &FormatError{Chunk: -1, Offset: f.Offset, Reason: f.Reason, Err: f.Err}
	}
	return err
}

// misplaced tells whether h cannot be the i-th chunk of its image. Old versions
// are only warned about, see Irregularities; their chunks have no sum.
func (h *Header) misplaced(i int) error {
	if h.Version == V5 && h.Index != i {
		return faultf(offIndexV5, "calls itself chunk %d", h.Index)
	}
	return nil
}

// SameImage tells whether h, the i-th chunk, can be of the image that f is of.
func (h *Header) SameImage(f *Header, i int) error {
	switch {
	case f.Version != h.Version:
		return faultf(offMagic, "%s chunk in a %s image", h.Version, f.Version)
	case f.ImageID != h.ImageID:
		return faultf(h.offImageID(), "chunk of another image: id %s, want %s", h.ImageID, f.ImageID)
	case f.Mark != h.Mark:
		return faultf(h.offMark(), "chunk of another image: its mark differs")
	case f.End != h.End:
		return faultf(h.offEnd(), "chunk of an image that ends at sector %d, the others' does at %d", h.End, f.End)
	case h.V5 != nil && h.V5.ImageVersion != f.V5.ImageVersion:
		return faultf(offImageIDV5, "chunk of version %d of the image, want %d", h.V5.ImageVersion, f.V5.ImageVersion)
	case h.V5 != nil && h.V5.SectorBytes != f.V5.SectorBytes:
		return faultf(offMagic, "sectors of %d bytes, the other chunks have %d", h.V5.SectorBytes, f.V5.SectorBytes)
	}
	return h.misplaced(i)
}

// Places of fields in V5 chunks, for errors.
const (
	offIndexV5   = 44
	offImageIDV5 = 72
	offBaseV5    = 96
	offEndV5     = v5.HeadBytes - 8
)

func (h *Header) offImageID() int {
	if h.Version == V5 {
		return offImageIDV5
	}
	return offImageID
}

func (h *Header) offEnd() int {
	if h.Version == V5 {
		return offEndV5
	}
	return offEnd
}

func (h *Header) offMark() int {
	if h.Version == V5 {
		return offBaseV5
	}
	return offMark
}

// decodeV5 is Decode for V5 chunks.
func (d *Decoder) decodeV5(chunk []byte) (*Header, error) {
	h, err := parseV5(chunk)
	if err != nil {
		return nil, err
	}
	if id := d.opts.ImageID; id != nil && h.ImageID != *id {
		return nil, faultf(offImageIDV5, "chunk of another image: id %s, want %s", h.ImageID, id)
	}
	if d.cipher != nil || d.opts.SigningKey != nil {
		return nil, faultf(offMagic, "a key was given, but V5 chunks are neither encrypted nor signed; their manifest is")
	}
	if err := d.place(h); err != nil {
		return nil, err
	}
	if _, err := d.five.Decode(chunk); err != nil {
		return nil, faultV5(err)
	}
	d.header = h
	if err := d.runsV5(func(Run) error { return nil }); err != nil {
		d.header = nil
		return nil, err
	}
	return h, nil
}

// runsV5 hands out the runs of a V5 chunk, relocated.
func (d *Decoder) runsV5(fn func(Run) error) error {
	var base int64 // of the run, in the data of all regions
	return d.five.Runs(func(r v5.Run) error {
		run := Run{Offset: r.Offset, Data: r.Data, Stays: true}
		if r.Data == nil {
			run.Zeros = r.Bytes
		}
		moved, err := d.moveV5(r, base)
		if err != nil {
			return err
		}
		if moved != nil {
			run.Data, run.Stays = moved, false
		}
		base += r.Bytes
		if !d.opts.AsStored {
			run = run.shorten(d.header)
		}
		return fn(run)
	})
}

// moveV5 returns a copy of a run with its relocations done, or nil if it has
// none. What they change is data of one run, see place.
func (d *Decoder) moveV5(r v5.Run, base int64) ([]byte, error) {
	var moved []byte
	for _, f := range d.fixups {
		if f.to <= base || f.from >= base+r.Bytes {
			continue
		}
		if moved == nil {
			moved = append(d.moved[:0], r.Data...)
		}
		if err := f.reloc.apply(moved[f.from-base:f.to-base], d.opts.Placement); err != nil {
			return nil, &FormatError{Chunk: -1, Offset: HeaderAreaBytes, Reason: fmt.Sprintf("relocation at sector %d", f.reloc.Sector), Err: err}
		}
	}
	if moved != nil {
		d.moved = moved
	}
	return moved, nil
}

// Run is a part of the disk that a chunk writes: Data, or if that is nil
// Zeros bytes of zero.
type Run struct {
	Offset int64 // bytes from the image's base
	Data   []byte
	Zeros  int64
	Stays  bool // Data is valid until the next Decode, not only during the call
}

// shorten cuts the run that ends with the short last sector of a regular file.
func (r Run) shorten(h *Header) Run {
	end := uint64(r.Offset+int64(len(r.Data))+r.Zeros) / SectorBytes
	short := h.shortBy(Region{Start: end - 1, Size: 1})
	switch {
	case short > 0 && r.Data != nil:
		r.Data = r.Data[:len(r.Data)-short]
	case short > 0:
		r.Zeros -= int64(short)
	}
	return r
}

// zeroRunBytes is how many zeros Emit hands out at a time.
const zeroRunBytes = 64 << 10

// emitV5 is Emit for V5 chunks.
func (d *Decoder) emitV5(fn func(offset int64, data []byte) error) error {
	var zeros []byte
	return d.runsV5(func(r Run) error {
		if r.Data != nil {
			return fn(r.Offset, r.Data)
		}
		if zeros == nil {
			zeros = make([]byte, zeroRunBytes)
		}
		for r.Zeros > 0 {
			n := min(r.Zeros, zeroRunBytes)
			if err := fn(r.Offset, zeros[:n]); err != nil {
				return err
			}
			r.Offset, r.Zeros = r.Offset+n, r.Zeros-n
		}
		return nil
	})
}

// Runs is Emit for those who can do zeros without writing them: V5 chunks say
// which of their data is zero.
func (d *Decoder) Runs(fn func(Run) error) error {
	if d.header != nil && d.header.Version == V5 {
		return d.runsV5(fn)
	}
	return d.Emit(func(offset int64, data []byte) error { return fn(Run{Offset: offset, Data: data}) })
}
