package sig

import (
	"fmt"
	"io"
	"slices"

	"hyzer/imaging/ndz"
)

// withoutRelocated returns f without the records of blocks that have
// relocations in the image in r, of size bytes.
func (f *File) withoutRelocated(r io.ReaderAt, size int64) (*File, error) {
	var relocated []uint64 // sectors, ascending
	head := make([]byte, ndz.HeaderAreaBytes)
	for i := range size / ndz.ChunkBytes {
		if n, err := r.ReadAt(head, i*ndz.ChunkBytes); n < len(head) {
			return nil, fmt.Errorf("chunk %d: %w", i, err)
		}
		h, err := ndz.ParseHeader(head)
		if err != nil {
			return nil, ndz.InChunk(err, int(i))
		}
		for _, x := range h.Relocs {
			relocated = append(relocated, x.Sector)
		}
	}
	slices.Sort(relocated)
	out, records := &File{Type: f.Type, BlockSectors: f.BlockSectors}, f.From(0)
	for records.Next() {
		b := records.Record()
		if at, _ := slices.BinarySearch(relocated, b.Start); at < len(relocated) && relocated[at] < b.End() {
			continue
		}
		if err := out.Append(b); err != nil {
			return nil, err
		}
	}
	return out, records.Err()
}
