package v5

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
)

// ParseHeader decodes and checks the head of a chunk, of which the first
// HeadBytes suffice. Errors are Faults.
func ParseHeader(chunk []byte) (*Header, error) {
	if len(chunk) < HeadBytes {
		return nil, faultf(len(chunk), "image ends inside a chunk header of %d bytes", HeadBytes)
	}
	if !Is(chunk) {
		return nil, faultf(offMagic, "bad magic, not a V5 chunk")
	}
	le := binary.LittleEndian
	if sum := headSum(chunk); sum != le.Uint32(chunk[offHeadSum:]) {
		return nil, faultf(offHeadSum, "head is damaged: its sum is %#08x, not %#08x", sum, le.Uint32(chunk[offHeadSum:]))
	}
	h := &Header{
		Codec: Codec(chunk[offCodec]),
		Index: int(le.Uint32(chunk[offIndex:])), ImageVersion: le.Uint32(chunk[offVersion:]),
		First: le.Uint64(chunk[offFirst:]), Last: le.Uint64(chunk[offLast:]),
	}
	copy(h.ImageID[:], chunk[offImageID:])
	copy(h.Base[:], chunk[offBase:])
	copy(h.State[:], chunk[offState:])
	if err := h.parseKind(chunk); err != nil {
		return nil, err
	}
	if err := h.parseSizes(chunk); err != nil {
		return nil, err
	}
	if err := h.parseTables(chunk); err != nil {
		return nil, err
	}
	if err := h.check(); err != nil {
		return nil, err
	}
	return h, nil
}

// headSum is the CRC-32 of the head without the two sums in it.
func headSum(chunk []byte) uint32 {
	sum := crc32.ChecksumIEEE(chunk[:offSum])
	return crc32.Update(sum, crc32.IEEETable, chunk[offIndex:HeadBytes])
}

func (h *Header) parseKind(chunk []byte) error {
	flags, shift := binary.LittleEndian.Uint16(chunk[offFlags:]), chunk[offShift]
	switch {
	case flags&^flagsKnown != 0:
		return faultf(offFlags, "flags %#x are newer than this program; update it", flags)
	case h.Codec > Zlib:
		return faultf(offCodec, "%s is newer than this program; update it", h.Codec)
	case shift < sectorShiftMin || shift > sectorShiftMax:
		return faultf(offShift, "sectors of 2^%d bytes, want 2^%d to 2^%d", shift, sectorShiftMin, sectorShiftMax)
	}
	h.Delta, h.SectorBytes = flags&flagDelta != 0, 1<<shift
	if flags&flagEnd != 0 {
		h.End = binary.LittleEndian.Uint64(chunk[offEnd:])
		if h.End == 0 {
			return faultf(offEnd, "image ends at sector 0")
		}
	}
	return nil
}

func (h *Header) parseSizes(chunk []byte) error {
	payload, stream := binary.LittleEndian.Uint32(chunk[offPayload:]), binary.LittleEndian.Uint32(chunk[offStream:])
	switch {
	case payload > PayloadBytesMax:
		return faultf(offPayload, "payload of %d bytes, want at most %d", payload, PayloadBytesMax)
	case stream > StreamBytesMax:
		return faultf(offStream, "stream of %d bytes, want at most %d", stream, StreamBytesMax)
	}
	h.PayloadBytes, h.StreamBytes = int(payload), int(stream)
	return nil
}

func (h *Header) parseTables(chunk []byte) error {
	le := binary.LittleEndian
	records, relocs := int(le.Uint16(chunk[offTableBytes:])), int(le.Uint16(chunk[offRelocCount:]))
	table := chunk[offTable:HeadBytes]
	if h.End != 0 {
		table = chunk[offTable:offEnd]
	}
	if room := len(table); records > room || relocs > (room-records)/RelocBytes {
		return faultf(offTableBytes, "%d bytes of records and %d relocations do not fit into %d bytes", records, relocs, room)
	}
	end := offTable + len(table)
	for at := 0; at < records; {
		r, n := parseRecord(table[at:records])
		if n == 0 {
			return faultf(offTable+at, "record %d is cut short, or not in its shortest form", len(h.Records))
		}
		h.Records, at = append(h.Records, r), at+n
	}
	table = table[records:]
	for range relocs {
		h.Relocs = append(h.Relocs, Reloc{
			Sector: le.Uint64(table), Type: le.Uint32(table[8:]),
			Offset: le.Uint16(table[12:]), Size: le.Uint16(table[14:]),
		})
		table = table[RelocBytes:]
	}
	for i, x := range table {
		if x != 0 {
			return faultf(end-len(table)+i, "byte after the tables is not zero")
		}
	}
	return nil
}

// parseRecord returns a length of 0 for a record that is damaged.
func parseRecord(b []byte) (Record, int) {
	v, n := uvarint(b)
	r := Record{Kind: Kind(v & 3), Sectors: v >> 2}
	if n == 0 || r.Kind != Repeat {
		return r, n
	}
	source, m := uvarint(b[n:])
	if m == 0 {
		return r, 0
	}
	r.Source = source
	return r, n + m
}

// uvarint reads a number in groups of seven bits, lowest first, in its
// shortest form only.
func uvarint(b []byte) (uint64, int) {
	v, n := binary.Uvarint(b)
	if n <= 0 || n > 1 && b[n-1] == 0 {
		return 0, 0
	}
	return v, n
}

// uvarintBytes is how long uvarint's form of v is.
func uvarintBytes(v uint64) int { return max(1, (bits.Len64(v)+6)/7) }
