package freemap_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the table of docs/imaging.md instead of comparing it")

const (
	tableFile  = "../../docs/imaging.md"
	tableBegin = "<!-- table -->\n"
	tableEnd   = "<!-- end of table -->\n"
)

// subject is a file system as it is tested.
type subject struct {
	name, program string
	rows          []row
	checker       string // looks at the restored disk
	counted       string // what tells the free space independently
	test          string
}

func subjects() []subject {
	const here = "imaging/freemap "
	used := func(features ...string) (list []row) {
		for _, f := range features {
			list = append(list, row{feature: f})
		}
		return list
	}
	return []subject{
		{"ext2, ext3, ext4", "mke2fs", extMkfs(), "e2fsck, debugfs", "dumpe2fs", here + "TestExt"},
		{"ext2, ext3, ext4", "", used("copied while mounted: kept whole"), "bytes", "", here + "TestExtUsed"},
		{"ext2, ext3, ext4", "", used("journal device, not clean, errors, damaged superblock: kept whole"), "bytes", "", here + "TestExtKept"},
		{"FAT", "mkfs.fat", fatMkfs(), "fsck.fat, mcopy", "fsck.fat", here + "TestFAT"},
		{"FAT", "", used("not clean, damaged: kept whole"), "bytes", "", here + "TestFATKept"},
		{"NTFS", "mkntfs", ntfsMkfs(), "ntfsfix, ntfscat", "ntfsinfo", here + "TestNTFS"},
		{"NTFS", "", used("log with changes: kept whole"), "bytes", "", here + "TestNTFSKept"},
		{"Linux swap", "mkswap", swapMkfs(), "blkid", "", here + "TestSwap"},
		{"ext, FAT, NTFS, UFS, swap", "", used("golden disks"), "bytes", "images of the old program", "imaging/zip TestSameSectors"},
		{"disks of Windows", "", windowsRows(), "sfdisk, fsck.fat, ntfsfix, ntfsinfo, ntfscat", "ntfsinfo", here + "TestWindows"},
		{"disks with sectors of 4096 bytes", "", used("GPT: ext4, FAT, XFS, NTFS, exFAT, btrfs, swap, as device and as file", "MBR with logical partitions, the same"), "sfdisk, e2fsck, fsck.fat, xfs_repair, fsck.exfat, btrfs check", "each file system alone", here + "TestLargeSectors"},
		{"XFS", "mkfs.xfs", xfsMkfs(), "xfs_repair", "xfs_db", here + "TestXFS"},
		{"XFS", "", used("mounted, files removed", "copied while mounted: kept whole"), "xfs_repair, mount", "xfs_db", here + "TestXFSUsed"},
		{"XFS", "", used("log on another device: kept whole", "realtime device"), "bytes", "xfs_db", here + "TestXFSKept"},
		{"XFS", "", used("single bytes damaged: kept whole, or the group is"), "bytes", "", here + "TestXFSDamaged"},
		{"exFAT", "mkfs.exfat", exfatMkfs(), "fsck.exfat", "dump.exfat", here + "TestExFAT"},
		{"exFAT", "", used("dirty, single bytes damaged: kept whole"), "bytes", "", here + "TestExFATDamaged"},
		{"btrfs", "mkfs.btrfs", btrfsMkfs(), "btrfs check, btrfs restore", "block groups in dump-tree", here + "TestBtrfs"},
		{"btrfs", "", used("mounted, snapshot, zstd, files removed", "copied with a log: kept whole"), "btrfs check, btrfs restore", "block groups in dump-tree", here + "TestBtrfsUsed"},
		{"btrfs", "", used("two devices, RAID: kept whole"), "bytes", "", here + "TestBtrfsKept"},
		{"btrfs", "", used("single bytes damaged: kept whole"), "bytes", "", here + "TestBtrfsDamaged"},
		{"F2FS", "mkfs.f2fs", f2fsMkfs(), "fsck.f2fs", "fsck.f2fs", here + "TestF2FS"},
		{"F2FS", "", used("mounted, files removed", "copied while mounted: kept whole"), "fsck.f2fs", "fsck.f2fs", here + "TestF2FSUsed"},
		{"F2FS", "", used("single bytes damaged: kept whole"), "bytes", "", here + "TestF2FSDamaged"},
		{"LVM2", "lvcreate", used("linear volumes in pieces, with ext4, XFS, swap, other content"), "pvck, vgck, lvs; e2fsck, xfs_repair", "lvs, and each file system alone", here + "TestLVM"},
		{"LVM2", "", used("snapshots, thin pools, RAID, stripes, moves; damage: kept"), "bytes", "", "imaging/partition/lvm"},
		{"Linux, Intel and DDF RAID, ZFS, bcache, BitLocker, dm-integrity, VDO", "", used("member of it: kept whole, also over the rest of a file system"), "bytes", "", here + "TestMembers"},
		{"LUKS, unknown", "", used("any partition type, or none: kept whole"), "bytes", "", here + "TestContent"},
	}
}

// table is the text of the table.
func table() string {
	var b strings.Builder
	b.WriteString("| file system | feature | made with | checked with | free space counted by | test |\n|---|---|---|---|---|---|\n")
	for _, s := range subjects() {
		for _, r := range s.rows {
			made := ""
			if s.program != "" {
				made = "`" + strings.TrimSpace(s.program+" "+r.args) + "`"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", s.name, r.feature, made, s.checker, s.counted, s.test)
		}
	}
	return b.String()
}

// TestTable holds the table of the documentation against the tests.
func TestTable(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(tableFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), tableBegin)
	old, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", tableFile)
	}
	if *rewrite {
		if err := os.WriteFile(tableFile, []byte(before+tableBegin+table()+tableEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if old != table() {
		t.Errorf("the table in %s is old: run go test ./imaging/freemap -run TestTable -rewrite", tableFile)
	}
}
