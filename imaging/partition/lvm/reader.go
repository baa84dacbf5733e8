package lvm

import (
	"io"
	"sort"

	"hyzer/imaging/freemap"
)

// reader reads a logical volume out of its pieces.
type reader struct {
	r      io.ReaderAt
	pieces []freemap.Range
	starts []uint64 // sector of the volume at which each piece begins, and the end
}

func newReader(r io.ReaderAt, pieces []freemap.Range) *reader {
	l := &reader{r: r, pieces: pieces, starts: []uint64{0}}
	for _, p := range pieces {
		l.starts = append(l.starts, l.sectors()+p.Sectors())
	}
	return l
}

func (l *reader) sectors() uint64 { return l.starts[len(l.starts)-1] }

// piece is the number of the piece that has a sector of the volume.
func (l *reader) piece(sector uint64) int {
	return sort.Search(len(l.pieces), func(i int) bool { return l.starts[i+1] > sector })
}

// ReadAt implements io.ReaderAt.
func (l *reader) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		i := -1
		if off >= 0 {
			i = l.piece(uint64(off) / sectorBytes)
		}
		if i < 0 || i == len(l.pieces) {
			return n, io.EOF
		}
		within := off - int64(l.starts[i])*sectorBytes
		part := p[n:][:min(int64(len(p)-n), int64(l.pieces[i].Sectors())*sectorBytes-within)]
		k, err := l.r.ReadAt(part, int64(l.pieces[i].Start)*sectorBytes+within)
		n, off = n+k, off+int64(k)
		if k < len(part) {
			return n, err
		}
	}
	return n, nil
}

// onDisk turns ranges of the volume into such of the disk, in no order.
func (l *reader) onDisk(list []freemap.Range) []freemap.Range {
	var out []freemap.Range
	for _, r := range list {
		for i := l.piece(r.Start); i < len(l.pieces) && r.Start < r.End; i++ {
			end := min(r.End, l.starts[i+1])
			shift := l.pieces[i].Start - l.starts[i]
			out = append(out, freemap.Range{Start: r.Start + shift, End: end + shift})
			r.Start = end
		}
	}
	return out
}
