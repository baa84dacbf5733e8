package freemap_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hyzer/bench/tools"
	"hyzer/imaging/freemap"
	"hyzer/imaging/partition"
	"hyzer/imaging/partition/scheme"
	"hyzer/imaging/unzip"
	"hyzer/imaging/zip"
)

// windowsDisks are the disks that the setup of Windows makes, for UEFI and for a
// BIOS, but for their sizes.
func windowsDisks() []windowsDisk {
	const basicData, recovery = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7", "DE94BBA4-06D1-4D40-A16A-BFD50179D6AC"
	return []windowsDisk{
		{"UEFI: EFI system, reserved, NTFS, recovery NTFS with attributes", 200, []string{
			"label: gpt",
			"size=64MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name=\"EFI system partition\"",
			"size=16MiB, type=E3C9E316-0B5C-4DB8-817D-F92DF00215AE, name=\"Microsoft reserved partition\"",
			"size=80MiB, type=" + basicData + ", name=\"Basic data partition\"",
			"size=32MiB, type=" + recovery + ", attrs=\"RequiredPartition GUID:63\"",
		}, []string{"FAT", "", "NTFS", "NTFS"}},
		{"BIOS: system reserved NTFS, NTFS", 120, []string{
			"label: dos",
			"label-id: 0xb105f00d",
			"size=32MiB, type=7, bootable",
			"size=80MiB, type=7",
		}, []string{"NTFS", "NTFS"}},
	}
}

type windowsDisk struct {
	name    string
	mib     int
	script  []string // for sfdisk
	content []string // of its partitions
}

func windowsRows() (rows []row) {
	for _, d := range windowsDisks() {
		rows = append(rows, row{feature: d.name})
	}
	return rows
}

// TestWindows images disks as Windows has them and restores them to devices of
// something else.
func TestWindows(t *testing.T) {
	t.Parallel()
	for _, d := range windowsDisks() {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			w := d.make(t)
			for _, format := range []string{"-3", "--v5"} {
				w.restore(t, format)
			}
		})
	}
}

// windowsMade is a disk with what is in it.
type windowsMade struct {
	windowsDisk
	path, files string
	parts       []partition.Entry
	layout      *zip.Layout
}

func (d windowsDisk) make(t *testing.T) *windowsMade {
	t.Helper()
	w := &windowsMade{windowsDisk: d, path: newFile(t, d.mib), files: tree(t)}
	cmd := exec.Command(tools.Find(t, "sfdisk", "fdisk"), "-q", "--wipe", "never", w.path)
	cmd.Stdin = strings.NewReader(strings.Join(d.script, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("sfdisk: %v\n%s", err, out)
	}
	img := readFile(t, w.path)
	table, err := scheme.Read(partition.Disk{ReaderAt: bytes.NewReader(img), Sectors: uint64(len(img)) / sectorBytes})
	if err != nil || len(table.Entries) != len(d.content) {
		t.Fatalf("%+v, %v", table, err)
	}
	w.parts = table.Entries
	free := freemap.Total(table.Free)
	for i, e := range w.parts {
		content, unused := w.fill(t, i, e)
		copy(img[e.Start*sectorBytes:], content)
		free += unused
	}
	if err := os.WriteFile(w.path, img, 0o600); err != nil {
		t.Fatal(err)
	}
	r := analyzeAs(t, readFile(t, w.path), zip.Options{MinFreeSectors: -1})
	w.layout = r.layout
	r.wantFree(t, free)
	for i, p := range w.layout.Parts {
		if !strings.HasPrefix(p.FileSystem, d.content[i]) || (p.FileSystem == "") != (d.content[i] == "") {
			t.Errorf("partition %d is %q, want %q", p.Number, p.FileSystem, d.content[i])
		}
	}
	return w
}

// fill makes the content of a partition, and returns how many sectors of it other
// programs call free.
func (w *windowsMade) fill(t *testing.T, i int, e partition.Entry) (content []byte, free uint64) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "part")
	if err := os.WriteFile(path, bytes.Repeat([]byte{0x5a}, int(e.Sectors)*sectorBytes), 0o600); err != nil {
		t.Fatal(err)
	}
	switch w.content[i] {
	case "FAT":
		tools.Run(t, tools.Find(t, "mkfs.fat", "dosfstools"), "-F", "32", "-h", fmt.Sprint(e.Start), path)
		tools.Run(t, tools.Find(t, "mcopy", "mtools"), "-s", "-i", path, filepath.Join(w.files, "d1"), "::EFI")
		free = freemap.Total(analyzeAs(t, readFile(t, path), zip.Options{MinFreeSectors: -1}).free())
	case "NTFS":
		tools.Run(t, tools.Find(t, "mkntfs", "ntfs-3g"), "-q", "-F", "-f", "-p", fmt.Sprint(e.Start), "-H", "255", "-S", "63", path)
		for n := range 20 {
			tools.Run(t, tools.Find(t, "ntfscp", "ntfs-3g"), "-q", path, w.file(n), fmt.Sprintf("f%d", n))
		}
		free = ntfsFree(t, path)
	}
	return readFile(t, path), free
}

func (w *windowsMade) file(n int) string {
	return filepath.Join(w.files, fmt.Sprintf("d%d/f%d", n%7, n))
}

// restore images the disk with a program, and restores it to garbage.
func (w *windowsMade) restore(t *testing.T, format string) {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	if code, text := command(t, zip.Main, format, "-F", "0", w.path, image); code != 0 {
		t.Fatal(text)
	}
	r := &restored{img: readFile(t, w.path), layout: w.layout}
	r.back = r.target(t)
	device, detach := tools.Loop(t, r.path)
	if code, text := command(t, unzip.Main, image, device); code != 0 {
		t.Fatalf("%s: exit %d, %s", format, code, text)
	}
	sfdisk := tools.Find(t, "sfdisk", "fdisk")
	want, got := tools.Run(t, sfdisk, "-d", w.path), tools.Run(t, sfdisk, "-d", device)
	if strings.ReplaceAll(strings.ReplaceAll(got, device+"p", w.path), device, w.path) != want {
		t.Errorf("%s: partition table %s, want %s", format, got, want)
	}
	detach()
	r.checkBytes(t)
	if !bytes.Equal(r.back[:sectorBytes], r.img[:sectorBytes]) {
		t.Errorf("%s: boot code, disk signature or partition table are others", format)
	}
	for i, e := range w.parts {
		w.check(t, i, e, r.back[e.Start*sectorBytes:e.End()*sectorBytes])
	}
}

// check has the content of a restored partition looked at by its own programs.
func (w *windowsMade) check(t *testing.T, i int, e partition.Entry, content []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "part")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	switch w.content[i] {
	case "":
		if !bytes.Equal(content, bytes.Repeat([]byte{0x5a}, len(content))) {
			t.Error("what is no file system is not as it was")
		}
	case "FAT":
		tools.Run(t, tools.Find(t, "fsck.fat", "dosfstools"), "-n", path)
		back := t.TempDir()
		tools.Run(t, tools.Find(t, "mcopy", "mtools"), "-s", "-i", path, "::EFI", back)
		sameTree(t, filepath.Join(w.files, "d1"), filepath.Join(back, "EFI"), 2)
	case "NTFS":
		if !bytes.Equal(content[:80], content[len(content)-sectorBytes:][:80]) {
			t.Errorf("partition %d: the copy of the boot sector at the end is not there", e.Number)
		}
		tools.Run(t, tools.Find(t, "ntfsfix", "ntfs-3g"), "-n", path)
		if ntfsFree(t, path) == 0 {
			t.Errorf("partition %d: ntfsinfo finds nothing free", e.Number)
		}
		for n := range 20 {
			want, err := os.ReadFile(w.file(n))
			if got := tools.Run(t, tools.Find(t, "ntfscat", "ntfs-3g"), "-q", path, fmt.Sprintf("f%d", n)); err != nil || got != string(want) {
				t.Errorf("partition %d: file %d has %d bytes, want %d, %v", e.Number, n, len(got), len(want), err)
			}
		}
	}
}
