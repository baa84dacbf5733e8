package zip_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"hyzer/bench/shared"
	"hyzer/imaging/freemap"
	"hyzer/imaging/ndz"
	"hyzer/imaging/unzip"
	"hyzer/imaging/zip"
)

// TestLILO images the golden partition, and restores it where the C program
// did, to the same bytes.
func TestLILO(t *testing.T) {
	t.Parallel()
	img := shared.ReadGzip(t, "vectors/ndz/lilo-slice1.img.gz")
	const first, count, want = 777, 16384, "ce8306dd5cd725eadb915b447c80f266dbf843c1cd7feac19bd1678fd66f7d24"
	for _, v := range []ndz.Version{ndz.V2, ndz.V3, ndz.V4, ndz.V5} {
		var out bytes.Buffer
		opts := zip.Options{Slice: 1, KeepDeleted: true, Version: v}
		if _, err := zip.Create(context.Background(), source(img), &out, opts); err != nil {
			t.Fatal(err)
		}
		d := newDisk(8812032)
		clear(d.data[446:510])
		copy(d.data[446:], []byte{0x80, 1, 1, 0, 0x83, 0xfe, 0xff, 0xff})
		d.data[510], d.data[511] = 0x55, 0xaa
		binary.LittleEndian.PutUint32(d.data[454:], first)
		binary.LittleEndian.PutUint32(d.data[458:], count)
		place := ndz.Placement{Start: first, Size: count}
		if _, err := unzip.File(context.Background(), bytes.NewReader(out.Bytes()), int64(out.Len()), d, unzip.Options{Decode: ndz.DecodeOptions{Placement: place}}); err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(d.data); hex.EncodeToString(sum[:]) != want {
			t.Errorf("%s: disk has sum %x", v, sum)
		}
	}
}

// TestLILOKept makes no relocations where they cannot be right, or are not
// asked for.
func TestLILOKept(t *testing.T) {
	t.Parallel()
	whole := shared.ReadGzip(t, "vectors/ndz/lilo-slice1.img.gz")
	for _, c := range []struct {
		name   string
		opts   zip.Options
		change int // byte of the partition to flip
		want   string
	}{
		{"as it is", zip.Options{Slice: 1}, 100, "17 []"},
		{"not wanted", zip.Options{Slice: 1, NoRelocs: true}, 100, "0 []"},
		{"whole disk", zip.Options{}, 100, "0 []"},
		{"damaged", zip.Options{Slice: 1}, 14375 * 512, "0 [partition 1: LILO: table of descriptors has a wrong checksum; run lilo again if this is restored to another place]"},
		{"not of this version", zip.Options{Slice: 1}, 12, "0 [partition 1: LILO: stage 0x1 of version 0x11d is not known; run lilo again if this is restored to another place]"},
	} {
		img := bytes.Clone(whole)
		img[2048*512+c.change] ^= 8
		l, err := zip.Analyze(source(img), c.opts)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(len(l.Relocs), " ", l.Warnings); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestJoined has what must be in one chunk where a border would be.
func TestJoined(t *testing.T) {
	t.Parallel()
	img := make([]byte, 3<<20)
	rand.NewChaCha8([32]byte{3}).Read(img)
	ndzRoom := uint64(ndz.PayloadBytesMax / 512)
	for _, v := range []ndz.Version{ndz.V3, ndz.V5} {
		for table := ndzRoom - 9; table < ndzRoom+3; table++ {
			sector := img[table*512:][:1024]
			old := bytes.Clone(sector)
			ndz.SumLILO(sector)
			layout := &zip.Layout{
				Sectors: uint64(len(img) / 512), Data: []freemap.Range{{Start: 0, End: table + 900}, {Start: table + 1000, End: uint64(len(img) / 512)}},
				Relocs: []ndz.Reloc{{Type: ndz.RelocLILOChecksum, Sector: table + 1, Offset: 478, Size: 2}},
			}
			var out bytes.Buffer
			if _, err := zip.Write(context.Background(), source(img), layout, &out, zip.Options{Version: v}); err != nil {
				t.Fatal(err)
			}
			d := newDisk(len(img))
			_, err := unzip.File(context.Background(), bytes.NewReader(out.Bytes()), int64(out.Len()), d, unzip.Options{})
			if err != nil || !slices.Equal(d.data[:(table+900)*512], img[:(table+900)*512]) {
				t.Errorf("%s, table at %d: %v", v, table, err)
			}
			copy(sector, old)
		}
	}
}
