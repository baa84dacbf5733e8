package sig

import (
	"crypto/md5"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"hash"
)

// HashType is the function the blocks are hashed with.
type HashType uint32

// The hash types in use.
const (
	MD5  HashType = 1
	SHA1 HashType = 2
)

func (t HashType) String() string {
	switch t {
	case MD5:
		return "md5"
	case SHA1:
		return "sha1"
	}
	return fmt.Sprintf("type %d", uint32(t))
}

// New returns the hash function.
func (t HashType) New() hash.Hash {
	if t == MD5 {
		return md5.New()
	}
	return sha1.New()
}

// Sizes of the format.
const (
	HeaderBytes = 32
	RecordBytes = 32
	HashBytes   = 20 // MD5 leaves the last 4 zero
	// BlockSectorsDefault is the hash block of 64 KiB everybody uses.
	BlockSectorsDefault = 128
	// BlockSectorsMax is a hash block of 32 MiB.
	BlockSectorsMax = 65536
	// RecordsMax bounds a signature to a 2 TiB disk of default blocks.
	RecordsMax = 1 << 25
)

const (
	magic      = ".ndzsig\x00"
	version1   = 0x20031107
	version2   = 0x20140618
	offVersion = 8
	offType    = 12
	offCount   = 16
	offBlock   = 20
	spanBit    = 1 << 31
	sectorsMax = 1 << 32
)

// Record is one hashed piece of the image: a block, or what of it is
// allocated.
type Record struct {
	Start, Size uint64 // sectors, relative to the image base
	Chunk       int    // the piece begins in
	Spans       bool   // it ends in the next chunk
	Hash        [HashBytes]byte
}

// End is the first sector after the piece.
func (r Record) End() uint64 { return r.Start + r.Size }

// File is a signature.
type File struct {
	Type         HashType
	BlockSectors uint64
	Records      []Record
}

// Parse decodes a signature of version 1 or 2.
func Parse(b []byte) (*File, error) {
	if len(b) < HeaderBytes || string(b[:len(magic)]) != magic {
		return nil, fmt.Errorf("signature: no magic in %d bytes, not a signature", len(b))
	}
	le := binary.LittleEndian
	f := &File{Type: HashType(le.Uint32(b[offType:])), BlockSectors: BlockSectorsDefault}
	switch v := le.Uint32(b[offVersion:]); v {
	case version1:
	case version2:
		f.BlockSectors = uint64(le.Uint32(b[offBlock:]))
	default:
		return nil, fmt.Errorf("signature: unknown version %#x", v)
	}
	n := uint64(le.Uint32(b[offCount:]))
	switch {
	case f.Type != MD5 && f.Type != SHA1:
		return nil, fmt.Errorf("signature: unknown hash %s", f.Type)
	case f.BlockSectors == 0 || f.BlockSectors > BlockSectorsMax:
		return nil, fmt.Errorf("signature: hash blocks of %d sectors, want 1 to %d", f.BlockSectors, BlockSectorsMax)
	case n > RecordsMax || uint64(len(b)) != HeaderBytes+n*RecordBytes:
		return nil, fmt.Errorf("signature: %d records in %d bytes", n, len(b))
	}
	f.Records = make([]Record, n)
	end := uint64(0)
	for i := range f.Records {
		r := parseRecord(b[HeaderBytes+i*RecordBytes:])
		if r.Size == 0 || r.Start < end || r.End() > sectorsMax {
			return nil, fmt.Errorf("signature, offset %d: record %d of %d sectors at %d is empty or out of order",
				HeaderBytes+i*RecordBytes, i, r.Size, r.Start)
		}
		end = r.End()
		f.Records[i] = r
	}
	return f, nil
}

func parseRecord(b []byte) Record {
	le := binary.LittleEndian
	chunk := le.Uint32(b[8:])
	r := Record{
		Start: uint64(le.Uint32(b)), Size: uint64(le.Uint32(b[4:])),
		Chunk: int(chunk &^ spanBit), Spans: chunk&spanBit != 0,
	}
	copy(r.Hash[:], b[12:])
	return r
}

// AppendTo encodes f as version 2, which everything reads.
func (f *File) AppendTo(b []byte) []byte {
	le := binary.LittleEndian
	b = append(b, magic...)
	b = le.AppendUint32(b, version2)
	b = le.AppendUint32(b, uint32(f.Type))
	b = le.AppendUint32(b, uint32(len(f.Records)))
	b = le.AppendUint32(b, uint32(f.BlockSectors))
	b = append(b, make([]byte, 8)...)
	for _, r := range f.Records {
		chunk := uint32(r.Chunk)
		if r.Spans {
			chunk |= spanBit
		}
		b = le.AppendUint32(b, uint32(r.Start))
		b = le.AppendUint32(b, uint32(r.Size))
		b = le.AppendUint32(b, chunk)
		b = append(b, r.Hash[:]...)
	}
	return b
}

// BlockEnd is where the hash block that holds sector ends.
func (f *File) BlockEnd(sector uint64) uint64 {
	return sector - sector%f.BlockSectors + f.BlockSectors
}
