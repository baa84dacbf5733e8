package lvm_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"testing"

	"hyzer/imaging/freemap"
	"hyzer/imaging/partition/lvm"
)

const (
	pvBytes   = 4 << 20
	areaStart = 4096
	areaSize  = 64<<10 - areaStart
	uuid      = "0123456789abcdefghijklmnopqrstuv"
)

func sum(p []byte) uint32 { return ^crc32.Update(^uint32(0xf597a6cf), crc32.IEEETable, p) }

// physical makes a physical volume with text at byte at of its metadata area.
// The volume group has 63 extents of 64 KiB from sector 128 on.
func physical(text string, at int) []byte {
	le := binary.LittleEndian
	disk := make([]byte, pvBytes)
	label := disk[512:1024]
	copy(label, "LABELONE")
	le.PutUint64(label[8:], 1)
	le.PutUint32(label[20:], 32)
	copy(label[24:], "LVM2 001")
	copy(label[32:], uuid)
	for i, n := range []uint64{pvBytes, 64 << 10, 0, 0, 0, areaStart, areaSize} {
		le.PutUint64(label[64+8*i:], n)
	}
	le.PutUint32(label[16:], sum(label[20:]))
	area := disk[areaStart:][:areaSize]
	copy(area[4:], " LVM2 x[5A%r0N*>")
	le.PutUint32(area[20:], 1)
	for i, n := range []uint64{areaStart, areaSize, uint64(at), uint64(len(text))} {
		le.PutUint64(area[24+8*i:], n)
	}
	le.PutUint32(area[56:], sum([]byte(text)))
	le.PutUint32(area, sum(area[4:512]))
	copy(area[512:], text[copy(area[at:], text):])
	return disk
}

const frame = `vg { # a comment
id = "x"
seqno = 7
format = "lvm2"
status = ["RESIZEABLE", "READ"]
flags = []
extent_size = 128
physical_volumes {
pv0 { id = "012345-6789-abcd-efgh-ijkl-mnop-qrstuv"
device = "/dev/\"odd\"{name}"
pe_start = 128
pe_count = 63 }
}
logical_volumes {
%s}
}
version = 1
`

// linear is a logical volume of pieces {first extent, extents}.
func linear(name, status string, pieces ...[2]int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s {\nstatus = [\"READ\", %q]\nsegment_count = %d\n", name, status, len(pieces))
	at := 0
	for i, p := range pieces {
		fmt.Fprintf(&b, "segment%d {\nstart_extent = %d\nextent_count = %d\ntype = \"striped\"\nstripe_count = 1\nstripes = [ \"pv0\", %d ] }\n", i+1, at, p[1], p[0])
		at += p[1]
	}
	return b.String() + "}\n"
}

// other is a logical volume of one segment.
func other(name, kind, rest string) string {
	return fmt.Sprintf("%s {\nstatus = [\"VISIBLE\"]\nsegment_count = 1\nsegment1 {\nstart_extent = 0\nextent_count = 2\ntype = %q\n%s } }\n", name, kind, rest)
}

// secondExtent says that sectors 100 to 200 of any volume are free.
func secondExtent(_ io.ReaderAt, size int64) (*freemap.Map, error) {
	if size < 200*512 {
		return nil, errors.New("too small")
	}
	return &freemap.Map{Free: []freemap.Range{{Start: 100, End: 200}}, Warnings: []string{"seen"}}, nil
}

// describe tells the free space, and the warnings without what is kept whole.
func describe(m *freemap.Map) string {
	return fmt.Sprint(m.Free, strings.ReplaceAll(strings.Join(m.Warnings, ";"), "; all of it is kept", ""))
}

// TestVolumes finds the free space of volumes of every kind.
func TestVolumes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, volumes, want string }{
		{"none", "", "[{128 8192}]"},
		{"linear", linear("a", "VISIBLE", [2]int{0, 3}), "[{228 328} {512 8192}]LVM2: logical volume a: seen"},
		{"pieces", linear("a", "VISIBLE", [2]int{5, 1}, [2]int{1, 2}), "[{128 328} {512 768} {868 8192}]LVM2: logical volume a: seen"},
		{"small", linear("a", "VISIBLE", [2]int{0, 1}), "[{256 8192}]LVM2: logical volume a: file system: too small"},
		{"hidden", linear("a", "READ", [2]int{0, 3}), "[{512 8192}]"},
		{"origin of a snapshot", linear("a", "VISIBLE", [2]int{0, 3}) + linear("cow", "VISIBLE", [2]int{3, 3}) +
			other("snapshot0", "snapshot", `chunk_size = 8 origin = "a" cow_store = "cow"`), "[{896 8192}]"},
		{"pool", linear("p_tdata", "VISIBLE", [2]int{0, 3}) + other("p", "thin-pool", `pool = "p_tdata"`) +
			other("thin", "thin", `thin_pool = "p"`), "[{512 8192}]"},
		{"raid", linear("r_rimage_0", "VISIBLE", [2]int{0, 3}) + other("r", "raid1", `raids = ["r_rmeta_0", "r_rimage_0"]`), "[{512 8192}]"},
		{"two stripes", other("s", "striped", `stripe_count = 2 stripes = ["pv0", 4, "pv0", 9]`), "[{128 640} {768 1280} {1408 8192}]"},
		{"stripes on a volume", other("s", "striped", `stripe_count = 1 stripes = ["pvmove0", 4]`), "[{128 8192}]"},
		{"mirror on the disk", other("pvmove0", "mirror", `mirrors = ["pv0", 4, "pv1", 9]`), `[]LVM2: volume group vg: logical volume pvmove0: segment 1: type "mirror" has extents of its own`},
		{"unknown", other("x", "striped+NEW", `stripe_count = 1 stripes = ["pv0", 4]`), `[]LVM2: volume group vg: logical volume x: segment 1: type "striped+NEW" has extents of its own`},
		{"two owners", linear("a", "VISIBLE", [2]int{0, 3}) + linear("b", "VISIBLE", [2]int{2, 3}), "[]LVM2: extents belong to two logical volumes"},
		{"outside", linear("a", "VISIBLE", [2]int{60, 4}), "[]LVM2: volume group vg: logical volume a: segment 1: 4 extents at extent 60"},
		{"far outside", linear("a", "VISIBLE", [2]int{1 << 60, 4}), "[]LVM2: volume group vg: logical volume a: segment 1: 4 extents at extent 1152921504606846976"},
		{"same name", linear("a", "VISIBLE", [2]int{0, 3}) + linear("a", "VISIBLE", [2]int{3, 3}), "[]LVM2: metadata area at byte 4096: metadata text cannot be read"},
		{"open", "a {", "[]LVM2: metadata area at byte 4096: metadata text cannot be read"},
		{"deep", strings.Repeat("a {", 50) + strings.Repeat("}", 50), "[]LVM2: metadata area at byte 4096: metadata text cannot be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			text := fmt.Sprintf(frame, c.volumes)
			// The text may go on at the start of the area.
			for _, at := range []int{512, 1024, areaSize - len(text), areaSize - len(text)/2} {
				m, err := lvm.Free(bytes.NewReader(physical(text, at)), pvBytes, secondExtent)
				if err != nil {
					t.Fatal(err)
				}
				if got := describe(m); got != c.want {
					t.Errorf("text at %d: %s, want %s", at, got, c.want)
				}
			}
		})
	}
}

// TestGroups keeps volume groups whole that cannot be trusted.
func TestGroups(t *testing.T) {
	t.Parallel()
	text := fmt.Sprintf(frame, linear("a", "VISIBLE", [2]int{0, 3}))
	for _, c := range []struct{ old, new, want string }{
		{"pv0 {", "pv1 { id = \"y\" }\npv0 {", "2 physical volumes"},
		{"012345-", "012346-", "another physical volume"},
		{`"lvm2"`, `"lvm3"`, "format"},
		{"pe_count = 63", "pe_count = 64", "64 extents"},
		{"pe_count = 63", "pe_count = 9223372036854775807", "9223372036854775807 extents"},
		{"pe_start = 128", "pe_start = 8", "63 extents of 128 sectors from sector 8"},
		{"extent_size = 128", "extent_size = 0", "extents of 0 sectors"},
		{"extent_size = 128", "", "no number extent_size"},
		{"seqno = 7", "", "no number seqno"},
		{"segment_count = 1", "segment_count = 2", "segment 2"},
		{"start_extent = 0", "start_extent = 1", "segment 1 of 3 extents at 1"},
		{"version = 1", "v2 { }", "2 volume groups"},
	} {
		changed := strings.Replace(text, c.old, c.new, 1)
		if changed == text {
			t.Fatalf("no %q in the text", c.old)
		}
		m, err := lvm.Free(bytes.NewReader(physical(changed, 512)), pvBytes, secondExtent)
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Free) != 0 || len(m.Warnings) != 1 || !strings.Contains(m.Warnings[0], c.want) {
			t.Errorf("%s: %s, want %s", c.new, describe(m), c.want)
		}
	}
}

// TestDamaged changes single bytes of a physical volume.
func TestDamaged(t *testing.T) {
	t.Parallel()
	disk := physical(fmt.Sprintf(frame, ""), 512)
	for at, want := range map[int]string{
		512: "no label", 512 + 16: "label is damaged", 512 + 32: "label is damaged", 512 + 400: "label is damaged",
		areaStart + 1: "header is damaged", areaStart + 4: "header is damaged", areaStart + 30: "header is damaged",
		areaStart + 600: "checksum of the text",
	} {
		disk[at] ^= 1
		m, err := lvm.Free(bytes.NewReader(disk), pvBytes, secondExtent)
		disk[at] ^= 1
		if err != nil || len(m.Free) != 0 || !strings.Contains(describe(m), want) {
			t.Errorf("byte %d: %s %v, want %s", at, describe(m), err, want)
		}
	}
}

// TestReader reads a volume in pieces at every offset.
func TestReader(t *testing.T) {
	t.Parallel()
	disk := physical(fmt.Sprintf(frame, linear("a", "VISIBLE", [2]int{5, 1}, [2]int{1, 1}, [2]int{3, 1})), 512)
	for i := range disk[128*512:] {
		disk[128*512+i] = byte(i / 64 * 7)
	}
	var want []byte
	for _, extent := range []int{5, 1, 3} {
		want = append(want, disk[(extent+1)<<16:][:1<<16]...)
	}
	_, err := lvm.Free(bytes.NewReader(disk), pvBytes, func(lv io.ReaderAt, size int64) (*freemap.Map, error) {
		for at := 0; at < len(want); at += 4099 {
			got := make([]byte, 100_000)
			n, err := lv.ReadAt(got, int64(at))
			if rest := want[at:]; !bytes.Equal(got[:n], rest[:min(len(rest), len(got))]) || (err == io.EOF) != (n < len(got)) {
				t.Errorf("at %d: %d bytes, %v", at, n, err)
			}
		}
		if n, err := lv.ReadAt(make([]byte, 1), size); n != 0 || err != io.EOF {
			t.Errorf("at the end: %d bytes, %v", n, err)
		}
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
