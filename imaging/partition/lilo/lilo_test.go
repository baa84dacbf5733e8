package lilo_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"hyzer/bench/shared"
	"hyzer/imaging/ndz"
	"hyzer/imaging/partition/lilo"
)

// Where the golden partition lies, and what is where in it.
const (
	start, sectors = 2048, 16384

	boot   = 0
	table  = 14375
	kernel = 14379 // first of two map sectors
)

// golden is a partition with LILO in it.
func golden(t *testing.T) []byte {
	t.Helper()
	return shared.ReadGzip(t, "vectors/ndz/lilo-slice1.img.gz")[start*512:][:sectors*512]
}

// TestGolden finds what the C program found, and stores what it stored but for
// the sum of the table, which it left as it was.
func TestGolden(t *testing.T) {
	t.Parallel()
	got, err := lilo.Read(bytes.NewReader(golden(t)), start, sectors)
	if err != nil {
		t.Fatal(err)
	}
	chunk := shared.ReadGzip(t, "vectors/ndz/lilo-slice1.ndz.gz")
	d, err := ndz.NewDecoder(ndz.DecodeOptions{AsStored: true})
	if err != nil {
		t.Fatal(err)
	}
	h, err := d.Decode(chunk)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Relocs, h.Relocs) || got.Table != table {
		t.Errorf("found %v, table at %d; want %v", got.Relocs, got.Table, h.Relocs)
	}
	stored := make([]byte, sectors*512)
	if err := d.Runs(func(r ndz.Run) error { copy(stored[r.Offset:], r.Data); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(got.Sectors) != 7 {
		t.Errorf("%d sectors have addresses", len(got.Sectors))
	}
	for n, b := range got.Sectors {
		from := 0
		if n == table {
			from = 2
		}
		if !bytes.Equal(b[from:], stored[n*512:][from:512]) {
			t.Errorf("sector %d is % x", n, b)
		}
	}
	both := slices.Concat(got.Sectors[table], got.Sectors[table+1])
	if !ndz.SumLILO(both) {
		t.Error("stored table has a wrong sum")
	}
}

// put writes an address of a sector of the disk.
func put(b []byte, sector uint64, device byte) {
	b[2] = device
	if err := ndz.LILOAddress(b).SetSector(sector); err != nil {
		panic(err)
	}
}

// TestRefused finds none, or all that can be moved.
func TestRefused(t *testing.T) {
	t.Parallel()
	whole := golden(t)
	const lba = 0xa0
	for _, c := range []struct {
		name   string
		change func(p []byte)
		want   string
	}{
		{"none", func(p []byte) { p[6] = 'l' }, "no LILO"},
		{"second stage", func(p []byte) { p[10] = 2 }, "stage 0x2 of version 0x115"},
		{"version 22", func(p []byte) { p[12] = 0x16 }, "version 0x116"},
		{"no table", func(p []byte) { clear(p[29:34]) }, "no table"},
		{"table in pieces", func(p []byte) { put(p[29:], start+kernel, lba) }, "in pieces"},
		{"table outside", func(p []byte) { put(p[24:], start-1, lba) }, "sector 2047 is not in the partition"},
		{"second stage outside", func(p []byte) { put(p[52:], start+sectors, lba) }, "sector 18432 is not in the partition"},
		{"cylinders", func(p []byte) { p[54] = 0x80 }, "cylinders and heads"},
		{"sum", func(p []byte) { p[table*512+100] ^= 1 }, "wrong checksum"},
		{"other system", func(p []byte) { put(p[kernel*512:], 1, lba) }, "sector 1 is not in the partition"},
		{"map in the table", func(p []byte) { put(p[42:], start+table, lba) }, "is a map and something else"},
		{"map that is the boot sector", func(p []byte) { put(p[42:], start, lba) }, "is a map and something else"},
		{"ring of maps", func(p []byte) { put(p[kernel*512+101*5:], start+kernel, lba) }, ""},
		{"message", func(p []byte) { put(p[42:], start+14390, lba); put(p[14390*512:], start+7, lba) }, ""},
		{"eleven parts of the second stage", func(p []byte) {
			for i := range 11 {
				put(p[52+5*i:], uint64(start+100+i), 0x40)
			}
		}, ""},
		{"descriptor in both sectors", func(p []byte) {
			put(p[table*512+511:], start+kernel, lba)
			ndz.SumLILO(p[table*512:][:1024])
		}, ""},
	} {
		p := bytes.Clone(whole)
		c.change(p)
		l, err := lilo.Read(bytes.NewReader(p), start, sectors)
		if got := fmt.Sprint(err); (err == nil) != (c.want == "") || c.want != "" && !strings.Contains(got, c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if errors.Is(err, lilo.ErrNone) != (c.name == "none") {
			t.Errorf("%s: %v", c.name, err)
		}
		if err == nil {
			checkMoved(t, c.name, p, l)
		}
	}
}

// checkMoved relocates the partition back to where it was.
func checkMoved(t *testing.T, name string, p []byte, l *lilo.Loader) {
	t.Helper()
	back := bytes.Clone(p)
	for n, b := range l.Sectors {
		copy(back[n*512:], b)
	}
	for _, r := range l.Relocs {
		first, end := r.Span()
		if first < boot || end > sectors {
			t.Fatalf("%s: relocation %v", name, r)
		}
		switch at := int(r.Sector)*512 + r.Offset; r.Type {
		case ndz.RelocLILOAddress:
			moveBack(t, back[at:])
		case ndz.RelocLILOMapSector:
			for i := 0; i < 102 && !ndz.LILOAddress(back[at+5*i:]).Absent(); i++ {
				moveBack(t, back[at+5*i:])
			}
		case ndz.RelocLILOChecksum:
			ndz.SumLILO(back[at-990:][:1024])
		}
	}
	if !bytes.Equal(back, p) {
		t.Errorf("%s: addresses do not move back", name)
	}
}

func moveBack(t *testing.T, a ndz.LILOAddress) {
	t.Helper()
	v, ok := a.Sector()
	if !ok {
		t.Fatalf("address % x", []byte(a[:5]))
	}
	if err := a.SetSector(v + start); err != nil {
		t.Fatal(err)
	}
}

// TestRead gives it partitions that end early.
func TestRead(t *testing.T) {
	t.Parallel()
	whole := golden(t)
	for _, size := range []int{0, 100, 511, 512, table * 512, (table + 1) * 512, kernel * 512} {
		if _, err := lilo.Read(bytes.NewReader(whole[:size]), start, sectors); err == nil {
			t.Errorf("%d bytes: no error", size)
		}
	}
	random := bytes.Clone(whole)
	for i := range 300 { // never hangs, whatever the chain is
		at := (i * 7919) % 512
		binary.LittleEndian.PutUint32(random[kernel*512+at%508:], uint32(i*104729))
		if l, err := lilo.Read(bytes.NewReader(random), start, sectors); err == nil {
			checkMoved(t, "random", random, l)
		}
	}
}
