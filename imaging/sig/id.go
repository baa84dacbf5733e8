package sig

import (
	"crypto/sha256"
	"encoding/binary"

	"hyzer/imaging/ndz"
)

// ID names the state of the disk that f describes: SHA-256 over the hash type,
// the block size, and start, size and hash of every record, as they are in the
// file. Where chunks end is not in it (docs/ndz-extensions.md).
func (f *File) ID() ndz.StateID {
	le := binary.LittleEndian
	h := sha256.New()
	b := le.AppendUint32(nil, uint32(f.Type))
	h.Write(le.AppendUint32(b, uint32(f.BlockSectors)))
	for _, r := range f.Records {
		b = le.AppendUint32(b[:0], uint32(r.Start))
		b = le.AppendUint32(b, uint32(r.Size))
		h.Write(append(b, r.Hash[:]...))
	}
	return ndz.StateID(h.Sum(nil))
}
