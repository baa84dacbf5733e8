package freemap_test

import (
	"encoding/binary"
	"hash/crc32"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"hyzer/bench/tools"
)

// f2fsMkfs are the layouts that are made.
func f2fsMkfs() []row {
	return []row{
		{"default", "", 128},
		{"all checksums, extra attributes", "-O extra_attr,inode_checksum,sb_checksum,inode_crtime,compression,verity", 128},
		{"large NAT bitmap", "-i -O extra_attr", 128},
		{"sections of two segments", "-s 2", 128},
		{"hot and cold files, no discard", "-t 0 -e mp4,gz", 128},
	}
}

var f2fsValid = regexp.MustCompile(`valid_block_count matching with CP +\[Ok..\] \[0x([0-9a-f]+)\]`)

// f2fsFree is the number of free sectors after what fsck.f2fs counts.
func f2fsFree(t *testing.T, path string, img []byte) uint64 {
	t.Helper()
	found := f2fsValid.FindStringSubmatch(tools.Run(t, tools.Find(t, "fsck.f2fs", "f2fs-tools"), "--dry-run", "-f", path))
	if found == nil {
		t.Fatal("fsck.f2fs counts no valid blocks")
	}
	valid, err := strconv.ParseUint(found[1], 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	main := uint64(binary.LittleEndian.Uint32(img[1024+68:])) * 512
	return (main - valid) * 8
}

func checkF2FS(t *testing.T, path string) *restored {
	t.Helper()
	r := restore(t, path)
	r.wantFree(t, f2fsFree(t, path, r.img))
	out := tools.Run(t, tools.Find(t, "fsck.f2fs", "f2fs-tools"), "--dry-run", "-f", r.path)
	if strings.Contains(out, "[Fail]") || strings.Contains(out, "[ASSERT]") {
		t.Errorf("fsck.f2fs: %s", out)
	}
	return r
}

// TestF2FS images file systems of every layout, filled more than once so that
// both checkpoints and journals of both forms are met.
func TestF2FS(t *testing.T) {
	t.Parallel()
	mkfs, sload, files := tools.Find(t, "mkfs.f2fs", "f2fs-tools"), tools.Find(t, "sload.f2fs", "f2fs-tools"), t.TempDir()
	for _, name := range []string{"one", "two"} {
		writeFiles(t, filepath.Join(files, name, name), treeFiles, 17)
	}
	for _, c := range f2fsMkfs() {
		t.Run(c.feature, func(t *testing.T) {
			path := newFile(t, c.mib)
			tools.Run(t, mkfs, append(strings.Fields("-q -f "+c.args), path)...)
			if c.args == "" {
				checkF2FS(t, path)
			}
			for _, name := range []string{"one", "two"} {
				tools.Run(t, sload, "-f", filepath.Join(files, name), path)
				checkF2FS(t, path)
			}
		})
	}
}

// TestF2FSUsed images one that was mounted, with free space in pieces; and one
// that is.
func TestF2FSUsed(t *testing.T) {
	t.Parallel()
	path, live := newFile(t, 96), []byte(nil)
	tools.Run(t, tools.Find(t, "mkfs.f2fs", "f2fs-tools"), "-q", "-f", path)
	whileMounted(t, path, "", func(root string) {
		fragment(t, root, 600, 15)
		fsyncFile(t, root+"/synced")
		live = readFile(t, path)
	})
	analyze(t, live).wantWhole(t, "not unmounted cleanly")
	checkF2FS(t, path)
}

// TestF2FSDamaged keeps what cannot be trusted.
func TestF2FSDamaged(t *testing.T) {
	t.Parallel()
	path := newFile(t, 64)
	tools.Run(t, tools.Find(t, "mkfs.f2fs", "f2fs-tools"), "-q", "-f", path)
	tools.Run(t, tools.Find(t, "sload.f2fs", "f2fs-tools"), "-f", tree(t), path)
	img := readFile(t, path)
	le := binary.LittleEndian
	u32 := func(at int) int { return int(le.Uint32(img[at:])) }
	cp, sit, half := u32(1024+76)*4096, u32(1024+80)*4096, u32(1024+56)/2*512*4096
	newest := cp
	if le.Uint64(img[cp+512*4096:]) > le.Uint64(img[cp:]) {
		newest += 512 * 4096
	}
	for _, c := range []struct {
		name string
		at   int
		xor  byte
		sum  bool // make the checksum of the checkpoint right
		text string
	}{
		{"feature", 1024 + 2180, 2, false, "features"},
		{"device", 1024 + 2201, 'x', false, "several devices"},
		{"block size", 1024 + 16, 1, false, "blocks of"},
		{"area", 1024 + 84, 1, false, "area at block"},
		{"segments", 1024 + 70, 0x40, false, "area"},
		{"blocks", 1024 + 37, 0xff, false, "in a partition of"},
		{"clean", newest + 132, 1, true, "not unmounted cleanly"},
		{"errors", newest + 132, 8, true, "errors"},
		{"valid blocks", newest + 16, 0xff, true, "the checkpoint says"},
	} {
		t.Run(c.name, func(t *testing.T) {
			old := append([]byte(nil), img...)
			img[c.at] ^= c.xor
			if c.name == "valid blocks" {
				le.PutUint64(img[newest+16:], 1)
			}
			if c.sum {
				block := img[newest : newest+4096]
				le.PutUint32(block[4092:], ^crc32.Update(^uint32(0xf2f52010), crc32.IEEETable, block[:4092]))
				last := img[newest+(u32(newest+136)-1)*4096:]
				copy(last[:4096], block)
			}
			r := analyze(t, img)
			copy(img, old)
			r.wantWhole(t, c.text)
		})
	}
	// With one checkpoint broken the other tells; with both nothing does.
	img[cp+200] ^= 1
	img[cp+512*4096+200] ^= 1
	analyze(t, img).wantWhole(t, "no checkpoint is whole")
	img[cp+200] ^= 1
	img[cp+512*4096+200] ^= 1
	// A bitmap that does not go with its counter, in every copy of an entry that
	// no journal is likely to have: those of segments far behind.
	const entry = 74
	for segment := 20; segment < 25; segment++ {
		img[sit+segment*entry+10] ^= 1
		img[sit+half+segment*entry+10] ^= 1
	}
	analyze(t, img).wantWhole(t, "the counter says")
}
