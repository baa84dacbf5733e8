package sig

import "hyzer/imaging/freemap"

// Blocks are the records of a disk, without hashes, cut as imagezip -U cuts it: at
// the ends of hash blocks, and where data ends.
type Blocks struct {
	f    *File
	data []freemap.Range
	at   uint64 // in the first of data
}

// Blocks cuts data, which ascends, for f.
func (f *File) Blocks(data []freemap.Range) *Blocks { return &Blocks{f: f, data: data} }

// Next returns the next record, and false after the last.
func (b *Blocks) Next() (Record, bool) {
	for len(b.data) > 0 {
		start := max(b.at, b.data[0].Start)
		if b.at = min(b.data[0].End, b.f.BlockEnd(start)); b.at > start {
			return Record{Start: start, Size: b.at - start}, true
		}
		b.data = b.data[1:]
	}
	return Record{}, false
}
