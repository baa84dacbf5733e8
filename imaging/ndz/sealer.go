package ndz

import (
	"crypto/rand"
	"errors"
	"fmt"
)

// SealOptions say what a Sealer makes.
type SealOptions struct {
	Version  Version  // V4 for any of the others
	ImageID  *ImageID // nil: a random one
	Key      []byte   // encrypts; KeyBytes long, or nil
	Checksum bool     // SHA-1 of every chunk
	// Sign, if set, signs the checksums: a key from NewSigningKey. Old
	// loaders verify no others.
	Sign *SigningKey
}

// Sealer makes chunks out of headers and payloads, reusing its memory.
type Sealer struct {
	opts   SealOptions
	id     ImageID
	cipher *blowfish
	chunk  []byte
}

// NewSealer fails if the version cannot have what is asked for.
func NewSealer(opts SealOptions) (*Sealer, error) {
	if opts.Version < V1 || opts.Version > V4 {
		return nil, fmt.Errorf("cannot write image version %d", opts.Version)
	}
	if opts.Version < V4 && (opts.Sign != nil || opts.ImageID != nil || opts.Key != nil || opts.Checksum) {
		return nil, fmt.Errorf("%s images have no id, encryption or checksum; V4 has", opts.Version)
	}
	if opts.Sign != nil && opts.Sign.d == nil {
		return nil, errors.New("signing key has no private half")
	}
	s := &Sealer{opts: opts}
	if opts.Key != nil {
		c, err := newBlowfish(opts.Key)
		if err != nil {
			return nil, err
		}
		s.cipher = c
	}
	if opts.ImageID != nil {
		s.id = *opts.ImageID
	} else if opts.Version == V4 {
		rand.Read(s.id[:])
	}
	return s, nil
}

// Seal returns the chunk, ChunkBytes long, that h and payload make: compress,
// encrypt, header, checksum. The sealer fills in what its options say. The
// chunk is valid until the next call; payload may be changed.
func (s *Sealer) Seal(h Header, payload []byte) ([]byte, error) {
	h.Version = s.opts.Version
	if h.Version == V4 {
		h.ImageID = s.id
	}
	if s.cipher != nil {
		h.Cipher = CipherBlowfishCBC
		rand.Read(h.IV[:])
		payload = s.cipher.encryptPayload(&h, payload)
	}
	switch {
	case s.opts.Sign != nil:
		h.Checksum = ChecksumSignedSHA1
	case s.opts.Checksum:
		h.Checksum = ChecksumSHA1
	}
	h.PayloadBytes = len(payload)
	h.RegionAreaBytes = HeaderAreaBytes
	b, err := h.AppendTo(s.chunk[:0])
	if err != nil {
		return nil, err
	}
	b = append(b, payload...)
	used := len(b)
	if cap(b) < ChunkBytes {
		b = append(make([]byte, 0, ChunkBytes), b...)
	}
	b = b[:ChunkBytes]
	clear(b[used:])
	switch h.Checksum {
	case ChecksumSHA1:
		copy(b[offSum:], chunkDigest(b, &h))
	case ChecksumSignedSHA1:
		copy(b[offSum:], s.opts.Sign.sign(chunkDigest(b, &h)))
	}
	s.chunk = b
	return b, nil
}

// NewKey returns a random key for encrypted images.
func NewKey() []byte {
	key := make([]byte, KeyBytes)
	rand.Read(key)
	return key
}
