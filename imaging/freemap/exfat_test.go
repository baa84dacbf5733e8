package freemap_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"hyzer/bench/tools"
)

// exfatMkfs are the layouts that are made.
func exfatMkfs() []row {
	return []row{
		{"default", "", 24},
		{"clusters of 512 bytes", "-c 512", 16},
		{"clusters of 64 KiB", "-c 64K", 32},
		{"bitmap of two clusters", "-c 512 -b 4K", 8},
		{"packed bitmap", "--pack-bitmap", 24},
	}
}

// exfatFree is the number of free sectors that dump.exfat finds.
func exfatFree(t *testing.T, path string, clusterBytes int) uint64 {
	t.Helper()
	var free uint64
	for _, line := range strings.Split(tools.Run(t, tools.Find(t, "dump.exfat", "exfatprogs"), path), "\n") {
		if _, text, ok := strings.Cut(line, "Free Clusters:"); ok {
			fmt.Sscan(text, &free)
		}
	}
	return free * uint64(clusterBytes) / sectorBytes
}

// TestExFAT images file systems with files in pieces, and has fsck.exfat look
// at what is restored.
func TestExFAT(t *testing.T) {
	t.Parallel()
	mkfs, fsck := tools.Find(t, "mkfs.exfat", "exfatprogs"), tools.Find(t, "fsck.exfat", "exfatprogs")
	for _, c := range exfatMkfs() {
		t.Run(c.feature, func(t *testing.T) {
			path := newFile(t, c.mib)
			tools.Run(t, mkfs, append(strings.Fields(c.args), path)...)
			v := openExFAT(t, readFile(t, path))
			content := v.fill()
			if err := os.WriteFile(path, v.img, 0o600); err != nil {
				t.Fatal(err)
			}
			tools.Run(t, fsck, "-n", path)
			r := restore(t, path)
			r.wantFree(t, exfatFree(t, path, v.clusterBytes))
			tools.Run(t, fsck, "-n", r.path)
			for at, data := range content {
				if !bytes.Equal(r.back[at:][:len(data)], data) {
					t.Errorf("content at byte %d differs", at)
				}
			}
		})
	}
}

// TestExFATDamaged keeps what cannot be trusted.
func TestExFATDamaged(t *testing.T) {
	t.Parallel()
	path := newFile(t, 8)
	tools.Run(t, tools.Find(t, "mkfs.exfat", "exfatprogs"), "-c", "512", path)
	v := openExFAT(t, readFile(t, path))
	root := v.place(v.root[0])
	for _, c := range []struct {
		name string
		at   int
		xor  byte
		text string
	}{
		{"dirty", 106, 2, "dirty"},
		{"failing", 106, 4, "failing"},
		{"version", 105, 2, "version"},
		{"two FATs", 110, 3, "TexFAT"},
		{"sector size", 108, 8, "sectors"},
		{"clusters", 94, 0x80, "clusters"},
		{"checksum", 100, 1, "checksum"},
		{"boot code", 512 * 5, 1, "checksum"},
		{"place of the bitmap", root + 32 + 21, 1, "bitmap"},
		{"size of the bitmap", root + 32 + 25, 4, "bitmap"},
		{"chain of the bitmap", v.fat + 4*2 + 2, 1, "bitmap"},
		{"bitmap itself", v.bitmap, 1, "metadata as free"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v.img[c.at] ^= c.xor
			r := analyze(t, v.img)
			v.img[c.at] ^= c.xor
			r.wantWhole(t, c.text)
		})
	}
	if free := analyze(t, v.img).free(); len(free) == 0 {
		t.Error("nothing is free in the undamaged one")
	}
}
