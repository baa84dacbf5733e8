package freemap_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"hyzer/bench/tools"
	"hyzer/imaging/freemap"
)

// mbrPart is a partition of a disk that is made for a test.
type mbrPart struct {
	kind    byte
	content []byte
}

// mbrDisk makes a disk of partitions, with a track before the first.
func mbrDisk(t *testing.T, parts []mbrPart) []byte {
	t.Helper()
	const start = 63 * sectorBytes
	img := make([]byte, start)
	img[510], img[511] = 0x55, 0xaa
	for i, p := range parts {
		e := img[446+16*i:]
		e[4] = p.kind
		binary.LittleEndian.PutUint32(e[8:], uint32(len(img)/sectorBytes))
		binary.LittleEndian.PutUint32(e[12:], uint32(len(p.content)/sectorBytes))
		img = append(img, p.content...)
	}
	return img
}

// head is a partition of garbage that begins with mark at byte at.
func head(at int, mark string) []byte {
	b := make([]byte, 1<<20)
	for i := range b {
		b[i] = 0x5a
	}
	copy(b[at:], mark)
	return b
}

// TestContent finds file systems by their content, whatever type the
// partition table says, and keeps what it does not know.
func TestContent(t *testing.T) {
	t.Parallel()
	xfs, exfat := newFile(t, 32), newFile(t, 8)
	tools.Run(t, tools.Find(t, "mkfs.xfs", "xfsprogs"), "-q", "-f", "-K", xfs)
	tools.Run(t, tools.Find(t, "mkfs.exfat", "exfatprogs"), exfat)
	for _, types := range [][4]byte{{0x83, 7, 0x83, 0x83}, {7, 0x83, 0x8e, 0xda}, {0xc, 0x82, 7, 7}} {
		img := mbrDisk(t, []mbrPart{
			{types[0], readFile(t, xfs)}, {types[1], readFile(t, exfat)},
			{types[2], head(0, "LUKS\xba\xbe\x00\x02")}, {types[3], head(0, "?")},
		})
		layout := analyze(t, img).layout
		var found []string
		for _, p := range layout.Parts {
			found = append(found, fmt.Sprintf("%s %v", p.FileSystem, p.FreeSectors > 0))
		}
		if got := strings.Join(found, ", "); got != "XFS true, exFAT true, LUKS false,  false" {
			t.Errorf("types %#x: found %s", types, got)
		}
		if all := strings.Join(layout.Warnings, "\n"); !strings.Contains(all, "partition 3: LUKS: encrypted; all of it is kept") {
			t.Errorf("warnings %q", all)
		}
	}
}

// TestTwoContents keeps everything of a partition that bears the marks of two
// file systems, of which Linux has one type for both.
func TestTwoContents(t *testing.T) {
	t.Parallel()
	xfs := newFile(t, 32)
	tools.Run(t, tools.Find(t, "mkfs.xfs", "xfsprogs"), "-q", "-f", "-K", xfs)
	for mark, at := range map[string]int{"_BHRfS_M": 64<<10 + 64, "SWAPSPACE2": 65536 - 10} {
		content := readFile(t, xfs)
		copy(content[at:], mark)
		r := analyze(t, mbrDisk(t, []mbrPart{{0x83, content}}))
		if r.layout.Parts[0].FreeSectors != 0 || !strings.Contains(strings.Join(r.layout.Warnings, "\n"), "several file systems (") {
			t.Errorf("%s: %d sectors are free, warnings %q", mark, r.layout.Parts[0].FreeSectors, r.layout.Warnings)
		}
	}
}

// TestBareVolumes takes a whole disk without partitions for what is on it.
func TestBareVolumes(t *testing.T) {
	t.Parallel()
	r := analyze(t, head(0, "LUKS\xba\xbe\x00\x01"))
	r.wantWhole(t, "LUKS: encrypted")
	if r.layout.Scheme != "bare" || freemap.Total(r.layout.Data) != r.layout.Sectors {
		t.Errorf("%s of %d sectors, %d in use", r.layout.Scheme, r.layout.Sectors, freemap.Total(r.layout.Data))
	}
}

// TestBeyond has tables of other, larger disks: what no partition has is not
// known to be free then.
func TestBeyond(t *testing.T) {
	t.Parallel()
	for start, kept := range map[uint32]bool{63: false, 100 << 11: true, 0xfffffff0: true} {
		img := mbrDisk(t, []mbrPart{{0x83, head(0, "?")}})
		img = append(img, head(0, "?")...)
		binary.LittleEndian.PutUint32(img[446+8:], start)
		r := analyze(t, img)
		if kept {
			r.wantWhole(t, "all that no partition has is kept")
		} else if freemap.Total(r.free()) != 1<<20/sectorBytes {
			t.Errorf("%d sectors are free of what is after the last partition", freemap.Total(r.free()))
		}
	}
}
