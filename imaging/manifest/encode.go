package manifest

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// The layout (docs/v5.md, "The manifest").
const (
	magic       = ".hymani\x00"
	layout      = 1
	flagDelta   = 1 << 0
	flagSigned  = 1 << 1
	flagsKnown  = flagDelta | flagSigned
	offLayout   = 8
	offFlags    = 10
	offVersion  = 12
	offFile     = 16
	offID       = 24
	offBase     = 40
	offState    = 72
	offChunk    = 104
	offCount    = 108
	headBytes   = 112
	signerBytes = 32
	signBytes   = 64
	tailBytes   = signerBytes + signBytes + sha256.Size
)

// Encode writes m down. It fails on a manifest that Decode would refuse.
func (m *Manifest) Encode() ([]byte, error) {
	b, err := m.signed()
	if err != nil {
		return nil, err
	}
	b = append(b, m.signature[:]...)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...), nil
}

// signed is the part of the manifest that the signature is over: all but
// itself and the sum after it.
func (m *Manifest) signed() ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	b := make([]byte, headBytes, headBytes+len(m.Chunks)*sha256.Size+tailBytes)
	copy(b, magic)
	le.PutUint16(b[offLayout:], layout)
	le.PutUint16(b[offFlags:], m.flags())
	le.PutUint32(b[offVersion:], m.Version)
	le.PutUint64(b[offFile:], uint64(m.FileBytes))
	copy(b[offID:], m.ImageID[:])
	copy(b[offBase:], m.Base[:])
	copy(b[offState:], m.State[:])
	le.PutUint32(b[offChunk:], ChunkBytes)
	le.PutUint32(b[offCount:], uint32(len(m.Chunks)))
	for i := range m.Chunks {
		b = append(b, m.Chunks[i][:]...)
	}
	return append(b, m.signer[:]...), nil
}

func (m *Manifest) flags() uint16 {
	var flags uint16
	if m.Delta() {
		flags |= flagDelta
	}
	if m.Signed() {
		flags |= flagSigned
	}
	return flags
}

// Decode reads a manifest. Its memory is bounded by the length of b, which is
// refused beyond BytesMax. The signature is not verified; see Verify.
func Decode(b []byte) (*Manifest, error) {
	if len(b) < headBytes+tailBytes || len(b) > BytesMax || string(b[:len(magic)]) != magic {
		return nil, fmt.Errorf("manifest: %d bytes without its magic or of no possible length, not a manifest", len(b))
	}
	end, le := len(b)-sha256.Size, binary.LittleEndian
	if sum := sha256.Sum256(b[:end]); string(sum[:]) != string(b[end:]) {
		return nil, fmt.Errorf("manifest: damaged, its sum is %x, not %x; fetch it again", sum, b[end:])
	}
	flags := le.Uint16(b[offFlags:])
	if l := le.Uint16(b[offLayout:]); l != layout || flags&^flagsKnown != 0 {
		return nil, fmt.Errorf("manifest: layout %d with flags %#x is newer than this program; update it", l, flags)
	}
	if n := le.Uint32(b[offChunk:]); n != ChunkBytes {
		return nil, fmt.Errorf("manifest: offset %d: chunks of %d bytes, want %d", offChunk, n, ChunkBytes)
	}
	count, size := le.Uint32(b[offCount:]), le.Uint64(b[offFile:])
	if uint64(len(b)) != headBytes+uint64(count)*sha256.Size+tailBytes || size > ChunksMax*ChunkBytes {
		return nil, fmt.Errorf("manifest: offset %d: %d chunks of a file of %d bytes in a manifest of %d", offCount, count, size, len(b))
	}
	m := &Manifest{FileBytes: int64(size), Chunks: make([][sha256.Size]byte, count)}
	m.Version = le.Uint32(b[offVersion:])
	copy(m.ImageID[:], b[offID:])
	copy(m.Base[:], b[offBase:])
	copy(m.State[:], b[offState:])
	for i := range m.Chunks {
		copy(m.Chunks[i][:], b[headBytes+i*sha256.Size:])
	}
	copy(m.signer[:], b[end-signBytes-signerBytes:])
	copy(m.signature[:], b[end-signBytes:])
	if m.flags() != flags {
		return nil, fmt.Errorf("manifest: offset %d: flags %#x do not go with its base and signer", offFlags, flags)
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	return m, nil
}
