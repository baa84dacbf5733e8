package ndz

import (
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
// one whose data a chunk border cuts: chunks come in any order.
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
		if to > 0 && (r.Sector < h.First || r.Sector >= h.Last) {
			return faultf(at, "relocation %d at sector %d is of another chunk: this one covers [%d,%d); make the image anew",
				i, r.Sector, h.First, h.Last)
		}
		region, base, ok := h.find(r.Sector)
		if to == 0 || !ok {
			continue
		}
		first := int64(r.Sector-region.Start) * SectorBytes
		if first+int64(from) < 0 || first+int64(to) > int64(region.Size)*SectorBytes {
			return faultf(at, "relocation %d at sector %d changes bytes outside of its region [%d,%d), of another chunk or of none; make the image anew",
				i, r.Sector, region.Start, region.End())
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
