package ndz

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"hyzer/imaging/internal/inflate"
)

// Emit calls fn for every run of data of the chunk last decoded, with its
// offset in bytes from the image base, ascending. Runs are whole sectors,
// but for the last one of a regular file of odd length. data is only valid
// during the call.
func (d *Decoder) Emit(fn func(offset int64, data []byte) error) error {
	if d.header == nil {
		return fmt.Errorf("no chunk was decoded")
	}
	if d.header.Version == V5 {
		return d.emitV5(fn)
	}
	if d.whole {
		return d.emit(0, d.buf, fn)
	}
	return d.pass(fn)
}

// pass inflates the chunk, checks that its stream is exactly as long as the
// regions say, relocates, and hands out the data if fn is not nil.
func (d *Decoder) pass(fn func(int64, []byte) error) error {
	total := d.header.DataBytes()
	if err := d.inflate.Reset(d.payload); err != nil {
		return faultStream(err)
	}
	d.grow(int(min(total, DataBufferBytesMax)))
	var at, sent int64 // of buf[0], and of what is handed out, in the stream
	kept := 0          // bytes of buf from the last round
	for {
		n := int(min(int64(cap(d.buf)), total-at))
		d.buf = d.buf[:n]
		if err := d.inflate.Fill(d.buf, kept, total); err != nil {
			return faultStream(err)
		}
		end := at+int64(n) == total
		if end {
			if err := d.inflate.Finish(d.buf, total); err != nil {
				return faultStream(err)
			}
		}
		cut := d.cut(at, n, total)
		if err := d.handOut(at, int(sent-at), cut, fn); err != nil || end {
			return err
		}
		sent = at + int64(cut)
		keep := min(cut, n-inflate.WindowBytes)
		kept = copy(d.buf, d.buf[keep:])
		at += int64(keep)
	}
}

// faultStream is a fault of the compressed stream as one of the chunk.
func faultStream(err error) error {
	if f := (*inflate.Fault)(nil); errors.As(err, &f) {
		return &FormatError{Chunk: -1, Offset: HeaderAreaBytes + f.Offset, Reason: f.Reason, Err: f.Err}
	}
	return err
}

// handOut relocates and emits buf[from:to], where buf begins at stream offset
// at. If the buffer goes on being the window of the stream, it is put back as
// it was.
func (d *Decoder) handOut(at int64, from, to int, fn func(int64, []byte) error) error {
	if !d.whole {
		defer d.save(at, from, to)()
	}
	if err := d.relocate(at+int64(from), d.buf[from:to]); err != nil {
		return err
	}
	if fn == nil {
		return nil
	}
	return d.emit(at+int64(from), d.buf[from:to], fn)
}

// save remembers the bytes that relocations will change in buf[from:to], and
// returns what puts them back.
func (d *Decoder) save(at int64, from, to int) (restore func()) {
	type piece struct {
		at   int
		data []byte
	}
	var saved []piece
	for _, f := range d.fixups {
		if i, j := int(f.from-at), int(f.to-at); i >= from && j <= to {
			saved = append(saved, piece{i, bytes.Clone(d.buf[i:j])})
		}
	}
	return func() {
		for _, p := range slices.Backward(saved) {
			copy(d.buf[p.at:], p.data)
		}
	}
}

// cut is how much of the n bytes at stream offset at can be let go without
// parting the bytes of a relocation.
func (d *Decoder) cut(at int64, n int, total int64) int {
	end := at + int64(n)
	if end == total {
		return n
	}
	end -= end % SectorBytes
	for moved := true; moved; {
		moved = false
		for _, f := range d.fixups {
			if f.from < end && f.to > end {
				end, moved = f.from-f.from%SectorBytes, true
			}
		}
	}
	return int(end - at)
}

func (d *Decoder) relocate(at int64, data []byte) error {
	end := at + int64(len(data))
	for _, f := range d.fixups {
		if f.from < at || f.to > end {
			continue
		}
		if err := f.reloc.apply(data[f.from-at:f.to-at], d.opts.Placement); err != nil {
			return &FormatError{Chunk: -1, Offset: HeaderAreaBytes,
				Reason: fmt.Sprintf("relocation at sector %d", f.reloc.Sector), Err: err}
		}
	}
	return nil
}

// emit splits data, which begins at stream offset at, by regions.
func (d *Decoder) emit(at int64, data []byte, fn func(int64, []byte) error) error {
	var base int64
	for _, r := range d.header.Regions {
		size := int64(r.Size) * SectorBytes
		if from, to := max(at, base), min(at+int64(len(data)), base+size); from < to {
			run := data[from-at : to-at]
			if to == base+size && !d.opts.AsStored {
				run = run[:len(run)-d.header.shortBy(r)]
			}
			if err := fn(int64(r.Start)*SectorBytes+from-base, run); err != nil {
				return err
			}
		}
		base += size
	}
	return nil
}

// shortBy is how many bytes of the last sector of r a short-sector relocation
// takes away.
func (h *Header) shortBy(r Region) int {
	for _, x := range h.Relocs {
		if x.Type == RelocShortSector && x.Sector+1 == r.End() {
			return SectorBytes - x.Size
		}
	}
	return 0
}

// EndBytes is where the coverage of the chunk ends, in bytes from the image
// base; inside the last sector if that is short.
func (h *Header) EndBytes() int64 {
	end := int64(h.Last) * SectorBytes
	if h.DataEnd() == h.Last {
		end -= int64(h.shortBy(h.Regions[len(h.Regions)-1]))
	}
	return end
}

// Irregularities are what the chunk, as the i-th of its image, has wrong that is
// worth a warning, but does not keep its data from being right.
func (h *Header) Irregularities(i int) []string {
	var notes []string
	if h.Index != i {
		notes = append(notes, fmt.Sprintf("calls itself chunk %d", h.Index))
	}
	if h.RegionAreaBytes != HeaderAreaBytes {
		notes = append(notes, fmt.Sprintf("gives its header area as %d bytes, not %d", h.RegionAreaBytes, HeaderAreaBytes))
	}
	for _, r := range h.Relocs {
		if r.Type > RelocShortSector {
			notes = append(notes, fmt.Sprintf("has a relocation of unknown type %d, ignored", r.Type))
		}
	}
	return notes
}
