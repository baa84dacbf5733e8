package sig

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"hash"
	"io"

	"hyzer/imaging/internal/sha1pair"
	"hyzer/imaging/ndz"
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

// Fill gives records the hashes of data, which is theirs, one after the other.
func (t HashType) Fill(records []Record, data []byte) {
	h := t.New()
	for i := 0; i < len(records); i++ {
		r, n := &records[i], int(records[i].Size)*ndz.SectorBytes
		if t == SHA1 && i+1 < len(records) && records[i+1].Size == r.Size {
			r.Hash, records[i+1].Hash = sha1pair.Sum(data[:n], data[n:2*n])
			i, data = i+1, data[2*n:]
			continue
		}
		h.Reset()
		h.Write(data[:n])
		h.Sum(r.Hash[:0])
		data = data[n:]
	}
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
	offHash    = 12 // of a record, after its place and chunk
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

// partial tells whether the record is of the end of a regular file that is no
// whole sector, see Regular.
func (r Record) partial() bool { return r.Size == 0 && r.Chunk > 0 && r.Chunk < ndz.SectorBytes }

// File is a signature: how its records were hashed, and the records, ascending.
// Of many records all but the last ones added are in a file, so that those of a
// disk of any size can be gone through in little memory. Copies of a File share
// their records. Several goroutines may read a File to which nobody adds.
type File struct {
	Type         HashType
	BlockSectors uint64

	list *list // nil: none
}

// Parse decodes a signature of version 1 or 2.
func Parse(b []byte) (*File, error) { return parse(bytes.NewReader(b), int64(len(b))) }

// parse reads a signature of size bytes. The File goes on reading src if it is
// long.
func parse(src io.ReaderAt, size int64) (*File, error) {
	var head [HeaderBytes]byte
	if n, err := src.ReadAt(head[:], 0); n < len(head) || string(head[:len(magic)]) != magic {
		if err != nil && err != io.EOF {
			return nil, err
		}
		return nil, fmt.Errorf("signature: no magic in %d bytes, not a signature", size)
	}
	le := binary.LittleEndian
	f := &File{Type: HashType(le.Uint32(head[offType:])), BlockSectors: BlockSectorsDefault}
	switch v := le.Uint32(head[offVersion:]); v {
	case version1:
	case version2:
		f.BlockSectors = uint64(le.Uint32(head[offBlock:]))
	default:
		return nil, fmt.Errorf("signature: unknown version %#x", v)
	}
	n := int64(le.Uint32(head[offCount:]))
	switch {
	case f.Type != MD5 && f.Type != SHA1:
		return nil, fmt.Errorf("signature: unknown hash %s", f.Type)
	case f.BlockSectors == 0 || f.BlockSectors > BlockSectorsMax:
		return nil, fmt.Errorf("signature: hash blocks of %d sectors, want 1 to %d", f.BlockSectors, BlockSectorsMax)
	case n > RecordsMax || size != HeaderBytes+n*RecordBytes:
		return nil, fmt.Errorf("signature: %d records in %d bytes", n, size)
	}
	return f, f.load(src, int(n))
}

// load takes n records that follow the header in src, and checks them.
func (f *File) load(src io.ReaderAt, n int) error {
	stored := &list{file: src, base: HeaderBytes, filed: n}
	f.list = newList(f)
	if n*RecordBytes > heldBytesMax {
		f.list.file, f.list.base, f.list.filed = src, HeaderBytes, n
	}
	end := uint64(0)
	c := &Cursor{list: stored}
	for i := 0; c.Next(); i++ {
		r := c.Record()
		if r.Size == 0 && !(i == n-1 && r.partial()) || r.Start < end || r.End() > sectorsMax {
			return fmt.Errorf("signature, offset %d: record %d of %d sectors at %d is empty or out of order",
				HeaderBytes+i*RecordBytes, i, r.Size, r.Start)
		}
		end = r.End()
		f.list.identify(c.raw())
		if f.list.file == nil {
			f.list.held = append(f.list.held, c.raw()...)
		}
	}
	return c.Err()
}

func parseRecord(b []byte) Record {
	le := binary.LittleEndian
	chunk := le.Uint32(b[8:])
	r := Record{
		Start: uint64(le.Uint32(b)), Size: uint64(le.Uint32(b[4:])),
		Chunk: int(chunk &^ spanBit), Spans: chunk&spanBit != 0,
	}
	copy(r.Hash[:], b[offHash:])
	return r
}

func (r Record) appendTo(b []byte) []byte {
	le := binary.LittleEndian
	chunk := uint32(r.Chunk)
	if r.Spans {
		chunk |= spanBit
	}
	b = le.AppendUint32(b, uint32(r.Start))
	b = le.AppendUint32(b, uint32(r.Size))
	b = le.AppendUint32(b, chunk)
	return append(b, r.Hash[:]...)
}

// WriteTo encodes f as version 2, which everything reads.
func (f *File) WriteTo(w io.Writer) (int64, error) {
	le := binary.LittleEndian
	b := append(make([]byte, 0, HeaderBytes), magic...)
	b = le.AppendUint32(b, version2)
	b = le.AppendUint32(b, uint32(f.Type))
	b = le.AppendUint32(b, uint32(f.Len()))
	b = le.AppendUint32(b, uint32(f.BlockSectors))
	n, err := w.Write(b[:HeaderBytes])
	if err != nil || f.list == nil {
		return int64(n), err
	}
	m, err := f.list.writeTo(w)
	return int64(n) + m, err
}

// BlockEnd is where the hash block that holds sector ends.
func (f *File) BlockEnd(sector uint64) uint64 {
	return sector - sector%f.BlockSectors + f.BlockSectors
}
