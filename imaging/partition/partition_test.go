package partition_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"testing"

	"hyzer/bench/shared"
	"hyzer/imaging/partition"
	"hyzer/imaging/partition/bsdlabel"
	"hyzer/imaging/partition/gpt"
	"hyzer/imaging/partition/mbr"
	"hyzer/imaging/partition/scheme"
)

func golden(t *testing.T, name string) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(shared.ReadFile(t, "vectors/ndz/"+name+".img.gz")))
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func read(disk []byte) (*partition.Table, error) {
	d := partition.Disk{ReaderAt: bytes.NewReader(disk), Sectors: uint64(len(disk) / partition.SectorBytes)}
	t, err := gpt.Read(d)
	if errors.Is(err, gpt.ErrNone) {
		return mbr.Read(d)
	}
	return t, err
}

func text(t *partition.Table, err error) string {
	if err != nil {
		return "error: " + err.Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s:", t.Scheme)
	for _, e := range t.Entries {
		fmt.Fprintf(&b, " %d=[%d,%d) %s", e.Number, e.Start, e.End(), e.Expect)
	}
	fmt.Fprintf(&b, " free %v", t.Free)
	for _, w := range t.Warnings {
		fmt.Fprintf(&b, " (%s)", w)
	}
	return b.String()
}

// TestGolden reads the tables of golden disks, whole and damaged.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		disk   string
		damage []int // bytes to change; from the end if negative
		want   string
	}{
		{"mbr", nil, "MBR: 1=[4096,28672) ext 2=[28672,49152) fat 3=[49152,57344) swap 4=[59392,63488)  free [{2048 4096} {63488 65536}]"},
		{"ext2-1k", nil, "error: no MBR partition table"},
		{"fat16", nil, "error: no MBR partition table"},
		{"gpt", nil, "GPT"},
		{"gpt", []int{512 + 20}, "used the backup"},
		{"gpt", []int{1024 + 40}, "used the backup"},
		{"gpt", []int{-512 + 20}, "GPT"},
		{"gpt", []int{512 + 20, -512 + 20}, "error: both copies are damaged"},
		{"mbr-extended", nil, "MBR: 1="},
	} {
		disk := golden(t, c.disk)
		for _, at := range c.damage {
			disk[(at+len(disk))%len(disk)] ^= 1
		}
		if got := text(read(disk)); !strings.Contains(got, c.want) {
			t.Errorf("%s %v: %s, want %s", c.disk, c.damage, got, c.want)
		}
	}
}

// TestHybrid takes the GPT of a disk whose MBR has partitions too.
func TestHybrid(t *testing.T) {
	t.Parallel()
	disk := golden(t, "gpt")
	want := text(read(disk))
	clear(disk[446:510])
	mbrSector(disk, 0, [3]uint32{0xee, 1, 2047}, [3]uint32{0x83, 2048, 4096}, [3]uint32{7, 3000, 9000})
	if got := text(read(disk)); got != want || !strings.HasPrefix(got, "GPT: 1=") {
		t.Errorf("%s, without the partitions in the MBR %s", got, want)
	}
}

// TestUnits reads the tables of disks with larger sectors.
func TestUnits(t *testing.T) {
	t.Parallel()
	disk := make([]byte, 4000*4096)
	mbrSector(disk, 0, [3]uint32{0x83, 100, 900}, [3]uint32{5, 1000, 2900})
	mbrSector(disk, 1000*8, [3]uint32{0x83, 10, 90}, [3]uint32{5, 500, 100})
	mbrSector(disk, 1500*8, [3]uint32{7, 10, 90})
	d := partition.Disk{ReaderAt: bytes.NewReader(disk), Sectors: 4000 * 8, Unit: 4096}
	const want = "MBR: 1=[800,8000) ext 5=[8080,8800) ext 9=[12080,12800) ntfs free [{31200 32000}]"
	if got := text(mbr.Read(d)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	small := golden(t, "gpt")[:64<<10]
	large := wide(small)
	const sectors = 1 << 20 // enough for either
	both := bytes.Clone(large)
	copy(both[512:4096], small[512:]) // what is left of another table
	for _, c := range []struct {
		disk []byte
		unit int
		want string // or the size of the sectors
	}{
		{small, 0, "512"}, {large, 0, "4096"}, {large, 4096, "4096"}, {large, 512, "no GPT or MBR partition table"}, {both, 4096, "4096"},
	} {
		table, err := scheme.Read(partition.Disk{ReaderAt: bytes.NewReader(c.disk), Sectors: sectors, Unit: c.unit})
		got := fmt.Sprint(err)
		if err == nil {
			got = fmt.Sprint(table.Unit)
		}
		if got != c.want {
			t.Errorf("sectors of %d bytes: %s, want %s", c.unit, got, c.want)
		}
	}
}

// wide is a disk with a GPT spread to sectors of 4096 bytes.
func wide(from []byte) []byte {
	to := make([]byte, 8*len(from))
	for i := range len(from) / 512 {
		copy(to[i*4096:], from[i*512:][:512])
	}
	copy(to[2*4096:], from[2*512:34*512]) // the entries go on within a sector
	return to
}

// mbrSector writes a table of {type, start, sectors} at sector at of disk.
func mbrSector(disk []byte, at int, entries ...[3]uint32) {
	s := disk[at*512:]
	for i, e := range entries {
		p := s[446+16*i:]
		p[4] = byte(e[0])
		binary.LittleEndian.PutUint32(p[8:], e[1])
		binary.LittleEndian.PutUint32(p[12:], e[2])
	}
	s[510], s[511] = 0x55, 0xaa
}

// TestExtended follows, and refuses to follow, chains of extended tables.
func TestExtended(t *testing.T) {
	t.Parallel()
	disk := func(links ...[3]uint32) []byte {
		d := make([]byte, 4000*512)
		mbrSector(d, 0, [3]uint32{0x83, 100, 900}, [3]uint32{5, 1000, 2900})
		mbrSector(d, 1000, [3]uint32{0x83, 10, 90}, links[0])
		if len(links) > 1 {
			mbrSector(d, 1500, [3]uint32{7, 10, 90}, links[1])
		}
		return d
	}
	for _, c := range []struct {
		disk []byte
		want string
	}{
		{disk([3]uint32{}), "MBR: 1=[100,1000) ext 5=[1010,1100) ext free [{3900 4000}]"},
		{disk([3]uint32{5, 500, 100}, [3]uint32{}), "MBR: 1=[100,1000) ext 5=[1010,1100) ext 9=[1510,1600) ntfs free [{3900 4000}]"},
		{disk([3]uint32{5, 500, 100}, [3]uint32{5, 0, 100}), "error: MBR: extended table at sector 1500 links to sector 1000"},
		{disk([3]uint32{5, 5000, 100}), "error: MBR: extended table at sector 1000 links to sector 6000"},
		{disk([3]uint32{5, 700, 100}), "(MBR: no extended table at sector 1700)"},
		{disk([3]uint32{0x83, 50, 100}), "error: MBR table: partitions 5 [1010,1100) and 6 [1050,1150) overlap"},
	} {
		if got := text(read(c.disk)); !strings.Contains(got, c.want) {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

// TestLabel reads a golden label and makes it relative.
func TestLabel(t *testing.T) {
	t.Parallel()
	const start, sectors = 63, 33792
	slice := golden(t, "bsd-mbr")[start*512:]
	l, err := bsdlabel.Read(bytes.NewReader(slice), start, sectors, false)
	if err != nil {
		t.Fatal(err)
	}
	table, err := l.Table()
	if got := text(table, err); got != "BSD: 1=[0,32768) ufs 2=[32768,33792)  free []" {
		t.Error(got)
	}
	copy(slice[bsdlabel.Sector*512:], l.Relative())
	again, err := bsdlabel.Read(bytes.NewReader(slice), start, sectors, false)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := l.Relative(), again.Relative(); !bytes.Equal(a, b) {
		t.Error("a relative label is made relative again")
	}
	slice[bsdlabel.Sector*512+150] ^= 1
	if _, err := bsdlabel.Read(bytes.NewReader(slice), start, sectors, false); err == nil || errors.Is(err, bsdlabel.ErrNone) {
		t.Errorf("a label with a wrong checksum: %v", err)
	}
}

// TestUsableTable reads GPTs that call sectors usable which their own tables are
// in: those are in no partition, and still in use.
func TestUsableTable(t *testing.T) {
	t.Parallel()
	for first, want := range map[uint64]string{0: "free [{34 ", 2: "free [{34 ", 20: "free [{34 ", 34: "free [{34 ", 40: "free [{40 "} {
		disk := golden(t, "gpt")
		header := disk[512:604]
		binary.LittleEndian.PutUint64(header[40:], first)
		clear(header[16:20])
		binary.LittleEndian.PutUint32(header[16:], crc32.ChecksumIEEE(header))
		if got := text(read(disk)); !strings.Contains(got, want) {
			t.Errorf("usable from %d: %s, want %s", first, got, want)
		}
	}
}
