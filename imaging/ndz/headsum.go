package ndz

import (
	"encoding/binary"
	"hash/crc32"
)

// The sum of a head (docs/ndz-extensions.md) lies before the mark. Without it a
// flipped bit in a region restores sound data to the wrong place, and the
// payload's own checksum says nothing of that.
const (
	headSumBytes = 12
	offHeadSum   = offMark - headSumBytes
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
	return crc32.ChecksumIEEE(b[:n])
}

// checkHeadSum holds the head against its sum, if it has one.
func (h *Header) checkHeadSum(chunk []byte) error {
	b := chunk[offHeadSum:]
	if !h.headSumRoom() || string(b[:len(headSumMagic)]) != headSumMagic {
		return nil
	}
	want := binary.LittleEndian.Uint32(b[len(headSumMagic):])
	if sum := h.headSum(chunk); sum != want {
		return faultf(offHeadSum, "head is damaged: checksum %#08x, want %#08x", sum, want)
	}
	return nil
}

// putHeadSum adds the sum to a finished head.
func (h *Header) putHeadSum(chunk []byte) {
	if !h.headSumRoom() {
		return
	}
	copy(chunk[offHeadSum:], headSumMagic)
	binary.LittleEndian.PutUint32(chunk[offHeadSum+len(headSumMagic):], h.headSum(chunk))
}
