package freemap_test

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"hyzer/bench/tools"
)

// btrfsMkfs are the layouts that are made.
func btrfsMkfs() []row {
	return []row{
		{"default (DUP metadata)", "", 128},
		{"single metadata", "-m single -d single", 112},
		{"DUP data", "-m dup -d dup", 128},
		{"mixed block groups", "--mixed -m single -d single", 96},
		{"mixed, DUP", "--mixed -m dup -d dup", 192},
		{"tree blocks of 64 KiB", "-n 65536", 128},
		{"block group tree (btrfs-progs 6.3 on)", "-O block-group-tree", 128},
		{"old features", "-O ^no-holes,^skinny-metadata -R ^free-space-tree", 128},
		{"xxHash checksums", "--csum xxhash", 128},
		{"SHA-256 checksums", "--csum sha256", 128},
		{"BLAKE2 checksums", "--csum blake2", 128},
	}
}

var btrfsGroup = regexp.MustCompile(`block group used (\d+) chunk_objectid \d+ flags (\S+)`)

// btrfsFree is the number of free sectors after what the block groups count.
func btrfsFree(t *testing.T, path string, bytes uint64) uint64 {
	t.Helper()
	free := bytes - 1<<20
	if bytes > 64<<20 {
		free -= 64 << 10 // the second superblock
	}
	groups := btrfsGroup.FindAllStringSubmatch(tools.Run(t, tools.Find(t, "btrfs", "btrfs-progs"), "inspect-internal", "dump-tree", path), -1)
	if len(groups) == 0 {
		t.Fatal("no block groups")
	}
	for _, g := range groups {
		used, err := strconv.ParseUint(g[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(g[2], "DUP") {
			used *= 2
		}
		free -= used
	}
	return free / sectorBytes
}

// checkBtrfs restores the file system and has btrfs check and read it.
func checkBtrfs(t *testing.T, path, files string, filesMin int) *restored {
	t.Helper()
	btrfs := tools.Find(t, "btrfs", "btrfs-progs")
	r := restore(t, path)
	r.wantFree(t, btrfsFree(t, path, uint64(len(r.img))))
	back := r.path
	tools.Run(t, btrfs, "check", "--check-data-csum", back)
	got := t.TempDir()
	tools.Run(t, btrfs, "restore", back, got)
	sameTree(t, files, got, filesMin)
	return r
}

// TestBtrfs images file systems of every layout, made with files in them.
func TestBtrfs(t *testing.T) {
	t.Parallel()
	mkfs, files := tools.Find(t, "mkfs.btrfs", "btrfs-progs"), tree(t)
	for _, c := range btrfsMkfs() {
		t.Run(c.feature, func(t *testing.T) {
			path := newFile(t, c.mib)
			out, err := tools.Try(mkfs, append(append([]string{"-q", "-f", "-K", "--rootdir", files}, strings.Fields(c.args)...), path)...)
			if strings.Contains(out, "unrecognized filesystem feature") {
				t.Skip("the mkfs.btrfs that is installed is too old; a newer one is in later btrfs-progs")
			}
			if err != nil {
				t.Fatalf("mkfs.btrfs %s: %v\n%s", c.args, err, out)
			}
			checkBtrfs(t, path, files, treeFiles)
		})
	}
}

// TestBtrfsUsed images a file system that was mounted, with a snapshot,
// compression and free space in pieces; and one with a log to replay.
func TestBtrfsUsed(t *testing.T) {
	t.Parallel()
	mkfs, btrfs := tools.Find(t, "mkfs.btrfs", "btrfs-progs"), tools.Find(t, "btrfs", "btrfs-progs")
	for _, args := range []string{"-m dup", "--mixed -m single -d single -n 4096"} {
		t.Run(args, func(t *testing.T) {
			path, live, want, kept := newFile(t, 160), []byte(nil), t.TempDir(), 0
			tools.Run(t, mkfs, append(append([]string{"-q", "-f", "-K"}, strings.Fields(args)...), path)...)
			whileMounted(t, path, ",compress=zstd", func(root string) {
				writeFiles(t, root, treeFiles, 17)
				tools.Run(t, btrfs, "subvolume", "snapshot", root, filepath.Join(root, "snapshot"))
				kept = fragment(t, root, 800, 15)
				fsyncFile(t, filepath.Join(root, "synced"))
				live = readFile(t, path)
			})
			analyze(t, live).wantWhole(t, "log to replay")
			whileMounted(t, path, ",ro", func(root string) { tools.Run(t, tools.Find(t, "cp", "coreutils"), "-a", root+"/.", want) })
			if err := os.RemoveAll(filepath.Join(want, "snapshot")); err != nil {
				t.Fatal(err) // btrfs restore leaves snapshots out
			}
			r := checkBtrfs(t, path, want, kept)
			if len(r.free()) < 10 {
				t.Errorf("free space is in %d pieces", len(r.free()))
			}
		})
	}
}

// fsyncFile writes a file whose content is only in the log.
func fsyncFile(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("text"); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

// resum makes the checksum of a block right again.
func resum(block []byte) {
	binary.LittleEndian.PutUint32(block, crc32.Checksum(block[32:], crc32.MakeTable(crc32.Castagnoli)))
}

// TestBtrfsDamaged keeps what cannot be trusted.
func TestBtrfsDamaged(t *testing.T) {
	t.Parallel()
	path := newFile(t, 112)
	tools.Run(t, tools.Find(t, "mkfs.btrfs", "btrfs-progs"), "-q", "-f", "-K", "-m", "single", "--rootdir", tree(t), path)
	img := readFile(t, path)
	const super = 64 << 10
	for _, c := range []struct {
		name string
		at   int // in the superblock
		xor  byte
		sum  bool // make the checksum right
		text string
	}{
		{"checksum", 150, 1, false, "checksum"},
		{"kind of checksum", 196, 8, true, "cannot be verified"},
		{"feature", 189, 0x10, true, "unknown features"},
		{"read-only feature", 180, 0x80, true, "unknown features"},
		{"seed", 60, 1, true, "flags"},
		{"log", 96, 1, true, "log to replay"},
		{"devices", 136, 3, true, "2 devices"},
		{"size", 214, 1, true, "device of"},
		{"tree block size", 149, 1, true, "tree blocks of"},
		{"bytes used", 121, 0x10, true, "in the superblock"},
		{"root", 81, 0x40, true, "extent tree"},
		{"generation", 72, 1, true, "another one"},
		{"level", 199, 1, true, "another one"},
		{"length of the chunks", 161, 0xff, true, "system chunks"},
		{"device of a chunk", 811 + 17 + 48, 2, true, "device 3"},
		{"kind of a chunk", 811 + 17 + 24, 0x10, true, "not single or DUP"},
		{"place of a chunk", 811 + 17 + 48 + 8 + 5, 1, true, "chunk at byte"},
	} {
		t.Run(c.name, func(t *testing.T) {
			block := img[super : super+4096]
			old := fmt.Sprintf("%s", block)
			block[c.at] ^= c.xor
			if c.sum {
				resum(block)
			}
			r := analyze(t, img)
			copy(block, old)
			r.wantWhole(t, c.text)
		})
	}
	if free := analyze(t, img).free(); len(free) == 0 {
		t.Error("nothing is free in the undamaged one")
	}
}

// TestBtrfsKept keeps several devices whole.
func TestBtrfsKept(t *testing.T) {
	t.Parallel()
	mkfs := tools.Find(t, "mkfs.btrfs", "btrfs-progs")
	for args, text := range map[string]string{
		"-m raid1 -d raid1 %s":       "has 2 devices",
		"-m single -d single -q %s ": "has 2 devices",
	} {
		path := newFile(t, 128)
		if strings.Contains(args, "%s") {
			args = fmt.Sprintf(args, newFile(t, 128))
		}
		tools.Run(t, mkfs, append(append([]string{"-q", "-f", "-K"}, strings.Fields(args)...), path)...)
		analyze(t, readFile(t, path)).wantWhole(t, text)
	}
}
