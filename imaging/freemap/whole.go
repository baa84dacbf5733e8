package freemap

import (
	"fmt"
	"io"
)

// Whole is the map of a file system of size bytes of which everything is kept,
// because of why.
func Whole(kind string, size int64, why error) *Map {
	return &Map{
		Type:     kind,
		Sectors:  uint64(max(size, 0)) / SectorBytes,
		Warnings: []string{fmt.Sprintf("%s: %v; all of it is kept", kind, why)},
	}
}

// ReadFull fills p from byte off of r.
func ReadFull(r io.ReaderAt, p []byte, off int64) error {
	if n, err := r.ReadAt(p, off); n < len(p) {
		return fmt.Errorf("%d bytes at byte %d: %w", len(p), off, err)
	}
	return nil
}
