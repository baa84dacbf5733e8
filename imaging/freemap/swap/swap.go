// Package swap finds the free space of Linux swap areas: all but the head,
// where label, UUID and a boot block may be (spec freemaps, section 6).
package swap

import (
	"io"

	"hyzer/imaging/freemap"
)

const (
	// keptSectors at the start are part of an image.
	keptSectors    = 64
	magicBytes     = 10
	pageBytesMin   = 4096
	pageBytesMax   = 65536
	magic          = "SWAPSPACE2"
	magicOld       = "SWAP-SPACE"
	magicSuspended = "S1SUSPEND\x00"
)

// Is tells whether r begins with a swap area of any page size.
func Is(r io.ReaderAt) bool { return find(r) == magic || find(r) == magicOld }

// Suspended tells whether a sleeping system is in the swap area.
func Suspended(r io.ReaderAt) bool { return find(r) == magicSuspended }

func find(r io.ReaderAt) string {
	var b [magicBytes]byte
	for page := int64(pageBytesMin); page <= pageBytesMax; page *= 2 {
		if n, _ := r.ReadAt(b[:], page-magicBytes); n < len(b) {
			return ""
		}
		switch s := string(b[:]); s {
		case magic, magicOld, magicSuspended:
			return s
		}
	}
	return ""
}

// Free returns the free space of a swap area of size bytes. It does not look
// whether there is one.
func Free(_ io.ReaderAt, size int64) (*freemap.Map, error) {
	sectors := uint64(size) / freemap.SectorBytes
	m := &freemap.Map{Type: "swap", Sectors: sectors}
	m.Free = freemap.Append(m.Free, keptSectors, max(sectors, keptSectors))
	return m, nil
}
