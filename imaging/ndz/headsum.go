package ndz

import (
	"encoding/binary"
	"hash/crc32"
)

// The sum of a head (docs/ndz-extensions.md) lies before the mark. Without it a
// flipped bit in a region restores sound data to the wrong place, and the
// payload's own checksum says nothing of that. Beside it is where the image
// ends: one that was cut between two chunks looks whole else.
const (
	headSumBytes = 16
	offHeadSum   = offMark - headSumBytes
	offEnd       = offHeadSum + len(headSumMagic)
	offSumOfHead = offEnd + 4
	headSumMagic = ".hyhead\x00"
)

// headSumRoom tells whether a head can have a sum: its tables end before it.
func (h *Header) headSumRoom() bool { return h.tableEnd() <= offHeadSum }

// headSum is the CRC-32 of the header and its tables without what is filled in
// later: the number of chunks of V1, and the checksum of V4.
func (h *Header) headSum(chunk []byte) uint32 {
	var b [offHeadSum]byte
	n := copy(b[:], chunk[:h.tableEnd()])
	if h.Version == V1 {
		clear(b[offTotal:offRegionArea])
	}
	if h.Version == V4 {
		clear(b[offSum:offImageID])
	}
	return crc32.Update(crc32.ChecksumIEEE(b[:n]), crc32.IEEETable, chunk[offEnd:offSumOfHead])
}

// checkHeadSum holds the head against its sum, if it has one, and takes where
// the image ends from beside it.
func (h *Header) checkHeadSum(chunk []byte) error {
	if !h.headSumRoom() || string(chunk[offHeadSum:offEnd]) != headSumMagic {
		return nil
	}
	want := u32(chunk, offSumOfHead)
	if sum := h.headSum(chunk); sum != want {
		return faultf(offSumOfHead, "head is damaged: checksum %#08x, want %#08x", sum, want)
	}
	if h.End = uint64(u32(chunk, offEnd)); h.End != 0 && h.End < h.Last {
		return faultf(offEnd, "image ends at sector %d, before the chunk does, at %d", h.End, h.Last)
	}
	return nil
}

// putHeadSum adds the sum to a finished head.
func (h *Header) putHeadSum(chunk []byte) {
	if !h.headSumRoom() {
		return
	}
	copy(chunk[offHeadSum:], headSumMagic)
	binary.LittleEndian.PutUint32(chunk[offEnd:], uint32(h.End))
	binary.LittleEndian.PutUint32(chunk[offSumOfHead:], h.headSum(chunk))
}
