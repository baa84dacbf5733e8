// Package luks tells encrypted volumes (LUKS 1 and 2), of which everything is
// kept: what is free in them cannot be seen.
package luks

import (
	"errors"
	"io"

	"hyzer/imaging/freemap"
)

const magic = "LUKS\xba\xbe"

// Is tells whether r begins with the header of an encrypted volume.
func Is(r io.ReaderAt) bool {
	var b [len(magic)]byte
	return freemap.ReadFull(r, b[:], 0) == nil && string(b[:]) == magic
}

// Free keeps all of a volume of size bytes. It does not look whether there is
// one.
func Free(_ io.ReaderAt, size int64) (*freemap.Map, error) {
	return freemap.Whole("LUKS", size, errors.New("encrypted")), nil
}
