package ext_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"hyzer/bench/shared"
	"hyzer/imaging/freemap"
	"hyzer/imaging/freemap/ext"
)

var goldenNames = []string{"ext2-1k", "ext3-2k", "ext4-4k", "ext4-64bit", "ext4-Z", "ext4-bigalloc", "ext4-csum", "ext4-frag-F0"}

// TestGolden holds our free space against what dumpe2fs lists.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, name := range goldenNames {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			img := shared.ReadGzip(t, "vectors/ndz/"+name+".img.gz")
			m, err := ext.Free(bytes.NewReader(img), int64(len(img)))
			if err != nil {
				t.Fatal(err)
			}
			want := parseDumpe2fs(t, string(shared.ReadFile(t, "vectors/ndz/"+name+".dumpe2fs.txt")))
			if got := fmt.Sprint(m.Free); got != fmt.Sprint(want) {
				t.Errorf("free sectors %v, want %v", got, want)
			}
			if len(m.Warnings) > 0 {
				t.Errorf("warnings: %q", m.Warnings)
			}
		})
	}
}

const bigallocClusterBlocks = 16 // of the one golden file system that has them

var (
	blockSize  = regexp.MustCompile(`(?m)^Block size: +(\d+)$`)
	freeBlocks = regexp.MustCompile(`(?m)^ *Free blocks: (.*)$`)
)

// parseDumpe2fs reads the lists of free blocks, in sectors.
func parseDumpe2fs(t *testing.T, text string) []freemap.Range {
	t.Helper()
	number := func(s string) uint64 {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	// With bigalloc dumpe2fs names the first block of a cluster.
	last := uint64(0)
	if strings.Contains(text, " bigalloc") {
		last = bigallocClusterBlocks - 1
	}
	per := number(blockSize.FindStringSubmatch(text)[1]) / freemap.SectorBytes
	var free []freemap.Range
	_, groups, _ := strings.Cut(text, "\nGroup 0:")
	for _, m := range freeBlocks.FindAllStringSubmatch(groups, -1) {
		for _, item := range strings.Split(m[1], ", ") {
			if item = strings.TrimSpace(item); item == "" {
				continue
			}
			from, to, ok := strings.Cut(item, "-")
			if !ok {
				to = from
			}
			free = freemap.Append(free, number(from)*per, (number(to)+last+1)*per)
		}
	}
	return free
}

// TestBitmapDamaged damages bitmaps that have no checksum: what they call free is
// not what their groups count.
func TestBitmapDamaged(t *testing.T) {
	t.Parallel()
	const block, descriptors = 1024, 2048
	golden := shared.ReadGzip(t, "vectors/ndz/ext2-1k.img.gz")
	at := int(binary.LittleEndian.Uint32(golden[descriptors:])) * block
	for name, damage := range map[string]func(bitmap []byte){
		"zeros":   func(b []byte) { clear(b) },
		"one bit": func(b []byte) { b[0] &^= 1 },
	} {
		img := bytes.Clone(golden)
		damage(img[at : at+block])
		m, err := ext.Free(bytes.NewReader(img), int64(len(img)))
		if err != nil {
			t.Fatal(err)
		}
		const end = (1 + 8*block) * block / freemap.SectorBytes // of group 0
		if len(m.Free) == 0 || m.Free[0].Start < end {
			t.Errorf("%s: %v is free", name, m.Free[:min(1, len(m.Free))])
		}
		if len(m.Warnings) != 1 || !strings.Contains(m.Warnings[0], "group 0") {
			t.Errorf("%s: warnings %q", name, m.Warnings)
		}
	}
}
