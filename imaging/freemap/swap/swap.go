// Package swap finds the free space of Linux swap areas: all but the head,
// where label, UUID and a boot block may be (spec freemaps, section 6).
package swap

import (
	"io"

	"hyzer/imaging/freemap"
)

const (
	// keptBytes at the start are part of an image, or the page that has the
	// signature at its end.
	keptBytes      = 32 << 10
	magicBytes     = 10
	pageBytesMin   = 4096
	pageBytesMax   = 65536
	magic          = "SWAPSPACE2"
	magicOld       = "SWAP-SPACE"
	magicSuspended = "S1SUSPEND\x00"
)

// Is tells whether r begins with a swap area of any page size.
func Is(r io.ReaderAt) bool {
	found, _ := find(r)
	return found == magic || found == magicOld
}

// Suspended tells whether a sleeping system is in the swap area.
func Suspended(r io.ReaderAt) bool {
	found, _ := find(r)
	return found == magicSuspended
}

// find returns the signature, and the size of the page that it ends.
func find(r io.ReaderAt) (string, int64) {
	var b [magicBytes]byte
	for page := int64(pageBytesMin); page <= pageBytesMax; page *= 2 {
		if n, _ := r.ReadAt(b[:], page-magicBytes); n < len(b) {
			return "", 0
		}
		switch s := string(b[:]); s {
		case magic, magicOld, magicSuspended:
			return s, page
		}
	}
	return "", 0
}

// Free returns the free space of a swap area of size bytes. It does not look
// whether there is one.
func Free(r io.ReaderAt, size int64) (*freemap.Map, error) {
	sectors := uint64(size) / freemap.SectorBytes
	m := &freemap.Map{Type: "swap", Sectors: sectors}
	_, page := find(r)
	kept := uint64(max(keptBytes, page) / freemap.SectorBytes)
	m.Free = freemap.Append(m.Free, kept, max(sectors, kept))
	return m, nil
}
