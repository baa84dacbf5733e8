package freemap_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hyzer/bench/tools"
	"hyzer/imaging/freemap"
	"hyzer/imaging/zip"
)

// extMkfs are the layouts that are made.
func extMkfs() []row {
	return []row{
		{"ext2, blocks of 1 KiB", "-t ext2 -b 1024", 24},
		{"ext3, blocks of 4 KiB", "-t ext3 -b 4096", 48},
		{"ext4", "-t ext4", 32},
		{"ext4, blocks of 1 KiB", "-t ext4 -b 1024", 32},
		{"ext4, blocks of 64 KiB", "-t ext4 -b 65536", 64},
		{"uninitialised groups", "-t ext4 -b 1024 -O ^metadata_csum,uninit_bg,^flex_bg", 48},
		{"uninitialised groups, 32 bits", "-t ext4 -b 1024 -O ^metadata_csum,^64bit,uninit_bg,flex_bg -G 2", 48},
		{"uninitialised groups, 64 bits", "-t ext4 -b 1024 -O metadata_csum,64bit,^flex_bg,^resize_inode", 48},
		{"bigalloc", "-t ext4 -O bigalloc -C 16384", 48},
		{"bigalloc, blocks of 1 KiB", "-t ext4 -b 1024 -O bigalloc -C 8192", 48},
		{"meta_bg", "-t ext4 -b 1024 -O meta_bg,^resize_inode", 48},
		{"meta_bg, 32 bits", "-t ext4 -b 1024 -O meta_bg,^resize_inode,^64bit,^metadata_csum,uninit_bg", 48},
		{"sparse_super2", "-t ext4 -b 1024 -O sparse_super2,^resize_inode", 48},
		{"no sparse_super", "-t ext2 -b 1024 -O ^sparse_super,^resize_inode", 32},
		{"small groups", "-t ext4 -b 1024 -g 1024 -O ^resize_inode", 40},
		{"short last group", "-t ext4 -b 1024", 41},
		{"metadata_csum_seed", "-t ext4 -O metadata_csum,metadata_csum_seed -U 01234567-89ab-cdef-0123-456789abcdef", 32},
		{"inline_data, no journal", "-t ext4 -O ^has_journal,inline_data -I 512", 32},
		{"Debian 13, Fedora: orphan_file, metadata_csum_seed", "-t ext4 -O orphan_file,metadata_csum_seed,64bit", 32},
		{"Android: casefold, encrypt, verity, stable_inodes", "-t ext4 -O casefold,encrypt,verity,stable_inodes,project", 32},
		{"large_dir, ea_inode, mmp", "-t ext4 -O large_dir,ea_inode,mmp,huge_file,dir_nlink,extra_isize", 32},
		{"journal of fast commits", "-t ext4 -O fast_commit -J size=8,fast_commit_size=1", 48},
		{"raid stride", "-t ext4 -E stride=16,stripe_width=64", 32},
	}
}

// TestExt images file systems of every layout, and has e2fsck and debugfs look
// at what is restored.
func TestExt(t *testing.T) {
	t.Parallel()
	mke2fs, files := tools.Find(t, "mke2fs", "e2fsprogs"), tree(t)
	for _, c := range extMkfs() {
		t.Run(c.feature, func(t *testing.T) {
			t.Parallel()
			path := newFile(t, c.mib)
			args := append([]string{"-q", "-F", "-E", "lazy_itable_init=1", "-d", files}, strings.Fields(c.args)...)
			out, err := tools.Try(mke2fs, append(args, path)...)
			if strings.Contains(out, "Invalid filesystem option set") {
				t.Skip("the mke2fs that is installed is too old")
			}
			if err != nil {
				t.Fatalf("mke2fs %q: %v\n%s", args, err, out)
			}
			checkExt(t, path)
		})
	}
}

// checkExt images the file system at path and restores it over garbage.
func checkExt(t *testing.T, path string) {
	t.Helper()
	r := restore(t, path)
	r.wantFree(t, extFree(t, path))
	tools.Run(t, tools.Find(t, "e2fsck", "e2fsprogs"), "-f", "-n", r.path)
	// debugfs gets some files of inline data wrong, so both sides are its.
	debugfs, want, got := tools.Find(t, "debugfs", "e2fsprogs"), t.TempDir(), t.TempDir()
	tools.Run(t, debugfs, "-R", "rdump / "+want, path)
	tools.Run(t, debugfs, "-R", "rdump / "+got, r.path)
	sameTree(t, want, got, treeFiles)
}

// extFree is the number of free sectors in the superblock.
func extFree(t *testing.T, path string) uint64 {
	t.Helper()
	var blocks, size uint64
	for _, line := range strings.Split(tools.Run(t, tools.Find(t, "dumpe2fs", "e2fsprogs"), "-h", path), "\n") {
		fmt.Sscanf(line, "Free blocks: %d", &blocks)
		fmt.Sscanf(line, "Block size: %d", &size)
	}
	return blocks * size / sectorBytes
}

// TestExtKept has what is no file system of its own, or not a clean one.
func TestExtKept(t *testing.T) {
	t.Parallel()
	mke2fs := tools.Find(t, "mke2fs", "e2fsprogs")
	path, journal := newFile(t, 16), newFile(t, 8)
	tools.Run(t, mke2fs, "-q", "-F", "-b", "4096", "-O", "journal_dev", journal)
	tools.Run(t, mke2fs, "-q", "-F", "-t", "ext4", "-O", "^metadata_csum", path)
	if l := analyze(t, readFile(t, path)).layout; len(l.Warnings) > 0 {
		t.Errorf("warnings %q", l.Warnings)
	}
	r := analyze(t, readFile(t, journal))
	r.wantWhole(t, "the journal of another")
	img := readFile(t, path)
	for _, c := range []struct {
		at    int
		value byte
		text  string
	}{
		{1024 + 96, img[1024+96] | 4, "journal needs recovery"}, // what it allocates is not in the bitmaps
		{1024 + 58, 0, "not clean"},
		{1024 + 58, 3, "has errors"},
		{1024 + 98, img[1024+98] | 0x40, "unknown incompatible features"},
		{1024 + 32, 7, "clusters in a group"},
	} {
		changed := memory(t, nil, len(img))
		copy(changed, img)
		changed[c.at] = c.value
		analyze(t, changed).wantWhole(t, c.text)
	}
}

// TestExtUsed copies a file system while it is mounted: the files are there when
// the journal is replayed, and the bitmaps do not know of them.
func TestExtUsed(t *testing.T) {
	t.Parallel()
	path, files := newFile(t, 64), tree(t)
	tools.Run(t, tools.Find(t, "mke2fs", "e2fsprogs"), "-q", "-F", "-t", "ext4", path)
	live := memory(t, nil, 64<<20)
	whileMounted(t, path, "", func(root string) {
		tools.Run(t, tools.Find(t, "cp", "coreutils"), "-r", files, root)
		synced(t, root)
		copy(live, readFile(t, path))
	})
	if live[1024+96]&4 == 0 {
		t.Fatal("copy has nothing to replay")
	}
	analyze(t, live).wantWhole(t, "journal needs recovery")
}

// synced makes what is below root durable, a file at a time: the file system
// leaves its bitmaps in the journal then.
func synced(t *testing.T, root string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		return f.Sync()
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestFAT images file systems with files, and has fsck.fat look at them.
func TestFAT(t *testing.T) {
	t.Parallel()
	mkfs, fsck, mcopy := tools.Find(t, "mkfs.fat", "dosfstools"), tools.Find(t, "fsck.fat", "dosfstools"), tools.Find(t, "mcopy", "mtools")
	files := t.TempDir()
	writeFiles(t, files, treeFiles, 14)
	for _, c := range fatMkfs() {
		t.Run(c.feature, func(t *testing.T) {
			t.Parallel()
			path := newFile(t, c.mib)
			tools.Run(t, mkfs, append(strings.Fields(c.args), path)...)
			if !strings.Contains(c.args, "-S") { // mtools knows sectors of 512 bytes only
				tools.Run(t, mcopy, "-s", "-Q", "-i", path, filepath.Join(files, "d0"), filepath.Join(files, "d1"), filepath.Join(files, "d2"), "::")
			}
			r := restore(t, path)
			r.wantFree(t, fatFree(t, fsck, path))
			tools.Run(t, fsck, "-n", r.path)
			if strings.Contains(c.args, "-S") {
				return
			}
			got := t.TempDir()
			tools.Run(t, mcopy, "-s", "-Q", "-i", r.path, "::d0", "::d1", "::d2", got)
			sameTree(t, got, files, 50)
		})
	}
}

// TestFATKept has file systems that are not clean, or cannot be believed.
func TestFATKept(t *testing.T) {
	t.Parallel()
	mkfs := tools.Find(t, "mkfs.fat", "dosfstools")
	for _, c := range []struct {
		args  string
		mib   int
		at    int // of the byte that is changed
		value byte
		text  string
	}{
		{"-F 12", 4, 37, 1, "not clean"},
		{"-F 16", 16, 37, 1, "not clean"},
		{"-F 32", 40, 65, 1, "not clean"},
		{"-F 16 -a -R 1", 16, 512 + 3, 0x7f, "not clean"},
		{"-F 32 -R 32", 40, 32*512 + 7, 0x07, "not clean"},
		{"-F 16 -a -R 1", 16, 512, 0x12, "media byte"},
	} {
		path := newFile(t, c.mib)
		tools.Run(t, mkfs, append(strings.Fields("-I "+c.args), path)...)
		img := readFile(t, path)
		img[c.at] = c.value
		analyze(t, img).wantWhole(t, c.text)
	}
}

func fatMkfs() []row {
	return []row{
		{"FAT12", "-F 12 -I", 4},
		{"FAT16", "-F 16 -I", 16},
		{"FAT16, clusters of 64 KiB", "-F 16 -I -s 128", 300},
		{"FAT32", "-F 32 -I", 40},
		{"FAT32, one FAT", "-F 32 -I -f 1 -s 1", 40},
		{"FAT32, sectors of 4096 bytes", "-F 32 -I -S 4096 -s 1", 272},
	}
}

// fatFree is the number of free sectors after what fsck.fat counts.
func fatFree(t *testing.T, fsck, path string) uint64 {
	t.Helper()
	var used, all, bytes uint64
	for _, line := range strings.Split(tools.Run(t, fsck, "-n", "-v", path), "\n") {
		line = strings.TrimSpace(line)
		if n, ok := strings.CutSuffix(line, " bytes per cluster"); ok {
			fmt.Sscan(n, &bytes)
		}
		if at := strings.LastIndex(line, " files, "); at >= 0 {
			fmt.Sscanf(line[at:], " files, %d/%d clusters", &used, &all)
		}
	}
	return (all - used) * bytes / sectorBytes
}

// TestNTFS images file systems with files, and has ntfsinfo and ntfscat look at
// them.
func TestNTFS(t *testing.T) {
	t.Parallel()
	mkfs, cp, files := tools.Find(t, "mkntfs", "ntfs-3g"), tools.Find(t, "ntfscp", "ntfs-3g"), tree(t)
	for _, c := range ntfsMkfs() {
		t.Run(c.feature, func(t *testing.T) {
			t.Parallel()
			path := newFile(t, c.mib)
			tools.Run(t, mkfs, append(strings.Fields("-q -F -f "+c.args), path)...)
			for i := range 20 {
				tools.Run(t, cp, "-q", path, filepath.Join(files, fmt.Sprintf("d%d/f%d", i%7, i)), fmt.Sprintf("f%d", i))
			}
			r := restore(t, path)
			r.wantFree(t, ntfsFree(t, path))
			cat := tools.Find(t, "ntfscat", "ntfs-3g")
			tools.Run(t, tools.Find(t, "ntfsfix", "ntfs-3g"), "-n", r.path)
			for i := range 20 {
				want, err := os.ReadFile(filepath.Join(files, fmt.Sprintf("d%d/f%d", i%7, i)))
				if got := tools.Run(t, cat, "-q", r.path, fmt.Sprintf("f%d", i)); err != nil || got != string(want) {
					t.Errorf("file %d has %d bytes, want %d, %v", i, len(got), len(want), err)
				}
			}
		})
	}
}

func ntfsMkfs() []row {
	return []row{
		{"default", "", 16},
		{"clusters of 512 bytes", "-c 512", 8},
		{"clusters of 64 KiB", "-c 65536", 48},
		{"clusters of 2 MiB", "-c 2097152", 128},
		{"sectors of 4096 bytes", "-s 4096", 24},
	}
}

// ntfsFree is the number of free sectors that ntfsinfo counts.
func ntfsFree(t *testing.T, path string) uint64 {
	t.Helper()
	var clusters, bytes uint64
	for _, line := range strings.Split(tools.Run(t, tools.Find(t, "ntfsinfo", "ntfs-3g"), "-m", path), "\n") {
		line = strings.TrimSpace(line)
		fmt.Sscanf(line, "Cluster Size: %d", &bytes)
		fmt.Sscanf(line, "Free Clusters: %d", &clusters)
	}
	return clusters * bytes / sectorBytes
}

// TestTail leaves out what is after file systems that are smaller than where
// they are: the copy of the boot sector after an NTFS is not that.
func TestTail(t *testing.T) {
	t.Parallel()
	path := newFile(t, 24)
	tools.Run(t, tools.Find(t, "mkntfs", "ntfs-3g"), "-q", "-F", "-f", path, "32768")
	img := readFile(t, path)
	r := analyze(t, img)
	if all := strings.Join(r.layout.Warnings, "\n"); !strings.Contains(all, "16384 sectors after the NTFS file system are kept") {
		t.Errorf("warnings %q", all)
	}
	r = analyzeAs(t, img, zip.Options{SkipTail: true})
	if end := r.layout.Data[len(r.layout.Data)-1].End; end != 32768 || len(r.layout.Warnings) > 0 {
		t.Errorf("data up to sector %d, want 32768; warnings %q", end, r.layout.Warnings)
	}
}

// TestNTFSKept has volumes whose bitmap may not be what it ought to be.
func TestNTFSKept(t *testing.T) {
	t.Parallel()
	path := newFile(t, 16)
	tools.Run(t, tools.Find(t, "mkntfs", "ntfs-3g"), "-q", "-F", "-f", path)
	img := readFile(t, path)
	log := bytes.Index(img, bytes.Repeat([]byte{0xff}, 1<<20))
	restart := func(lsn, inUse, flags byte) string {
		b := make([]byte, 96)
		copy(b, "RSTR")
		b[17], b[24], b[48], b[48+12], b[48+13], b[48+14] = 0x10, 48, lsn, inUse, inUse, flags
		return string(b)
	}
	closed, open := restart(1, 0xff, 0), restart(2, 0, 0)
	for _, c := range []struct {
		name          string
		first, second string
		kept          bool
	}{
		{"unmounted", closed, restart(2, 0xff, 0), false},
		{"unmounted, as newer Windows says it", restart(1, 0, 2), restart(2, 0, 2), false},
		{"mounted, by the second page", closed, open, true},
		{"mounted, by the first page", open, closed, true},
		{"no restart page", "xxxx", "xxxx", true},
	} {
		changed := memory(t, nil, len(img))
		copy(changed, img)
		copy(changed[log:], c.first)
		copy(changed[log+4096:], c.second)
		if r := analyze(t, changed); c.kept {
			r.wantWhole(t, "$LogFile has changes")
		} else if len(r.layout.Warnings) > 0 || freemap.Total(r.free()) == 0 {
			t.Errorf("%s: warnings %q", c.name, r.layout.Warnings)
		}
	}
}

// TestSwap keeps the heads of swap areas of every page size.
func TestSwap(t *testing.T) {
	t.Parallel()
	for _, c := range swapMkfs() {
		path := newFile(t, c.mib)
		tools.Run(t, tools.Find(t, "mkswap", "util-linux"), append(strings.Fields(c.args), path)...)
		r := restore(t, path)
		kept := uint64(64)
		if strings.Contains(c.args, "65536") {
			kept = 128
		}
		r.wantFree(t, uint64(c.mib)<<20/sectorBytes-kept)
		blkid := tools.Find(t, "blkid", "util-linux")
		want := tools.Run(t, blkid, "-p", "-o", "export", path)
		if got := tools.Run(t, blkid, "-p", "-o", "export", r.path); strings.ReplaceAll(got, r.path, path) != want {
			t.Errorf("%s: restored to %s, was %s", c.feature, got, want)
		}
	}
}

func swapMkfs() []row {
	return []row{
		{"UUID and label", "-L swap -U 01234567-89ab-cdef-0123-456789abcdef", 2},
		{"pages of 16 KiB", "-p 16384", 4},
		{"pages of 64 KiB", "-p 65536 -L swap64", 4},
	}
}

// TestMembers keeps what is a part of something larger, although it begins with
// a file system, or what is left of one.
func TestMembers(t *testing.T) {
	t.Parallel()
	path := newFile(t, 16)
	tools.Run(t, tools.Find(t, "mke2fs", "e2fsprogs"), "-q", "-F", "-t", "ext4", path)
	img := readFile(t, path)
	end := len(img)
	for _, c := range []struct {
		name, mark string
		at         int
	}{
		{"Linux RAID", "\xfc\x4e\x2b\xa9", 4096},               // 1.2
		{"Linux RAID", "\xfc\x4e\x2b\xa9", 0},                  // 1.1
		{"Linux RAID", "\xfc\x4e\x2b\xa9", end - 8192},         // 1.0
		{"Linux RAID", "\xfc\x4e\x2b\xa9", end - 65536},        // 0.90
		{"Linux RAID", "\xa9\x2b\x4e\xfc", end - 65536},        // of big-endian machines
		{"ZFS", "\x0c\xb1\xba\x00\x00\x00\x00\x00", 132 << 10}, // an uberblock
		{"ZFS", "\x00\x00\x00\x00\x00\xba\xb1\x0c", 255 << 10},
		{"ZFS", "\x0c\xb1\xba\x00\x00\x00\x00\x00", end - 128<<10},
		{"Intel RAID", "Intel Raid ISM Cfg Sig. 1.3.00", end - 1024},
		{"DDF RAID", "\xde\x11\xde\x11", end - 512},
		{"bcache", "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81", 4096 + 24},
		{"BitLocker", "-FVE-FS-", 3},
		{"BitLocker", "\x3b\xd6\x67\x49\x29\x2e\xd8\x4a\x83\x99\xf6\xa3\x39\xe3\xd0\x01", 424},
		{"dm-integrity", "integrt\x00", 0},
		{"VDO", "dmvdo001", 0},
	} {
		changed := memory(t, nil, end)
		copy(changed, img)
		copy(changed[c.at:], c.mark)
		analyze(t, changed).wantWhole(t, c.name+": ")
		r := analyze(t, mbrDisk(t, []mbrPart{{0x83, changed}, {0x83, img}}))
		if p := r.layout.Parts; len(p) != 2 || p[0].FileSystem != c.name || p[0].FreeSectors != 0 || p[1].FreeSectors == 0 {
			t.Errorf("%s at byte %d: %+v", c.name, c.at, p)
		}
	}
	disk := mbrDisk(t, []mbrPart{{0x83, img}, {0x83, make([]byte, 1<<20)}})
	copy(disk[len(disk)-1024:], "Intel Raid ISM Cfg Sig. 1.3.00")
	if r := analyze(t, disk[:len(disk):len(disk)]); freemap.Total(r.free()) == 0 {
		t.Error("mark in the last partition keeps the disk")
	}
	clear(disk[len(disk)-1024:])
	disk = append(disk, make([]byte, 256<<10)...)
	copy(disk[len(disk)-1024:], "Intel Raid ISM Cfg Sig. 1.3.00")
	analyze(t, disk).wantWhole(t, "disk is a part of Intel RAID")
}
