package v5

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// Seal writes the chunk, ChunkBytes long, that h and payload make over dst,
// which is made anew if it is too short. It fails on what ParseHeader would
// refuse. PayloadBytes is taken from payload.
func (h *Header) Seal(dst, payload []byte) ([]byte, error) {
	x := *h
	x.PayloadBytes = len(payload)
	if err := x.fits(); err != nil {
		return nil, fmt.Errorf("chunk %d: %w", h.Index, err)
	}
	if err := x.check(); err != nil {
		return nil, fmt.Errorf("chunk %d: %w", h.Index, err)
	}
	if cap(dst) < ChunkBytes {
		dst = make([]byte, ChunkBytes)
	}
	dst = dst[:ChunkBytes]
	clear(dst[:HeadBytes])
	x.put(dst)
	clear(dst[HeadBytes+copy(dst[HeadBytes:], payload):])
	binary.LittleEndian.PutUint32(dst[offHeadSum:], headSum(dst))
	sum := chunkSum(dst)
	copy(dst[offSum:], sum[:])
	return dst, nil
}

// fits checks what has no room in a head.
func (h *Header) fits() error {
	switch {
	case h.PayloadBytes > PayloadBytesMax || h.StreamBytes > StreamBytesMax:
		return faultf(offPayload, "payload of %d bytes and stream of %d do not make a chunk", h.PayloadBytes, h.StreamBytes)
	case h.Codec > Zlib || h.SectorBytes&(h.SectorBytes-1) != 0 || h.SectorBytes < SectorBytesMin || h.SectorBytes > SectorBytesMax:
		return faultf(offCodec, "cannot write %s and sectors of %d bytes", h.Codec, h.SectorBytes)
	case h.Index < 0 || uint64(h.Index) > 1<<32-1:
		return faultf(offIndex, "no room for a number of this size")
	case TableBytes(h.Records, len(h.Relocs)) > TableBytesMax:
		return faultf(offTable, "%d records and %d relocations do not fit", len(h.Records), len(h.Relocs))
	}
	return nil
}

func (h *Header) flags() (f uint16) {
	if h.Delta {
		f |= flagDelta
	}
	if h.End != 0 {
		f |= flagEnd
	}
	return f
}

func (h *Header) put(b []byte) {
	le := binary.LittleEndian
	le.PutUint32(b[offMagic:], magic)
	le.PutUint16(b[offFlags:], h.flags())
	b[offCodec] = byte(h.Codec)
	for s := h.SectorBytes; s > 1; s >>= 1 {
		b[offShift]++
	}
	le.PutUint32(b[offIndex:], uint32(h.Index))
	le.PutUint32(b[offPayload:], uint32(h.PayloadBytes))
	le.PutUint32(b[offStream:], uint32(h.StreamBytes))
	le.PutUint64(b[offFirst:], h.First)
	le.PutUint64(b[offLast:], h.Last)
	le.PutUint64(b[offEnd:], h.End)
	copy(b[offImageID:], h.ImageID[:])
	le.PutUint32(b[offVersion:], h.ImageVersion)
	copy(b[offBase:], h.Base[:])
	copy(b[offState:], h.State[:])
	t := b[offTable:offTable]
	for _, r := range h.Records {
		t = binary.AppendUvarint(t, r.Sectors<<2|uint64(r.Kind))
		if r.Kind == Repeat {
			t = binary.AppendUvarint(t, r.Source)
		}
	}
	le.PutUint16(b[offTableBytes:], uint16(len(t)))
	le.PutUint16(b[offRelocCount:], uint16(len(h.Relocs)))
	for _, r := range h.Relocs {
		t = le.AppendUint64(t, r.Sector)
		t = le.AppendUint32(t, r.Type)
		t = le.AppendUint16(t, r.Offset)
		t = le.AppendUint16(t, r.Size)
	}
}

// chunkSum is the SHA-256 of a chunk without the sum in it.
func chunkSum(chunk []byte) (sum [sumBytes]byte) {
	h := sha256.New()
	h.Write(chunk[:offSum])
	h.Write(chunk[offSum+sumBytes:])
	h.Sum(sum[:0])
	return sum
}
