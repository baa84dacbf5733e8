package fuzz

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"testing"

	"hyzer/imaging/freemap"
	"hyzer/imaging/freemap/btrfs"
	"hyzer/imaging/freemap/exfat"
	"hyzer/imaging/freemap/luks"
	"hyzer/imaging/freemap/xfs"
	"hyzer/imaging/partition/lvm"
)

const (
	freemap2Bytes = 16 << 20
	castagnoli    = crc32.Castagnoli
)

// someFree is what is found in logical volumes: something free, so that it must
// be put in the right place.
func someFree(_ io.ReaderAt, size int64) (*freemap.Map, error) {
	return &freemap.Map{Free: freemap.Append(nil, 1, uint64(size)/freemap.SectorBytes)}, nil
}

func lvmFree(r io.ReaderAt, size int64) (*freemap.Map, error) { return lvm.Free(r, size, someFree) }

// repair makes the checksums of a head of the readers' kinds right, so that
// what is behind them is read.
func repair(head []byte) []byte {
	le := binary.LittleEndian
	head = append(head, make([]byte, max(0, 128<<10-len(head)))...)
	switch {
	case string(head[:4]) == "XFSB":
		for _, x := range []struct{ at, size, sum int }{{0, 512, 224}, {512, 512, 216}, {4096, 4096, 52}} {
			b := head[x.at:][:x.size]
			le.PutUint32(b[x.sum:], 0)
			le.PutUint32(b[x.sum:], crc32.Checksum(b, crc32.MakeTable(castagnoli)))
		}
	case string(head[3:11]) == "EXFAT   ":
		sum := uint32(0)
		for i, b := range head[:11*512] {
			if i != 106 && i != 107 && i != 112 {
				sum = (sum<<31 | sum>>1) + uint32(b)
			}
		}
		le.PutUint32(head[11*512:], sum)
	case string(head[64<<10+64:][:8]) == "_BHRfS_M":
		for _, at := range []int{64 << 10, 72 << 10, 80 << 10, 88 << 10} {
			b := head[at:][:4096]
			le.PutUint32(b, crc32.Checksum(b[32:], crc32.MakeTable(castagnoli)))
		}
	}
	return head
}

// xfsSeed is a file system of one group with a clean log, whose tree has one
// leaf in block 1.
func xfsSeed(version uint16) []byte {
	be := binary.BigEndian
	b := make([]byte, 128<<10)
	copy(b, "XFSB")
	be.PutUint32(b[4:], 4096)
	be.PutUint64(b[8:], 4096)
	be.PutUint64(b[48:], 8)
	be.PutUint32(b[84:], 4096)
	be.PutUint32(b[88:], 1)
	be.PutUint32(b[96:], 8)
	be.PutUint16(b[100:], version)
	be.PutUint16(b[102:], 512)
	b[124] = 12
	agf := b[512:]
	copy(agf, "XAGF")
	be.PutUint32(agf[12:], 4096)
	be.PutUint32(agf[16:], 1)
	be.PutUint32(agf[28:], 1)
	be.PutUint32(agf[52:], 4000)
	leaf, records := b[4096:], 16
	copy(leaf, "ABTB")
	if version == 5 {
		copy(leaf, "AB3B")
		records = 56
		be.PutUint64(leaf[16:], 8)
	}
	be.PutUint16(leaf[6:], 1)
	be.PutUint32(leaf[8:], 0xffffffff)
	be.PutUint32(leaf[12:], 0xffffffff)
	be.PutUint32(leaf[records:], 50)
	be.PutUint32(leaf[records+4:], 4000)
	log := b[8*4096:]
	be.PutUint32(log, 0xfeedbabe)
	be.PutUint32(log[4:], 1)
	be.PutUint32(log[8:], 2)
	be.PutUint32(log[12:], 512)
	be.PutUint32(log[40:], 1)
	be.PutUint32(log[512:], 1)
	log[512+9] = 0x20
	return repair(b)
}

func exfatSeed() []byte {
	le := binary.LittleEndian
	b := make([]byte, 32<<10)
	copy(b[3:], "EXFAT   ")
	le.PutUint64(b[72:], freemap2Bytes/512)
	for i, n := range []uint32{24, 8, 32, 500, 4} {
		le.PutUint32(b[80+4*i:], n)
	}
	b[105], b[108], b[110], b[510], b[511] = 1, 9, 1, 0x55, 0xaa
	for _, cluster := range []int{2, 3, 4} {
		le.PutUint32(b[24*512+4*cluster:], 0xffffffff)
	}
	b[32*512] = 7
	root := b[34*512:]
	root[0] = 0x81
	le.PutUint32(root[20:], 2)
	le.PutUint64(root[24:], 63)
	return repair(b)
}

// btrfsSeed is a file system of one chunk, mapped to where it is, with a tree
// of chunks, one of roots and one of extents.
func btrfsSeed() []byte {
	le := binary.LittleEndian
	b := make([]byte, 128<<10)
	s := b[64<<10:]
	copy(s[64:], "_BHRfS_M")
	put := func(p []byte, at int, n uint64) { le.PutUint64(p[at:], n) }
	for at, n := range map[int]uint64{48: 64 << 10, 72: 1, 80: 72 << 10, 88: 80 << 10, 120: 12 << 10, 136: 1, 164: 1, 201: 1, 209: freemap2Bytes} {
		put(s, at, n)
	}
	le.PutUint32(s[144:], 4096)
	le.PutUint32(s[148:], 4096)
	le.PutUint32(s[160:], 17+80)
	item := make([]byte, 80)
	put(item, 0, 1<<20)
	put(item, 24, 2)
	le.PutUint16(item[44:], 1)
	put(item, 48, 1)
	chunk := s[811:]
	chunk[8] = 228
	copy(chunk[17:], item)
	leaf := func(at int, owner uint64) []byte {
		p := b[at:]
		put(p, 48, uint64(at))
		put(p, 80, 1)
		put(p, 88, owner)
		return p
	}
	leaf(80<<10, 3)
	roots := leaf(72<<10, 1)
	roots[96] = 1
	put(roots, 101, 2)
	roots[101+8] = 132
	le.PutUint32(roots[101+17:], 1000)
	le.PutUint32(roots[101+21:], 439)
	put(roots[101+1000:], 160, 1)
	put(roots[101+1000:], 176, 88<<10)
	extents := leaf(88<<10, 2)
	extents[96] = 3
	for i, at := range []uint64{72 << 10, 80 << 10, 88 << 10} {
		put(extents, 101+25*i, at)
		extents[101+25*i+8] = 169
	}
	return repair(b)
}

// lvmSeed is a physical volume with this metadata text.
func lvmSeed(text string) []byte {
	le := binary.LittleEndian
	sum := func(p []byte) uint32 { return ^crc32.Update(^uint32(0xf597a6cf), crc32.IEEETable, p) }
	const area, areaBytes = 4096, 60 << 10
	if len(text) > areaBytes-512 {
		text = text[:areaBytes-512]
	}
	b := make([]byte, 64<<10)
	label := b[512:1024]
	copy(label, "LABELONE")
	label[8], label[20] = 1, 32
	copy(label[24:], "LVM2 0010123456789abcdefghijklmnopqrstuv")
	for i, n := range []uint64{freemap2Bytes, 64 << 10, 0, 0, 0, area, areaBytes} {
		le.PutUint64(label[64+8*i:], n)
	}
	le.PutUint32(label[16:], sum(label[20:]))
	h := b[area:]
	copy(h[4:], " LVM2 x[5A%r0N*>")
	h[20] = 1
	for i, n := range []uint64{area, areaBytes, 512, uint64(len(text))} {
		le.PutUint64(h[24+8*i:], n)
	}
	le.PutUint32(h[56:], sum([]byte(text)))
	le.PutUint32(h, sum(h[4:512]))
	copy(h[512:], text)
	return b
}

const lvmText = `vg { seqno = 1 format = "lvm2" extent_size = 128
physical_volumes { pv0 { id = "0123456789abcdefghijklmnopqrstuv" pe_start = 128 pe_count = 200 } }
logical_volumes { a { status = ["READ", "VISIBLE"] segment_count = 2
segment1 { start_extent = 0 extent_count = 3 type = "striped" stripe_count = 1 stripes = ["pv0", 5] }
segment2 { start_extent = 3 extent_count = 2 type = "striped" stripe_count = 1 stripes = ["pv0", 1] } }
p { status = [] segment_count = 1 segment1 { start_extent = 0 extent_count = 3 type = "thin" thin_pool = "x" } } } }
# end`

// FuzzFreeMap2 gives heads of volumes, with their checksums made right, to the
// readers that have checksums.
func FuzzFreeMap2(f *testing.F) {
	readers := []func(io.ReaderAt, int64) (*freemap.Map, error){xfs.Free, exfat.Free, btrfs.Free, luks.Free, lvmFree}
	for i, seed := range [][]byte{xfsSeed(4), xfsSeed(5), exfatSeed(), btrfsSeed(), lvmSeed(lvmText)} {
		free := 0
		for _, read := range readers {
			if m, err := read(volume{seed, freemap2Bytes}, freemap2Bytes); err == nil {
				free += len(m.Free)
			}
		}
		if free == 0 {
			f.Fatalf("nothing is free in seed %d", i)
		}
		f.Add(bytes.TrimRight(seed, "\x00"))
	}
	f.Fuzz(func(t *testing.T, head []byte) {
		v := volume{repair(head), freemap2Bytes}
		for _, free := range readers {
			if m, err := free(v, freemap2Bytes); err == nil {
				checkFree(t, m, freemap2Bytes/freemap.SectorBytes)
			}
		}
	})
}

// FuzzLVMText gives metadata texts to the reader of physical volumes. What is
// before the extents must never be free.
func FuzzLVMText(f *testing.F) {
	f.Add(lvmText)
	f.Add(`a { b = [] c = ["x\"", 1,] d { } }`)
	f.Add(fmt.Sprintf("%[1]s %[1]s", lvmText))
	f.Fuzz(func(t *testing.T, text string) {
		m, err := lvmFree(volume{lvmSeed(text), freemap2Bytes}, freemap2Bytes)
		if err != nil {
			t.Fatal(err)
		}
		checkFree(t, m, freemap2Bytes/freemap.SectorBytes)
		if len(m.Free) > 0 && m.Free[0].Start < 128 {
			t.Fatalf("free from sector %d, where the metadata is", m.Free[0].Start)
		}
	})
}
