package v5

import (
	"encoding/binary"
	"fmt"
)

// Sizes of the format.
const (
	// ChunkBytes is the size of every chunk in the file, padding included.
	ChunkBytes = 1 << 20
	// HeadBytes is the head of a chunk; the payload begins after it.
	HeadBytes = 4096
	// PayloadBytesMax is the most compressed data one chunk can hold.
	PayloadBytesMax = ChunkBytes - HeadBytes
	// TableBytesMax is the room for records and relocations.
	TableBytesMax = offEnd - offTable
	// StreamBytesMax bounds what a payload decompresses to, which is what a
	// reader holds in memory.
	StreamBytesMax = 16 << 20
	// RestoredBytesMax bounds what one chunk writes, with its zeros and
	// repeats.
	RestoredBytesMax = 1 << 30
	// SectorBytesMin and SectorBytesMax bound the sector, a power of two.
	SectorBytesMin = 1 << sectorShiftMin
	SectorBytesMax = 1 << sectorShiftMax
	// RelocBytes is the size of a relocation in the table.
	RelocBytes = 16
)

const (
	magic          = 0x6969696d // V1 to V4 have ..69 to ..6c there
	sectorShiftMin = 9
	sectorShiftMax = 16
	sumBytes       = 32
	flagDelta      = 1 << 0
	flagEnd        = 1 << 1 // without it offEnd is room for tables
	flagsKnown     = flagDelta | flagEnd
	bytesMax       = 1 << 62 // that sector numbers may come to
)

// Offsets in the head.
const (
	offMagic      = 0
	offFlags      = 4
	offCodec      = 6
	offShift      = 7
	offSum        = 8
	offHeadSum    = 40
	offIndex      = 44
	offPayload    = 48
	offStream     = 52
	offFirst      = 56
	offLast       = 64
	offImageID    = 72
	offVersion    = 88
	offTableBytes = 92
	offRelocCount = 94
	offBase       = 96
	offState      = 128
	offTable      = 160
	offEnd        = HeadBytes - 8
)

// Codec is what a payload is compressed with.
type Codec uint8

// The codecs. None is the stream as it is.
const (
	None Codec = 0
	Zstd Codec = 1 // one or more frames (RFC 8878), without dictionary
	Zlib Codec = 2 // one stream (RFC 1950)
)

func (c Codec) String() string {
	names := [...]string{"none", "zstd", "zlib"}
	if int(c) < len(names) {
		return names[c]
	}
	return fmt.Sprintf("codec %d", uint8(c))
}

// ParseCodec is the reverse of String.
func ParseCodec(name string) (Codec, error) {
	for c := None; c <= Zlib; c++ {
		if c.String() == name {
			return c, nil
		}
	}
	return 0, fmt.Errorf("unknown codec %q, want none, zstd or zlib", name)
}

// Kind is what a run of sectors holds.
type Kind uint8

// The kinds of records.
const (
	Free   Kind = 0 // nothing: not in use
	Data   Kind = 1 // the next of the stream
	Zeros  Kind = 2 // zeros, in use
	Repeat Kind = 3 // the same as an earlier part of the stream
)

func (k Kind) String() string { return [...]string{"free", "data", "zeros", "repeat"}[k&3] }

// Record is a run of sectors. The records of a chunk follow each other without
// gaps from Header.First to Header.Last.
type Record struct {
	Kind    Kind
	Sectors uint64
	Source  uint64 // of a Repeat: where in the stream, in sectors
}

// Reloc is data that depends on where the image is restored to, as in older
// versions (spec ndz, 1.5). Its sectors have 512 bytes in every image.
type Reloc struct {
	Type         uint32
	Sector       uint64 // of 512 bytes, from the image's base
	Offset, Size uint16 // bytes
}

// Header is the decoded head of one chunk.
type Header struct {
	Codec        Codec
	SectorBytes  int
	Index        int // the number of the chunk
	PayloadBytes int // compressed
	StreamBytes  int // decompressed
	First, Last  uint64
	End          uint64 // up to which all chunks of the image cover the disk; 0: not known
	ImageID      [16]byte
	ImageVersion uint32
	Delta        bool
	Base         [32]byte // state that a delta goes on top of (docs/ndz-extensions.md)
	State        [32]byte // state of the disk after the restore; zero if unknown
	Records      []Record
	Relocs       []Reloc
}

// Fault is a chunk that breaks the format.
type Fault struct {
	Offset int    // byte in the chunk where it was found
	Reason string // what is wrong there
	Err    error  // cause, or nil
}

func (f *Fault) Error() string {
	s := fmt.Sprintf("offset %d: %s", f.Offset, f.Reason)
	if f.Err != nil {
		s += ": " + f.Err.Error()
	}
	return s
}

func (f *Fault) Unwrap() error { return f.Err }

func faultf(offset int, format string, args ...any) *Fault {
	return &Fault{Offset: offset, Reason: fmt.Sprintf(format, args...)}
}

// Is tells whether a chunk has the magic of V5.
func Is(chunk []byte) bool {
	return len(chunk) >= 4 && binary.LittleEndian.Uint32(chunk) == magic
}
