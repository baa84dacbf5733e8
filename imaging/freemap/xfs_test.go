package freemap_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hyzer/bench/tools"
	"hyzer/imaging/freemap"
)

// xfsPrototype lists the files of dir for mkfs.xfs -p.
func xfsPrototype(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("/\n0 0\nd--755 0 0\n")
	for sub := range 7 {
		fmt.Fprintf(&b, "d%d d--755 0 0\n", sub)
		for i := sub; i < treeFiles; i += 7 {
			fmt.Fprintf(&b, "f%d ---644 0 0 %s\n", i, filepath.Join(dir, fmt.Sprintf("d%d/f%d", sub, i)))
		}
		b.WriteString("$\n")
	}
	b.WriteString("$\n")
	path := filepath.Join(t.TempDir(), "prototype")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// xfsFree lists what xfs_db finds free, without the blocks of the free lists.
func xfsFree(t *testing.T, path string) []freemap.Range {
	t.Helper()
	db := tools.Find(t, "xfs_db", "xfsprogs")
	number := func(args ...string) (n uint64) {
		out := tools.Run(t, db, append([]string{"-r", "-f"}, append(args, path)...)...)
		if _, err := fmt.Sscan(strings.TrimSpace(out[strings.Index(out, "=")+1:]), &n); err != nil {
			t.Fatalf("%v: %s", args, out)
		}
		return n
	}
	agBlocks, blockBytes := number("-c", "sb 0", "-c", "p agblocks"), number("-c", "sb 0", "-c", "p blocksize")
	per := blockBytes / sectorBytes
	var all, lists []freemap.Range
	for _, line := range strings.Split(tools.Run(t, db, "-r", "-f", "-c", "freesp -d", path), "\n") {
		var ag, block, blocks uint64
		if n, _ := fmt.Sscan(line, &ag, &block, &blocks); n == 3 && len(strings.Fields(line)) == 3 {
			start := (ag*agBlocks + block) * per
			all = append(all, freemap.Range{Start: start, End: start + blocks*per})
		}
	}
	for ag := range number("-c", "sb 0", "-c", "p agcount") {
		out := tools.Run(t, db, "-r", "-f", "-c", fmt.Sprintf("agf %d", ag), "-c", "p flfirst", "-c", "p fllast",
			"-c", fmt.Sprintf("agfl %d", ag), "-c", "p bno", path)
		for _, block := range xfsList(t, out) {
			start := (ag*agBlocks + block) * per
			lists = append(lists, freemap.Range{Start: start, End: start + per})
		}
	}
	return freemap.Subtract(freemap.Normalize(all), freemap.Normalize(lists))
}

// xfsList reads the free list of a group as xfs_db prints it, as in
//
//	flfirst = 0
//	fllast = 3
//	bno[0-117] = 0:6 1:7 2:8 3:9 4:null
func xfsList(t *testing.T, out string) []uint64 {
	t.Helper()
	first, last := -1, -1
	blocks := make(map[int]uint64)
	for _, word := range strings.Fields(strings.NewReplacer("flfirst = ", "flfirst=", "fllast = ", "fllast=").Replace(out)) {
		var i int
		var block uint64
		fmt.Sscanf(word, "flfirst=%d", &first)
		fmt.Sscanf(word, "fllast=%d", &last)
		if n, _ := fmt.Sscanf(word, "%d:%d", &i, &block); n == 2 {
			blocks[i] = block
		}
	}
	if first < 0 || last < first {
		t.Fatalf("free list of entries %d to %d", first, last)
	}
	var list []uint64
	for i := first; i <= last; i++ {
		list = append(list, blocks[i])
	}
	return list
}

// checkXFS restores the file system and has xfs_repair look at it. It returns
// the number of pieces of free space and the path of the restored disk.
func checkXFS(t *testing.T, path string) (pieces int, back string) {
	t.Helper()
	r := restore(t, path)
	want := xfsFree(t, path)
	r.wantFree(t, freemap.Total(want))
	if got := fmt.Sprint(r.free()); got != fmt.Sprint(want) {
		t.Errorf("free are %v, xfs_db says %v", got, want)
	}
	back = r.path
	tools.Run(t, tools.Find(t, "xfs_repair", "xfsprogs"), "-n", "-f", back)
	return len(want), back
}

// xfsMkfs are the layouts that are made.
func xfsMkfs() []row {
	return []row{
		{"v5", "", 64},
		{"v5 without options", "-m rmapbt=0,reflink=0,finobt=0", 64},
		{"v5 with rmapbt, bigtime, inobtcount", "-m rmapbt=1,reflink=1,bigtime=1,inobtcount=1 -i nrext64=1", 96},
		{"v5, other UUID", "-m uuid=01234567-89ab-cdef-0123-456789abcdef", 64},
		{"v5, blocks of 1 KiB", "-b size=1024", 64},
		{"v5, blocks of 64 KiB", "-b size=65536 -d agcount=2", 96},
		{"v5, sectors of 4 KiB", "-s size=4096", 64},
		{"v5, short last group", "-d agsize=20971520,size=59768832", 57},
		{"v5, striped log", "-l su=32768 -d su=65536,sw=2", 96},
		{"v4", "-m crc=0", 64},
		{"v4, blocks of 512 bytes", "-m crc=0 -b size=512", 64},
		{"v4, old log", "-m crc=0 -l version=1", 64},
	}
}

// row is a way to make a file system, for tests and the table in docs.
type row struct {
	feature, args string
	mib           int
}

// TestXFS images file systems of every layout, made with files in them.
func TestXFS(t *testing.T) {
	t.Parallel()
	mkfs, files := tools.Find(t, "mkfs.xfs", "xfsprogs"), tree(t)
	proto := xfsPrototype(t, files)
	for _, c := range xfsMkfs() {
		t.Run(c.feature, func(t *testing.T) {
			path := newFile(t, c.mib)
			tools.Run(t, mkfs, append(append([]string{"-q", "-f", "-K", "-p", proto}, strings.Fields(c.args)...), path)...)
			checkXFS(t, path)
		})
	}
}

// TestXFSUsed images a file system that was mounted and whose free space is in
// pieces, clean and not.
func TestXFSUsed(t *testing.T) {
	t.Parallel()
	mkfs := tools.Find(t, "mkfs.xfs", "xfsprogs")
	for _, args := range []string{"-b size=1024 -d agcount=2", "-m crc=0 -b size=512 -d agcount=2", "-m rmapbt=1 -l su=32768"} {
		t.Run(args, func(t *testing.T) {
			path := newFile(t, 96)
			tools.Run(t, mkfs, append(append([]string{"-q", "-f", "-K"}, strings.Fields(args)...), path)...)
			kept, live := 0, []byte(nil)
			whileMounted(t, path, "", func(root string) {
				kept = fragment(t, root, 2000, 13)
				tools.Run(t, tools.Find(t, "sync", "coreutils"), "-f", root)
				live = readFile(t, path)
			})
			analyze(t, live).wantWhole(t, "unmount")
			pieces, back := checkXFS(t, path)
			if pieces < 10 {
				t.Errorf("free space is in %d pieces", pieces)
			}
			whileMounted(t, path, ",ro", func(want string) {
				whileMounted(t, back, ",ro,nouuid", func(got string) { sameTree(t, want, got, kept) })
			})
		})
	}
}

// TestXFSKept keeps a file system whose log is elsewhere, and images one whose
// files are.
func TestXFSKept(t *testing.T) {
	t.Parallel()
	mkfs := tools.Find(t, "mkfs.xfs", "xfsprogs")
	path, log := newFile(t, 32), newFile(t, 16)
	tools.Run(t, mkfs, "-q", "-f", "-K", "-l", "logdev="+log+",size=8m", path)
	analyze(t, readFile(t, path)).wantWhole(t, "log")
	if r := analyze(t, mbrDisk(t, []mbrPart{{0x83, readFile(t, log)}})); freemap.Total(r.free()) != 0 {
		t.Errorf("%d sectors of a log are free", freemap.Total(r.free()))
	}
	path = newFile(t, 32)
	tools.Run(t, mkfs, "-q", "-f", "-K", "-r", "rtdev="+newFile(t, 16), path)
	r := restore(t, path)
	r.wantFree(t, freemap.Total(xfsFree(t, path)))
}

// TestXFSDamaged keeps what cannot be trusted.
func TestXFSDamaged(t *testing.T) {
	t.Parallel()
	mkfs := tools.Find(t, "mkfs.xfs", "xfsprogs")
	for _, version := range []string{"crc=0", "crc=1"} {
		path := newFile(t, 32)
		tools.Run(t, mkfs, "-q", "-f", "-K", "-m", version, "-d", "agcount=2", "-l", "agnum=0", path)
		img := readFile(t, path)
		be := binary.BigEndian
		agBytes := int(be.Uint32(img[84:])) * 4096
		root := agBytes + int(be.Uint32(img[agBytes+512+16:]))*4096
		log := int(be.Uint64(img[48:])>>img[124])*agBytes + int(be.Uint64(img[48:])&(1<<img[124]-1))*4096
		for _, c := range []struct {
			name  string
			at    int
			xor   byte
			whole bool
			text  string
		}{
			{"block size", 4, 1, true, "superblock"},
			{"groups", 91, 1, true, "superblock"},
			{"size", 13, 1, true, "superblock"},
			{"version", 101, 1, true, "XFS"},
			{"being made", 126, 1, true, ""},
			{"magic of a group", agBytes + 512, 1, false, "group 1"},
			{"levels", agBytes + 512 + 31, 3, false, "group 1"},
			{"free blocks", agBytes + 512 + 55, 1, false, "group 1"},
			{"magic of the tree", root, 1, false, "group 1"},
			{"records", root + 7, 1, false, "group 1"},
			{"next leaf", root + 15, 1, false, "group 1"},
			{"record", root + 16 + 40*strings.Count(version, "1") + 3, 2, false, "group 1"},
			{"cycle", log + 512*9 + 3, 2, true, "unmount"},
			{"operation", log + 512 + 9, 0x20, true, "unmount"},
			{"operations", log + 43, 2, true, "unmount"},
		} {
			t.Run(version+" "+c.name, func(t *testing.T) {
				img[c.at] ^= c.xor
				r := analyze(t, img)
				img[c.at] ^= c.xor
				if c.whole {
					r.wantWhole(t, c.text)
					return
				}
				kept := freemap.Range{Start: uint64(agBytes) / sectorBytes, End: uint64(2*agBytes) / sectorBytes}
				if free := r.free(); len(freemap.Subtract(free, []freemap.Range{kept})) != len(free) || len(free) == 0 {
					t.Errorf("free are %v, of a group that is damaged", free)
				}
				if len(r.layout.Warnings) != 1 || !strings.Contains(r.layout.Warnings[0], c.text) {
					t.Errorf("warnings %q", r.layout.Warnings)
				}
			})
		}
	}
}
