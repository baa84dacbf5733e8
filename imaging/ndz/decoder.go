package ndz

import (
	"fmt"
	"sort"
)

// DataBufferBytesMax is the most inflated data a Decoder holds. A chunk with
// more is inflated twice: once to prove it, once to hand it out.
const DataBufferBytesMax = 8 << 20

// DecodeOptions say what a Decoder must check and undo.
type DecodeOptions struct {
	Placement  Placement
	ImageID    *ImageID    // refuse V4 chunks of another image; nil: any
	Key        []byte      // decrypts; KeyBytes long, or nil
	Checksum   bool        // verify the checksum of every chunk
	SigningKey *SigningKey // verifies signed checksums; implies Checksum
	AsStored   bool        // leave relocations alone, as signatures want it
}

// Decoder decodes chunks one after the other, reusing its memory. It is for
// one goroutine at a time.
type Decoder struct {
	opts   DecodeOptions
	cipher *blowfish

	header  *Header
	payload []byte // compressed, decrypted
	plain   []byte // scratch for decryption
	fixups  []fixup
	inflate inflater
	buf     []byte // inflated data from streamAt on
	whole   bool   // buf holds all data of the chunk
}

// fixup is a relocation with its place in the inflated stream.
type fixup struct {
	reloc    Reloc
	from, to int64
}

// NewDecoder fails on a key of the wrong length.
func NewDecoder(opts DecodeOptions) (*Decoder, error) {
	d := &Decoder{opts: opts}
	if opts.Key != nil {
		c, err := newBlowfish(opts.Key)
		if err != nil {
			return nil, err
		}
		d.cipher = c
	}
	return d, nil
}

// Decode checks the whole chunk, ChunkBytes long, and returns its header.
// After it Emit hands out the data. The Decoder keeps no reference to chunk
// once Emit has returned or Decode is called again.
func (d *Decoder) Decode(chunk []byte) (*Header, error) {
	d.header = nil
	h, err := ParseHeader(chunk)
	if err != nil {
		return nil, err
	}
	if len(chunk) != ChunkBytes {
		return nil, faultf(len(chunk), "partial chunk of %d bytes, want %d", len(chunk), ChunkBytes)
	}
	if err := d.open(chunk, h); err != nil {
		return nil, err
	}
	if err := d.place(h); err != nil {
		return nil, err
	}
	d.header = h
	d.whole = h.DataBytes() <= DataBufferBytesMax
	if err := d.pass(nil); err != nil {
		d.header = nil
		return nil, err
	}
	return h, nil
}

// open verifies and decrypts the chunk as the options ask.
func (d *Decoder) open(chunk []byte, h *Header) error {
	if id := d.opts.ImageID; id != nil {
		if h.Version < V4 {
			return faultf(offMagic, "image id is required, but %s has none", h.Version)
		}
		if h.ImageID != *id {
			return faultf(offImageID, "chunk of another image: id %s, want %s", h.ImageID, id)
		}
	}
	if d.opts.Checksum || d.opts.SigningKey != nil {
		if err := checkSum(chunk, h, d.opts.SigningKey); err != nil {
			return err
		}
	}
	d.payload = chunk[HeaderAreaBytes:][:h.PayloadBytes]
	if h.Cipher == CipherNone {
		if d.cipher != nil {
			return faultf(offCipher, "a key was given, but the chunk is not encrypted")
		}
		return nil
	}
	if d.cipher == nil {
		return faultf(offCipher, "payload is encrypted; give the key (.ekey) of the image")
	}
	var err error
	d.plain, err = d.cipher.decryptPayload(d.plain[:0], h, d.payload)
	if err != nil {
		return &FormatError{Chunk: -1, Offset: HeaderAreaBytes, Reason: "decryption", Err: err}
	}
	d.payload = d.plain
	return nil
}

// place finds the data every relocation changes. One whose sector is free in
// this chunk has nothing to change, as has one of an unknown type.
func (d *Decoder) place(h *Header) error {
	d.fixups = d.fixups[:0]
	if d.opts.AsStored {
		return nil
	}
	table := h.Version.headerBytes() + len(h.Regions)*RegionBytes
	for i, r := range h.Relocs {
		from, to := r.extent()
		at := table + i*relocBytes
		if !r.inBounds() && (to > 0 || r.Type == RelocShortSector) {
			return faultf(at, "relocation %d: bytes %d+%d of a sector", i, r.Offset, r.Size)
		}
		if r.Type == RelocShortSector {
			if err := checkShort(h, r); err != nil {
				return faultf(at, "relocation %d: %v", i, err)
			}
		}
		region, base, ok := h.find(r.Sector)
		if to == 0 || !ok {
			continue
		}
		first := int64(r.Sector-region.Start) * SectorBytes
		if first+int64(from) < 0 || first+int64(to) > int64(region.Size)*SectorBytes {
			return faultf(at, "relocation %d at sector %d reaches out of its region", i, r.Sector)
		}
		d.fixups = append(d.fixups, fixup{r, base + first + int64(from), base + first + int64(to)})
	}
	return nil
}

func checkShort(h *Header, r Reloc) error {
	if r.Offset != 0 || r.Size < 1 || r.Size >= SectorBytes {
		return fmt.Errorf("short sector of bytes %d+%d", r.Offset, r.Size)
	}
	if region, _, ok := h.find(r.Sector); !ok || region.End() != r.Sector+1 {
		return fmt.Errorf("short sector %d does not end a region", r.Sector)
	}
	return nil
}

// find returns the region that holds sector, and where its data begins in the
// inflated stream.
func (h *Header) find(sector uint64) (region Region, base int64, ok bool) {
	i := sort.Search(len(h.Regions), func(i int) bool { return h.Regions[i].End() > sector })
	if i == len(h.Regions) || h.Regions[i].Start > sector {
		return Region{}, 0, false
	}
	for _, r := range h.Regions[:i] {
		base += int64(r.Size) * SectorBytes
	}
	return h.Regions[i], base, true
}

// Emit calls fn for every run of data of the chunk last decoded, with its
// offset in bytes from the image base, ascending. Runs are whole sectors,
// but for the last one of a regular file of odd length. data is only valid
// during the call.
func (d *Decoder) Emit(fn func(offset int64, data []byte) error) error {
	if d.header == nil {
		return fmt.Errorf("no chunk was decoded")
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
	if err := d.inflate.reset(d.payload); err != nil {
		return err
	}
	d.grow(int(min(total, DataBufferBytesMax)))
	var at, sent int64 // of buf[0], and of what is handed out, in the stream
	kept := 0          // bytes of buf from the last round
	for {
		n := int(min(int64(cap(d.buf)), total-at))
		d.buf = d.buf[:n]
		if err := d.inflate.fill(d.buf, kept, total); err != nil {
			return err
		}
		end := at+int64(n) == total
		if end {
			if err := d.inflate.finish(d.buf, total); err != nil {
				return err
			}
		}
		cut := d.cut(at, n, total)
		if err := d.handOut(at, int(sent-at), cut, fn); err != nil || end {
			return err
		}
		sent = at + int64(cut)
		keep := min(cut, n-windowBytes)
		kept = copy(d.buf, d.buf[keep:])
		at += int64(keep)
	}
}

// handOut relocates and emits buf[from:to], where buf begins at stream offset
// at. If the buffer goes on being the window of the stream, it is put back as
// it was.
func (d *Decoder) handOut(at int64, from, to int, fn func(int64, []byte) error) error {
	var saved []byte
	if !d.whole && len(d.fixups) > 0 {
		saved = append(saved, d.buf[from:to]...)
		defer func() { copy(d.buf[from:to], saved) }()
	}
	if err := d.relocate(at+int64(from), d.buf[from:to]); err != nil {
		return err
	}
	if fn == nil {
		return nil
	}
	return d.emit(at+int64(from), d.buf[from:to], fn)
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

func (d *Decoder) grow(n int) {
	if cap(d.buf) < n {
		d.buf = make([]byte, n, roundUp(n, dataBufferUnitBytes))
	}
}

// dataBufferUnitBytes keeps the buffer from being made anew for every chunk
// that is a little larger than the one before.
const dataBufferUnitBytes = 1 << 20

func roundUp(n, unit int) int { return (n + unit - 1) / unit * unit }

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
