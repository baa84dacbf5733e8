package freemap_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"unicode/utf16"
)

// exfatVolume writes files into a file system that mkfs.exfat made.
type exfatVolume struct {
	t            *testing.T
	img          []byte
	clusterBytes int
	clusters     int
	fat, heap    int
	bitmap       int // byte of the disk
	root         []int
	entries      int // used in the root directory
	random       *rand.Rand
}

func openExFAT(t *testing.T, img []byte) *exfatVolume {
	t.Helper()
	u32 := func(at int) int { return int(binary.LittleEndian.Uint32(img[at:])) }
	v := &exfatVolume{
		t: t, img: img, clusterBytes: 512 << img[109], clusters: u32(92), fat: u32(80) * 512, heap: u32(88) * 512,
		root: []int{u32(96)}, random: rand.New(rand.NewPCG(21, 22)),
	}
	for ; v.entry(v.entries)[0] != 0; v.entries++ {
		if e := v.entry(v.entries); e[0] == 0x81 {
			v.bitmap = v.place(int(binary.LittleEndian.Uint32(e[20:])))
		}
	}
	if v.bitmap == 0 {
		t.Fatal("mkfs.exfat made no bitmap")
	}
	return v
}

func (v *exfatVolume) place(cluster int) int { return v.heap + (cluster-2)*v.clusterBytes }

// entry is a place in the root directory, which grows as needed.
func (v *exfatVolume) entry(i int) []byte {
	per := v.clusterBytes / 32
	for i/per >= len(v.root) {
		c := v.take(1, false)[0]
		clear(v.img[v.place(c):][:v.clusterBytes])
		v.root = append(v.root, c)
		v.chain(v.root)
	}
	return v.img[v.place(v.root[i/per])+i%per*32:][:32]
}

func (v *exfatVolume) used(cluster int) bool {
	return v.img[v.bitmap+(cluster-2)/8]>>((cluster-2)%8)&1 != 0
}

// take allocates n clusters, next to each other or anywhere.
func (v *exfatVolume) take(n int, together bool) []int {
	for range 10000 {
		at := 2 + v.random.IntN(v.clusters-n)
		var list []int
		for c := at; c < v.clusters+2 && len(list) < n; c++ {
			if !v.used(c) && (together || v.random.IntN(3) == 0) {
				list = append(list, c)
			} else if together {
				break
			}
		}
		if len(list) < n {
			continue
		}
		for _, c := range list {
			v.img[v.bitmap+(c-2)/8] |= 1 << ((c - 2) % 8)
		}
		return list
	}
	v.t.Fatalf("no room for %d clusters", n)
	return nil
}

// chain links clusters in the FAT.
func (v *exfatVolume) chain(list []int) {
	for i, c := range list {
		next := uint32(0xffffffff)
		if i+1 < len(list) {
			next = uint32(list[i+1])
		}
		binary.LittleEndian.PutUint32(v.img[v.fat+4*c:], next)
	}
}

// add writes a file, and returns its clusters.
func (v *exfatVolume) add(name string, data []byte, together bool) []int {
	list := v.take((len(data)+v.clusterBytes-1)/v.clusterBytes, together)
	for i, c := range list {
		copy(v.img[v.place(c):][:v.clusterBytes], data[i*v.clusterBytes:])
	}
	flags := byte(3)
	if !together {
		v.chain(list)
		flags = 1
	}
	le, text := binary.LittleEndian, utf16.Encode([]rune(name))
	set := make([]byte, 64, 96)
	set[0], set[4], set[32], set[33], set[35] = 0x85, 0x20, 0xc0, flags, byte(len(text))
	for _, at := range []int{8, 12, 16} {
		le.PutUint32(set[at:], 1<<21|1<<16) // 1 January 1980
	}
	var upper []byte
	for _, r := range text {
		upper = le.AppendUint16(upper, r) // names are in capitals
	}
	le.PutUint16(set[36:], exfatSum(upper, false))
	le.PutUint64(set[40:], uint64(len(data)))
	le.PutUint32(set[52:], uint32(list[0]))
	le.PutUint64(set[56:], uint64(len(data)))
	for i := 0; i < len(text); i += 15 {
		e := make([]byte, 32)
		e[0] = 0xc1
		copy(e[2:], upper[2*i:])
		set = append(set, e...)
	}
	set[1] = byte(len(set)/32 - 1)
	le.PutUint16(set[2:], exfatSum(set, true))
	for i := 0; i < len(set); i += 32 {
		copy(v.entry(v.entries), set[i:])
		v.entries++
	}
	return list
}

func exfatSum(p []byte, set bool) uint16 {
	sum := uint16(0)
	for i, x := range p {
		if !set || i != 2 && i != 3 {
			sum = (sum<<15 | sum>>1) + uint16(x)
		}
	}
	return sum
}

// fill writes many files and tells what is where.
func (v *exfatVolume) fill() map[int][]byte {
	content := make(map[int][]byte)
	for i := range 60 {
		data := make([]byte, 1+v.random.IntN(v.clusterBytes*9))
		for k := range data {
			data[k] = byte(v.random.Uint32())
		}
		for k, c := range v.add(fmt.Sprintf("FILE %d WITH A LONG NAME.BIN", i), data, i%2 == 0) {
			content[v.place(c)] = data[k*v.clusterBytes : min(len(data), (k+1)*v.clusterBytes)]
		}
	}
	return content
}
