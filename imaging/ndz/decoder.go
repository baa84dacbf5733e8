package ndz

import (
	"errors"
	"fmt"
	"sort"

	"hyzer/imaging/internal/inflate"
	"hyzer/imaging/v5"
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
	// Relocatable refuses chunks whose relocations cannot be done also with
	// AsStored, for which that does not matter.
	Relocatable bool
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
	inflate inflate.Decoder
	mem     []byte // that buf is in
	buf     []byte // inflated data from streamAt on
	whole   bool   // buf holds all data of the chunk

	five  v5.Decoder
	moved []byte // a run of a V5 chunk, relocated
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
	if v5.Is(chunk) {
		return d.decodeV5(chunk)
	}
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
// this chunk has nothing to change, as has one of an unknown type. Nobody can do
// one whose data a chunk border cuts, because chunks come in any order, or whose
// data is zeros or repeats, which are restored to other places too.
func (d *Decoder) place(h *Header) error {
	d.fixups = d.fixups[:0]
	if d.opts.AsStored && !d.opts.Relocatable {
		return nil
	}
	for i, r := range h.Relocs {
		f, ok, err := h.fixup(r)
		if err != nil {
			return faultf(h.relocAt(i), "relocation %d at sector %d: %v; make the image anew", i, r.Sector, err)
		}
		if ok && !d.opts.AsStored {
			d.fixups = append(d.fixups, f)
		}
	}
	return nil
}

// fixup is the place of a relocation in the data of the chunk. It is false for
// one that changes nothing.
func (h *Header) fixup(r Reloc) (f fixup, ok bool, err error) {
	from, to := r.extent()
	switch {
	case to == 0:
		return f, false, nil
	case !r.inBounds():
		return f, false, fmt.Errorf("bytes %d+%d of a sector", r.Offset, r.Size)
	case r.Sector < h.First || r.Sector >= h.Last:
		return f, false, fmt.Errorf("is of another chunk: this one covers [%d,%d)", h.First, h.Last)
	}
	region, base, ok := h.find(r.Sector)
	if !ok {
		return f, false, nil
	}
	first := int64(r.Sector-region.Start) * SectorBytes
	if first+int64(from) < 0 || first+int64(to) > int64(region.Size)*SectorBytes {
		return f, false, fmt.Errorf("changes bytes outside of its region [%d,%d), of another chunk or of none", region.Start, region.End())
	}
	at := int64(r.Sector) * SectorBytes
	if h.V5 != nil && !h.V5.Stored(uint64(at+int64(from)), uint64(at+int64(to))) {
		return f, false, errors.New("changes bytes that are not inside one record of data")
	}
	return fixup{r, base + first + int64(from), base + first + int64(to)}, true, nil
}

// relocAt is where in the chunk relocation i is.
func (h *Header) relocAt(i int) int {
	if h.V5 != nil {
		return h.V5.RelocAt(i)
	}
	return h.Version.headerBytes() + len(h.Regions)*RegionBytes + i*relocBytes
}

// checkShort refuses lengths of a last sector that none can have: the length of
// the image goes by them.
func (h *Header) checkShort() error {
	for i, r := range h.Relocs {
		if r.Type != RelocShortSector {
			continue
		}
		if err := h.shortFault(r); err != nil {
			return faultf(h.relocAt(i), "relocation %d: %v", i, err)
		}
	}
	return nil
}

// shortFault tells what is wrong with a short sector.
func (h *Header) shortFault(r Reloc) error {
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

// grow makes buf n bytes that begin in a page of memory where the data does in
// one of the disk. File systems want that of direct writes, or let nothing else
// be written meanwhile.
func (d *Decoder) grow(n int) {
	if len(d.mem) < n+pageBytes {
		d.mem = make([]byte, roundUp(n, dataBufferUnitBytes)+pageBytes) // whole pages begin at one
	}
	sector := d.opts.Placement.Start + d.header.Regions[0].Start
	d.buf = d.mem[sector%(pageBytes/SectorBytes)*SectorBytes:][:n:n]
}

// pageBytes is the alignment of direct writes that no file system wants more of.
const pageBytes = 4096

// dataBufferUnitBytes keeps the buffer from being made anew for every chunk
// that is a little larger than the one before.
const dataBufferUnitBytes = 1 << 20

func roundUp(n, unit int) int { return (n + unit - 1) / unit * unit }
