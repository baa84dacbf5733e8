package sig

import "hyzer/imaging/ndz"

// ID names the state of the disk that f describes: SHA-256 over the hash type,
// the block size, and start, size and hash of every record, as they are in the
// file. Where chunks end is not in it (docs/ndz-extensions.md).
func (f *File) ID() ndz.StateID {
	l := f.list
	if l == nil {
		l = newList(f)
	}
	return ndz.StateID(l.id.Sum(nil))
}
