package freemap_test

import (
	"bytes"
	"fmt"
	"io"
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

const largeSector = 4096

// largeParts are the partitions of disks with large sectors.
var largeParts = []struct {
	mib   int
	gpt   string // type
	mbr   string
	name  string // of the file system, as it is found
	make  []string
	check []string
	pkg   string
}{
	{20, "L", "83", "ext4", []string{"mke2fs", "-q", "-F", "-t", "ext4"}, []string{"e2fsck", "-f", "-n"}, "e2fsprogs"},
	{40, "U", "c", "FAT", []string{"mkfs.fat"}, []string{"fsck.fat", "-n"}, "dosfstools"},
	{36, "L", "83", "XFS", []string{"mkfs.xfs", "-q", "-f", "-K"}, []string{"xfs_repair", "-n"}, "xfsprogs"},
	{16, "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7", "7", "NTFS", []string{"mkntfs", "-q", "-F", "-f"}, nil, "ntfs-3g"},
	{16, "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7", "7", "exFAT", []string{"mkfs.exfat"}, []string{"fsck.exfat", "-n"}, "exfatprogs"},
	{112, "L", "83", "btrfs", []string{"mkfs.btrfs", "-q", "-f", "-K", "-m", "single"}, []string{"btrfs", "check"}, "btrfs-progs"},
	{4, "S", "82", "swap", []string{"mkswap"}, nil, "util-linux"},
}

// TestLargeSectors images disks with sectors of 4096 bytes, as devices and as
// files, and restores them to such a device.
func TestLargeSectors(t *testing.T) {
	t.Parallel()
	for _, label := range []string{"gpt", "dos"} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			d := newLargeDisk(t, label)
			for _, format := range []string{"-3", "--v5"} {
				d.restore(t, format)
			}
			d.file(t, label)
		})
	}
}

// largeDisk is a disk with sectors of 4096 bytes.
type largeDisk struct {
	path, device string
	layout       *zip.Layout
}

// script is what sfdisk makes the partitions of.
func script(label string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "label: %s\n", label)
	for i, p := range largeParts {
		kind := p.gpt
		if label == "dos" {
			kind = p.mbr
		}
		if label == "dos" && i == 3 {
			b.WriteString("type=f\n") // all others are logical ones
		}
		fmt.Fprintf(&b, "size=%dMiB, type=%s\n", p.mib, kind)
	}
	return b.String()
}

func newLargeDisk(t *testing.T, label string) *largeDisk {
	t.Helper()
	sfdisk := tools.Find(t, "sfdisk", "fdisk")
	d := &largeDisk{path: newFile(t, 300)}
	d.device, _ = tools.LoopSectors(t, d.path, largeSector)
	cmd := exec.Command(sfdisk, "-q", "--no-reread", "--no-tell-kernel", "--wipe", "never", d.device)
	cmd.Stdin = strings.NewReader(script(label))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("sfdisk: %v\n%s", err, out)
	}
	src, closer, err := zip.OpenSource(d.device)
	if err != nil {
		t.Fatal(err)
	}
	defer closer.Close()
	table, err := scheme.Read(partition.Disk{ReaderAt: src, Sectors: uint64(src.Bytes) / sectorBytes, Unit: src.Unit})
	if err != nil || len(table.Entries) != len(largeParts) || table.Unit != largeSector {
		t.Fatalf("%+v, %v", table, err)
	}
	var free uint64
	for i, e := range table.Entries {
		free += fillLarge(t, i, d.device, e)
	}
	if d.layout, err = zip.Analyze(src, zip.Options{MinFreeSectors: -1}); err != nil {
		t.Fatal(err)
	}
	d.check(t, free+freemap.Total(table.Free))
	return d
}

// fillLarge makes the file system of a partition, and returns how many of its
// sectors are free when it is looked at alone.
func fillLarge(t *testing.T, i int, disk string, e partition.Entry) uint64 {
	t.Helper()
	p := largeParts[i]
	if e.Sectors != uint64(p.mib)<<20/sectorBytes {
		t.Fatalf("partition of %d sectors, want %d MiB", e.Sectors, p.mib)
	}
	path := newFile(t, p.mib)
	device, detach := tools.LoopSectors(t, path, largeSector)
	args := p.make[1:]
	if p.name == "ext4" {
		args = append(args, "-d", tree(t))
	}
	tools.Run(t, tools.Find(t, p.make[0], p.pkg), append(args, device)...)
	detach()
	content := readFile(t, path)
	f, err := os.OpenFile(disk, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(content, int64(e.Start)*sectorBytes); err != nil {
		t.Fatal(err)
	}
	return freemap.Total(analyzeAs(t, content, zip.Options{MinFreeSectors: -1}).free())
}

// check holds what was found against what there is.
func (d *largeDisk) check(t *testing.T, free uint64) {
	t.Helper()
	for i, p := range d.layout.Parts {
		if !strings.Contains(strings.ToLower(p.FileSystem), strings.ToLower(strings.TrimRight(largeParts[i].name, "4"))) || p.FreeSectors == 0 {
			t.Errorf("partition %d is %s with %d free sectors, want %s", p.Number, p.FileSystem, p.FreeSectors, largeParts[i].name)
		}
	}
	if got := freemap.Total(freemap.Invert(d.layout.Data, 0, d.layout.Sectors)); got != free || len(d.layout.Warnings) > 0 {
		t.Errorf("%d sectors are free, want %d; warnings %q", got, free, d.layout.Warnings)
	}
	for _, r := range d.layout.Data {
		if r.Start%8 != 0 || r.End%8 != 0 {
			t.Errorf("data at sectors [%d,%d) is not whole ones of the disk", r.Start, r.End)
		}
	}
}

func command(t *testing.T, main func([]string, io.Reader, io.Writer, io.Writer) int, args ...string) (int, string) {
	t.Helper()
	var stderr bytes.Buffer
	return main(args, nil, io.Discard, &stderr), stderr.String()
}

// restore images the device with a program, and restores it to garbage.
func (d *largeDisk) restore(t *testing.T, format string) {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	if code, text := command(t, zip.Main, format, "-F", "0", d.device, image); code != 0 {
		t.Fatal(text)
	}
	small, _ := tools.Loop(t, newFile(t, 300))
	if code, text := command(t, unzip.Main, image, small); code != 1 || !strings.Contains(text, "partition table in sectors of 4096 bytes") {
		if format == "--v5" || d.layout.Scheme == "GPT" {
			t.Errorf("%s to sectors of 512 bytes: exit %d, %s", format, code, text)
		}
	}
	r := &restored{img: readFile(t, d.path), layout: d.layout}
	r.back = r.target(t)
	device, detach := tools.LoopSectors(t, r.path, largeSector)
	if code, text := command(t, unzip.Main, image, device); code != 0 {
		t.Fatalf("exit %d, %s", code, text)
	}
	sfdisk := tools.Find(t, "sfdisk", "fdisk")
	want, got := tools.Run(t, sfdisk, "-d", d.device), tools.Run(t, sfdisk, "-d", device)
	if strings.ReplaceAll(got, device, d.device) != want {
		t.Errorf("partition table %s, want %s", got, want)
	}
	detach()
	r.checkBytes(t)
	for i, p := range d.layout.Parts {
		if c := largeParts[i]; c.check != nil {
			checkLarge(t, r.back[p.Start*sectorBytes:][:p.Sectors*sectorBytes], c.check, c.pkg)
		}
	}
}

// checkLarge has a file system looked at by its own program.
func checkLarge(t *testing.T, content []byte, check []string, pkg string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "part")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	device, detach := tools.LoopSectors(t, path, largeSector)
	defer detach()
	tools.Run(t, tools.Find(t, check[0], pkg), append(check[1:], device)...)
}

// file images the same as a file, which does not tell its sectors.
func (d *largeDisk) file(t *testing.T, label string) {
	t.Helper()
	src, closer, err := zip.OpenSource(d.path)
	if err != nil {
		t.Fatal(err)
	}
	defer closer.Close()
	opts := zip.Options{MinFreeSectors: -1}
	if label == "dos" {
		if _, err := zip.Analyze(src, opts); err == nil || !strings.Contains(err.Error(), "--sector-size") {
			t.Errorf("an MBR that counts in what is not known: %v", err)
		}
		opts.SectorBytes = largeSector
	}
	l, err := zip.Analyze(src, opts)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(l.Data) != fmt.Sprint(d.layout.Data) {
		t.Errorf("of the file %v is kept, of the device %v", l.Data, d.layout.Data)
	}
}
