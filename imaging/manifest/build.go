package manifest

import (
	"crypto/sha256"
	"fmt"
	"io"
)

// Builder makes a manifest while an image is written. The zero value is ready.
// It is for one goroutine; sums can be made elsewhere and given to Add.
type Builder struct {
	sums [][sha256.Size]byte
	part []byte // of a chunk that is not whole yet
	size int64
}

// Write takes the next bytes of the image file. It does not fail.
func (b *Builder) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if len(b.part) == 0 && len(p) >= ChunkBytes {
			b.Add(sha256.Sum256(p[:ChunkBytes]))
			p = p[ChunkBytes:]
			continue
		}
		k := min(len(p), ChunkBytes-len(b.part))
		b.part, p = append(b.part, p[:k]...), p[k:]
		if len(b.part) == ChunkBytes {
			b.flush()
		}
	}
	return n, nil
}

// Add takes the sum of the next whole chunk.
func (b *Builder) Add(sum [sha256.Size]byte) {
	b.sums = append(b.sums, sum)
	b.size += ChunkBytes
}

func (b *Builder) flush() {
	b.sums = append(b.sums, sha256.Sum256(b.part))
	b.size += int64(len(b.part))
	b.part = b.part[:0]
}

// Manifest returns the manifest of all that was written.
func (b *Builder) Manifest(id Identity) (*Manifest, error) {
	if len(b.part) > 0 {
		b.flush()
	}
	m := &Manifest{Identity: id, FileBytes: b.size, Chunks: b.sums}
	if err := m.check(); err != nil {
		return nil, err
	}
	return m, nil
}

// Build makes the manifest of an image that exists.
func Build(r io.Reader, id Identity) (*Manifest, error) {
	var b Builder
	buf := make([]byte, ChunkBytes)
	for len(b.sums) <= ChunksMax {
		n, err := io.ReadFull(r, buf)
		b.Write(buf[:n])
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			return b.Manifest(id)
		default:
			return nil, fmt.Errorf("manifest: reading chunk %d: %w", len(b.sums), err)
		}
	}
	return nil, fmt.Errorf("manifest: image of more than %d chunks", ChunksMax)
}
