package zip_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"testing"

	"hyzer/bench/shared"
	"hyzer/imaging/freemap"
	"hyzer/imaging/ndz"
	"hyzer/imaging/unzip"
	"hyzer/imaging/zip"
)

// TestSameSectors holds the sectors we keep against those in the images that
// the C program made of the same disks.
func TestSameSectors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		source, image string
		opts          zip.Options
		more, less    string // what we keep beside and leave out, on purpose
		stored        bool   // the data is not compared
	}{
		{source: "ext2-1k"}, {source: "ext3-2k"}, {source: "ext4-4k"}, {source: "ext4-csum"}, {source: "ext4-Z"},
		{source: "ext4-frag-F0", opts: zip.Options{MinFreeSectors: -1}},
		{source: "fat12"}, {source: "fat16"}, {source: "fat32"}, {source: "swap"},
		{source: "ntfs", more: "[{4096 4176}]"}, // the page file,
		{source: "ufs1"}, {source: "ufs2"},
		{source: "raw", opts: zip.Options{Raw: true}}, {source: "file-odd", opts: zip.Options{Raw: true}},
		{source: "mbr", more: "[{63 2048}]"}, // where GRUB is
		{source: "mbr", image: "mbr.slice1", opts: zip.Options{Slice: 1}},
		{source: "mbr", image: "mbr.slice2", opts: zip.Options{Slice: 2}},
		{source: "mbr-unusedentry", less: "[{2048 4096}]"}, // before the first partition
		{source: "gpt"}, {source: "gpt", image: "gpt.slice3", opts: zip.Options{Slice: 3}},
		{source: "bsd-mbr"}, {source: "bsd-mbr", image: "bsd-slice1", opts: zip.Options{Slice: 1}},
		{source: "lilo-slice1", opts: zip.Options{Slice: 1}},
	} {
		if c.image == "" {
			c.image = c.source
		}
		t.Run(c.image, func(t *testing.T) {
			t.Parallel()
			img := shared.ReadGzip(t, "vectors/ndz/"+c.source+".img.gz")
			l, err := zip.Analyze(source(img), c.opts)
			if err != nil {
				t.Fatal(err)
			}
			want, last := imageRanges(t, shared.ReadGzip(t, "vectors/ndz/"+c.image+".ndz.gz"))
			if l.Sectors != last {
				t.Errorf("covers %d sectors, want %d", l.Sectors, last)
			}
			more, less := freemap.Subtract(l.Data, want), freemap.Subtract(want, l.Data)
			if c.more == "" {
				c.more = "[]"
			}
			if c.less == "" {
				c.less = "[]"
			}
			if fmt.Sprint(more) != c.more || fmt.Sprint(less) != c.less {
				t.Errorf("keeps %v more and %v less, want %s and %s", more, less, c.more, c.less)
			}
			if c.more == "[]" && c.less == "[]" {
				sameRestore(t, img, c.image, c.opts)
			}
		})
	}
}

// sameRestore makes an image as the C program does, short free space and all,
// and restores it over garbage to what the C images are restored to.
func sameRestore(t *testing.T, img []byte, name string, opts zip.Options) {
	t.Helper()
	opts.KeepDeleted = name != "ext4-Z"
	var out bytes.Buffer
	if _, err := zip.Create(context.Background(), source(img), &out, opts); err != nil {
		t.Fatal(err)
	}
	var m struct{ Entries []manifestEntry }
	if err := json.Unmarshal(shared.ReadFile(t, "vectors/ndz/MANIFEST.json"), &m); err != nil {
		t.Fatal(err)
	}
	for _, e := range m.Entries {
		if e.File != name+".ndz.gz" {
			continue
		}
		d := newDisk(e.DiskSize)
		if _, err := unzip.File(context.Background(), bytes.NewReader(out.Bytes()), int64(out.Len()), d, unzip.Options{}); err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(d.data); hex.EncodeToString(sum[:]) != e.Expect["dev_a5"].SHA256 {
			t.Errorf("restores to another disk than the C program's image")
		}
		return
	}
	t.Errorf("no %s in the manifest", name)
}

type manifestEntry struct {
	File     string
	DiskSize int
	Expect   map[string]struct{ SHA256 string }
}

func imageRanges(t *testing.T, image []byte) (list []freemap.Range, last uint64) {
	t.Helper()
	for i := range len(image) / ndz.ChunkBytes {
		h, err := ndz.ParseHeader(image[i*ndz.ChunkBytes:])
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range h.Regions {
			list = freemap.Append(list, r.Start, r.End())
		}
		last = h.Last
	}
	return list, last
}

// TestTwoHeads keeps everything of a disk that could be read in two ways, and
// is not misled by boot code that looks like a broken table.
func TestTwoHeads(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		entries  [][3]uint32 // type, start, sectors
		scheme   string
		warnings int
	}{
		{"sound table", [][3]uint32{{0x83, 2048, 4096}}, "raw", 1},
		{"overlapping table", [][3]uint32{{0x83, 2048, 4096}, {0x83, 2049, 100}}, "bare", 0},
		{"no table", nil, "bare", 0},
	} {
		img := shared.ReadGzip(t, "vectors/ndz/"+"fat16.img.gz")
		clear(img[446:510])
		for i, e := range c.entries {
			p := img[446+16*i:]
			p[4] = byte(e[0])
			binary.LittleEndian.PutUint32(p[8:], e[1])
			binary.LittleEndian.PutUint32(p[12:], e[2])
		}
		l, err := zip.Analyze(source(img), zip.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if l.Scheme != c.scheme || len(l.Warnings) != c.warnings {
			t.Errorf("%s: %s %q, want %s", c.name, l.Scheme, l.Warnings, c.scheme)
		}
	}
}
