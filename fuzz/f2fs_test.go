package fuzz

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"testing"

	"hyzer/imaging/freemap/f2fs"
)

const (
	f2fsBlock = 4096
	f2fsBytes = 64 << 20
	f2fsMagic = 0xf2f52010
)

// f2fsDisk is a file system of which the fuzzer makes four blocks, in places
// that a sound superblock names: superblock, checkpoint, summary and table.
type f2fsDisk map[int64][]byte

func (d f2fsDisk) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= f2fsBytes {
		return 0, io.EOF
	}
	for n := 0; n < len(p); {
		at := off + int64(n)
		q := p[n:min(len(p), n+f2fsBlock-int(at%f2fsBlock))]
		clear(q)
		if b := d[at/f2fsBlock]; b != nil {
			copy(q, b[at%f2fsBlock:])
		}
		if n += len(q); off+int64(n) > f2fsBytes {
			return int(f2fsBytes - off), io.EOF
		}
	}
	return len(p), nil
}

func f2fsSum(b []byte) uint32 { return ^crc32.Update(^uint32(f2fsMagic), crc32.IEEETable, b) }

// f2fsMake puts the blocks in their places and makes checksums right.
func f2fsMake(b []byte) f2fsDisk {
	le := binary.LittleEndian
	b = append(b, make([]byte, max(0, 4*f2fsBlock-len(b)))...)
	super, cp, summary, sit := b[:f2fsBlock], b[f2fsBlock:2*f2fsBlock], b[2*f2fsBlock:3*f2fsBlock], b[3*f2fsBlock:4*f2fsBlock]
	if le.Uint32(cp[164:]) == 4092 {
		le.PutUint32(cp[4092:], f2fsSum(cp[:4092]))
	}
	at := int64(le.Uint32(super[1024+76:]))
	pack, start := int64(le.Uint32(cp[136:])), int64(le.Uint32(cp[140:]))
	return f2fsDisk{0: super, at: cp, at + pack - 1: cp, at + start: summary, at + pack - 5: summary, int64(le.Uint32(super[1024+80:])): sit}
}

// f2fsSeed is a file system of 20 segments, one of them in use, another in the
// journal.
func f2fsSeed(compact bool) []byte {
	le := binary.LittleEndian
	b := make([]byte, 4*f2fsBlock)
	super := b[1024:]
	at := uint32(512)
	for field, v := range map[int]uint32{0: f2fsMagic, 16: 12, 20: 9, 36: 16384, 72: at, 48: 27, 52: 2, 56: 2, 60: 2, 64: 1, 68: 20} {
		le.PutUint32(super[field:], v)
	}
	for i, n := range []uint32{2, 2, 2, 1, 20} {
		le.PutUint32(super[76+4*i:], at)
		at += n * 512
	}
	cp := b[f2fsBlock:]
	flags, journal := uint32(1), b[2*f2fsBlock+3584:]
	if compact {
		flags, journal = 5, b[2*f2fsBlock+507:]
	}
	for field, v := range map[int]uint32{0: 7, 16: 9, 132: flags, 136: 9, 140: 1, 156: 64, 160: 64, 164: 4092} {
		le.PutUint32(cp[field:], v)
	}
	put := func(entry []byte) {
		le.PutUint16(entry, 3)
		copy(entry[2:], []byte{0xe0})
	}
	le.PutUint16(journal, 1)
	le.PutUint32(journal[2:], 4)
	put(journal[6:])
	put(b[3*f2fsBlock+74*5:])
	return b
}

// FuzzF2FS reads file systems whatever they claim: free space must be in order
// and inside. The seeds have free space.
func FuzzF2FS(f *testing.F) {
	for _, compact := range []bool{false, true} {
		seed := f2fsSeed(compact)
		if m, err := f2fs.Free(f2fsMake(seed), f2fsBytes); err != nil || len(m.Free) != 3 {
			f.Fatalf("seed: %+v, %v", m, err)
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := f2fs.Free(f2fsMake(b), f2fsBytes)
		if err != nil {
			t.Fatal(err)
		}
		checkFree(t, m, f2fsBytes/512)
	})
}
