package ndz

import (
	"encoding/hex"
	"fmt"
)

// Sizes of the format (spec ndz, section 1).
const (
	// SectorBytes is the unit of every region, whatever the disk's own sector.
	SectorBytes = 512
	// ChunkBytes is the size of every chunk on disk, padding included.
	ChunkBytes = 1 << 20
	// HeaderAreaBytes precede the compressed stream of a chunk.
	HeaderAreaBytes = 4096
	// PayloadBytesMax is the most compressed data one chunk can hold.
	PayloadBytesMax = ChunkBytes - HeaderAreaBytes
	// SectorsMax is the first sector number V1..V4 cannot express (2 TiB).
	SectorsMax = 1 << 32
)

// inflateRatioMax bounds what DEFLATE can expand to: one bit per symbol of at
// most 258 bytes. Regions that claim more than that are lying.
const inflateRatioMax = 1032

// Version is the generation of the chunk header, 1 to 5.
type Version int

// The versions in use. V3 is what old loaders are given by default; V4 adds
// checksum, encryption and the image id. V5 is ours (imaging/v5); this package
// reads it as it does the others, and imaging/zip writes it.
const (
	V1 Version = 1 + iota
	V2
	V3
	V4
	V5
)

const (
	magicV1 = 0x69696969
	// RegionBytes is the size of a region in the table.
	RegionBytes   = 8
	relocBytes    = 16
	headerBytesV1 = 24
	headerBytesV2 = 36
	headerBytesV4 = 344
)

func (v Version) magic() uint32 { return magicV1 + uint32(v-V1) }

// headerBytes is where the region table begins.
func (v Version) headerBytes() int {
	switch v {
	case V1:
		return headerBytesV1
	case V4:
		return headerBytesV4
	default:
		return headerBytesV2
	}
}

func (v Version) String() string { return fmt.Sprintf("V%d", int(v)) }

// ImageID names the image a V4 chunk belongs to.
type ImageID [16]byte

func (id ImageID) String() string { return hex.EncodeToString(id[:]) }

// ParseImageID reads the 32 hex digits that imagezip -u takes.
func ParseImageID(s string) (ImageID, error) {
	var id ImageID
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("image id %q: want %d hex digits", s, 2*len(id))
	}
	copy(id[:], b)
	return id, nil
}

// Cipher says how a V4 payload is encrypted.
type Cipher uint16

// The ciphers of enc_cipher.
const (
	CipherNone        Cipher = 0
	CipherBlowfishCBC Cipher = 1
)

// ChecksumType says what the checksum field of a V4 chunk holds.
type ChecksumType uint16

// The values of csum_type: a SHA-1 digest as it is, or RSA-signed.
const (
	ChecksumNone       ChecksumType = 0
	ChecksumSHA1       ChecksumType = 1
	ChecksumSignedSHA1 ChecksumType = 0x8001
)

// Region is a run of sectors whose data is in the chunk, relative to the base
// of the image (the disk, or the partition of a slice image).
type Region struct {
	Start, Size uint64 // sectors
}

// End is the first sector after the region.
func (r Region) End() uint64 { return r.Start + r.Size }

// FormatError is a chunk that breaks the format.
type FormatError struct {
	Chunk  int    // index in the image, or -1 if the caller did not say
	Offset int    // byte in the chunk where the fault was found
	Reason string // what is wrong there
	Err    error  // cause, or nil
}

func (e *FormatError) Error() string {
	where := "chunk"
	if e.Chunk >= 0 {
		where = fmt.Sprintf("chunk %d", e.Chunk)
	}
	s := fmt.Sprintf("%s, offset %d: %s", where, e.Offset, e.Reason)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *FormatError) Unwrap() error { return e.Err }

func faultf(offset int, format string, args ...any) *FormatError {
	return &FormatError{Chunk: -1, Offset: offset, Reason: fmt.Sprintf(format, args...)}
}

// InChunk returns err with the index of the chunk in it, if it is a
// FormatError that does not have one yet.
func InChunk(err error, index int) error {
	if f, ok := err.(*FormatError); ok && f.Chunk < 0 {
		g := *f
		g.Chunk = index
		return &g
	}
	return err
}
