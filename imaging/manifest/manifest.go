package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Sizes of the format.
const (
	// ChunkBytes is the part of the file that one sum is of. The last may be
	// shorter.
	ChunkBytes = 1 << 20
	// ChunksMax bounds an image to 1 TiB, and its manifest to 32 MiB.
	ChunksMax = 1 << 20
	// BytesMax is the longest manifest: how much of one to read at most.
	BytesMax = headBytes + ChunksMax*sha256.Size + tailBytes
	// Suffix is added to the name of an image for that of its manifest.
	Suffix = ".manifest"
)

// ImageID is the name of an image, the same for all its versions.
type ImageID [16]byte

func (id ImageID) String() string { return hex.EncodeToString(id[:]) }

// IsZero tells whether the image has no name.
func (id ImageID) IsZero() bool { return id == ImageID{} }

// StateID names the content of a disk, as the marks of images do
// (docs/ndz-extensions.md).
type StateID [32]byte

func (id StateID) String() string { return hex.EncodeToString(id[:]) }

// IsZero tells whether the state is unknown.
func (id StateID) IsZero() bool { return id == StateID{} }

// Identity says which image a manifest is of.
type Identity struct {
	ImageID ImageID // zero if the image has none, as V1 to V3 do
	Version uint32  // of the image, counted by whoever publishes it; 0 if not counted
	Base    StateID // that a delta goes on top of; zero in a full image
	State   StateID // of a disk after the restore; zero if unknown
}

// Delta tells whether the image goes on top of another.
func (id Identity) Delta() bool { return !id.Base.IsZero() }

// Manifest is the decoded manifest of one image file.
type Manifest struct {
	Identity
	FileBytes int64               // length of the image file
	Chunks    [][sha256.Size]byte // SHA-256 of each chunk, as stored

	signer    [32]byte // public key, or zero
	signature [64]byte
}

// ChunkError is a chunk that is not the one the manifest names.
type ChunkError struct {
	Chunk  int
	Reason string
}

func (e *ChunkError) Error() string {
	return fmt.Sprintf("chunk %d: %s; fetch it again", e.Chunk, e.Reason)
}

// chunkBytes is the length of chunk n, which must exist.
func (m *Manifest) chunkBytes(n int) int {
	return int(min(ChunkBytes, m.FileBytes-int64(n)*ChunkBytes))
}

// CheckChunk holds the bytes of chunk n, as stored in the image file, against
// its sum. The error is a *ChunkError. It may be called from several
// goroutines.
func (m *Manifest) CheckChunk(n int, data []byte) error {
	if n < 0 || n >= len(m.Chunks) {
		return &ChunkError{n, fmt.Sprintf("the image has %d chunks", len(m.Chunks))}
	}
	if want := m.chunkBytes(n); len(data) != want {
		return &ChunkError{n, fmt.Sprintf("%d bytes, want %d", len(data), want)}
	}
	if sum := sha256.Sum256(data); sum != m.Chunks[n] {
		return &ChunkError{n, fmt.Sprintf("SHA-256 is %x, the manifest says %x", sum, m.Chunks[n])}
	}
	return nil
}

// CheckSize fails if a file of size bytes cannot be the image.
func (m *Manifest) CheckSize(size int64) error {
	if size != m.FileBytes {
		return fmt.Errorf("image of %d bytes, the manifest is of one of %d", size, m.FileBytes)
	}
	return nil
}

// check holds the fields against each other.
func (m *Manifest) check() error {
	n := len(m.Chunks)
	if n == 0 || n > ChunksMax {
		return fmt.Errorf("manifest: %d chunks, want 1 to %d", n, ChunksMax)
	}
	if m.FileBytes <= int64(n-1)*ChunkBytes || m.FileBytes > int64(n)*ChunkBytes {
		return fmt.Errorf("manifest: %d chunks do not make a file of %d bytes", n, m.FileBytes)
	}
	return nil
}
