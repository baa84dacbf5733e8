package ndz

import (
	"encoding/binary"
	"fmt"

	"hyzer/imaging/v5"
)

// Header is the decoded head of one chunk (spec ndz, 1.1).
type Header struct {
	Version         Version
	PayloadBytes    int // compressed, after encryption
	Index           int // the number the chunk gives itself
	Total           int // V1: chunks of the image, 0 if it was not known
	RegionAreaBytes int // always HeaderAreaBytes in a sound image

	// First and Last are the coverage [First, Last) in sectors. Covered
	// sectors in no region are free. V1 has no coverage: they are the hull
	// of the regions.
	First, Last uint64
	End         uint64 // up to which all chunks of the image cover the disk; 0: not known
	Regions     []Region
	Relocs      []Reloc
	Mark        Mark // zero if it has none

	// V4 only.
	Cipher   Cipher
	Checksum ChecksumType
	IV       [32]byte
	Sum      [256]byte
	ImageID  ImageID // V5 too

	V5 *v5.Header // V5 only: the head as it is
}

// Field offsets of the header.
const (
	offMagic       = 0
	offSize        = 4
	offIndex       = 8
	offTotal       = 12
	offRegionArea  = 16
	offRegionCount = 20
	offFirst       = 24
	offLast        = 28
	offRelocCount  = 32
	offCipher      = 36
	offChecksum    = 38
	offIV          = 40
	offSum         = 72
	offImageID     = 328
)

// ParseHeader decodes and checks the head of a chunk, of which the first
// HeaderAreaBytes suffice. Errors are FormatErrors; see InChunk.
func ParseHeader(chunk []byte) (*Header, error) {
	if len(chunk) < HeaderAreaBytes {
		return nil, faultf(len(chunk), "image ends inside a chunk header of %d bytes", HeaderAreaBytes)
	}
	v, err := parseMagic(chunk)
	if err != nil {
		return nil, err
	}
	if v == V5 {
		return parseV5(chunk)
	}
	h := &Header{
		Version:         v,
		Index:           int(int32(u32(chunk, offIndex))),
		Total:           int(int32(u32(chunk, offTotal))),
		RegionAreaBytes: int(int32(u32(chunk, offRegionArea))),
	}
	if err := h.parseTables(chunk); err != nil {
		return nil, err
	}
	if v == V4 {
		h.parseV4(chunk)
	}
	if err := h.parseMark(chunk); err != nil {
		return nil, err
	}
	if err := h.check(); err != nil {
		return nil, err
	}
	if err := h.checkHeadSum(chunk); err != nil {
		return nil, err
	}
	return h, nil
}

func parseMagic(chunk []byte) (Version, error) {
	m := u32(chunk, offMagic)
	v := Version(int64(m) - magicV1 + 1)
	if v >= V1 && v <= V5 {
		return v, nil
	}
	f := faultf(offMagic, "bad magic %#08x, not a chunk of a disk image", m)
	switch {
	case m&0x00ffffff == magicV1&0x00ffffff:
		f.Reason = fmt.Sprintf("bad magic %#08x: byte-swapped, image of a big-endian machine", m)
	case m>>8 == magicV1>>8:
		f.Reason = fmt.Sprintf("bad magic %#08x: version newer than %s", m, V5)
	}
	return 0, f
}

func (h *Header) parseTables(chunk []byte) error {
	size := u32(chunk, offSize)
	if size == 0 || size > PayloadBytesMax {
		return faultf(offSize, "payload of %d bytes, want 1 to %d", size, PayloadBytesMax)
	}
	h.PayloadBytes = int(size)
	regions, relocs := int64(int32(u32(chunk, offRegionCount))), int64(0)
	if h.Version >= V2 {
		relocs = int64(int32(u32(chunk, offRelocCount)))
	}
	table := int64(h.Version.headerBytes())
	if regions < 1 || table+regions*RegionBytes > HeaderAreaBytes {
		return faultf(offRegionCount, "%d regions, want 1 to %d", regions, (HeaderAreaBytes-table)/RegionBytes)
	}
	table += regions * RegionBytes
	if relocs < 0 || table+relocs*relocBytes > HeaderAreaBytes {
		return faultf(offRelocCount, "%d relocations, room for %d", relocs, (HeaderAreaBytes-table)/relocBytes)
	}
	h.Regions = parseRegions(chunk[h.Version.headerBytes():], int(regions))
	h.Relocs = parseRelocs(chunk[table:], int(relocs))
	h.parseCoverage(chunk)
	return nil
}

func parseRegions(b []byte, n int) []Region {
	regions := make([]Region, n)
	for i := range regions {
		regions[i] = Region{uint64(u32(b, i*RegionBytes)), uint64(u32(b, i*RegionBytes+4))}
	}
	return regions
}

func (h *Header) parseCoverage(chunk []byte) {
	if h.Version >= V2 {
		h.First, h.Last = uint64(u32(chunk, offFirst)), uint64(u32(chunk, offLast))
		return
	}
	h.First, h.Last = h.Regions[0].Start, h.Regions[len(h.Regions)-1].End()
}

func (h *Header) parseV4(chunk []byte) {
	h.Cipher = Cipher(binary.LittleEndian.Uint16(chunk[offCipher:]))
	h.Checksum = ChecksumType(binary.LittleEndian.Uint16(chunk[offChecksum:]))
	copy(h.IV[:], chunk[offIV:])
	copy(h.Sum[:], chunk[offSum:])
	copy(h.ImageID[:], chunk[offImageID:])
}

// check holds the header against every rule that needs no payload.
func (h *Header) check() error {
	if err := h.checkRegions(); err != nil {
		return err
	}
	if err := h.checkShort(); err != nil {
		return err
	}
	if h.DataBytes() > int64(h.PayloadBytes)*inflateRatioMax {
		return faultf(offRegionCount, "regions of %d bytes cannot come out of %d compressed bytes", h.DataBytes(), h.PayloadBytes)
	}
	switch h.Cipher {
	case CipherNone:
	case CipherBlowfishCBC:
		if h.PayloadBytes%blowfishBlockBytes != 0 {
			return faultf(offSize, "encrypted payload of %d bytes is not whole cipher blocks", h.PayloadBytes)
		}
	default:
		return faultf(offCipher, "unknown cipher %d", h.Cipher)
	}
	switch h.Checksum {
	case ChecksumNone, ChecksumSHA1, ChecksumSignedSHA1:
		return nil
	}
	return faultf(offChecksum, "unknown checksum type %#x", uint16(h.Checksum))
}

func (h *Header) checkRegions() error {
	end := h.First
	for i, r := range h.Regions {
		at := h.Version.headerBytes() + i*RegionBytes
		switch {
		case r.Size == 0:
			return faultf(at, "region %d is empty", i)
		case r.End() > SectorsMax:
			return faultf(at, "region %d ends at sector %d, past the last one of 32 bits", i, r.End())
		case i > 0 && r.Start < end:
			return faultf(at, "region %d at sector %d begins before the end of the one before, %d", i, r.Start, end)
		case r.Start < h.First || r.End() > h.Last:
			return faultf(at, "region %d [%d,%d) is outside the sectors the chunk covers [%d,%d)", i, r.Start, r.End(), h.First, h.Last)
		}
		end = r.End()
	}
	return nil
}

// DataBytes is the size of the data of all regions, inflated.
func (h *Header) DataBytes() int64 {
	var n uint64
	for _, r := range h.Regions {
		n += r.Size
	}
	return int64(n) * SectorBytes
}

// DataEnd is the first sector after the last region.
func (h *Header) DataEnd() uint64 { return h.Regions[len(h.Regions)-1].End() }

// TableBytesLeft is how many bytes of regions (8 each) and relocations (16
// each) still fit beside n regions, m relocations and a mark in any version.
func TableBytesLeft(n, m int) int {
	return offMark - headerBytesV4 - n*RegionBytes - m*relocBytes
}

// AppendTo writes the header area of the chunk, HeaderAreaBytes long, to b.
// It fails on a header that ParseHeader would refuse.
func (h *Header) AppendTo(b []byte) ([]byte, error) {
	if h.Version < V1 || h.Version > V4 {
		return b, fmt.Errorf("chunk %d: cannot write version %d", h.Index, h.Version)
	}
	if h.tableEnd() > HeaderAreaBytes || len(h.Regions) == 0 || h.PayloadBytes > PayloadBytesMax {
		return b, fmt.Errorf("chunk %d: %d regions, %d relocations and %d compressed bytes do not make a chunk",
			h.Index, len(h.Regions), len(h.Relocs), h.PayloadBytes)
	}
	if h.Version == V1 && len(h.Relocs) > 0 {
		return b, fmt.Errorf("chunk %d: V1 has no relocations", h.Index)
	}
	if !h.Mark.IsZero() && !markRoom(h.Version, h.tableEnd()) {
		return b, fmt.Errorf("chunk %d: no room for a mark in a %s chunk of %d regions", h.Index, h.Version, len(h.Regions))
	}
	if err := h.check(); err != nil {
		return b, InChunk(err, h.Index)
	}
	at := len(b)
	b = append(b, make([]byte, HeaderAreaBytes)...)
	h.put(b[at:])
	return b, nil
}

func (h *Header) put(b []byte) {
	le := binary.LittleEndian
	le.PutUint32(b[offMagic:], h.Version.magic())
	le.PutUint32(b[offSize:], uint32(h.PayloadBytes))
	le.PutUint32(b[offIndex:], uint32(h.Index))
	le.PutUint32(b[offTotal:], uint32(h.Total))
	le.PutUint32(b[offRegionArea:], HeaderAreaBytes)
	le.PutUint32(b[offRegionCount:], uint32(len(h.Regions)))
	if h.Version >= V2 {
		le.PutUint32(b[offFirst:], uint32(h.First))
		le.PutUint32(b[offLast:], uint32(h.Last))
		le.PutUint32(b[offRelocCount:], uint32(len(h.Relocs)))
	}
	if h.Version >= V4 {
		le.PutUint16(b[offCipher:], uint16(h.Cipher))
		le.PutUint16(b[offChecksum:], uint16(h.Checksum))
		copy(b[offIV:], h.IV[:])
		copy(b[offSum:offImageID], h.Sum[:])
		copy(b[offImageID:], h.ImageID[:])
	}
	t := b[h.Version.headerBytes():]
	for i, r := range h.Regions {
		le.PutUint32(t[i*RegionBytes:], uint32(r.Start))
		le.PutUint32(t[i*RegionBytes+4:], uint32(r.Size))
	}
	t = t[len(h.Regions)*RegionBytes:]
	for i, r := range h.Relocs {
		r.put(t[i*relocBytes:])
	}
	if !h.Mark.IsZero() {
		h.Mark.put(b)
	}
	h.putHeadSum(b)
}

func u32(b []byte, at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
