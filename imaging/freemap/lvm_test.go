package freemap_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hyzer/bench/tools"
	"hyzer/imaging/freemap"
)

// lvmGroup drives the LVM tools on one loop device, without device-mapper.
type lvmGroup struct {
	t            *testing.T
	path, device string
	name         string
}

// lvm runs a program of LVM, which sees only the one device.
func (g *lvmGroup) lvm(name string, args ...string) string {
	g.t.Helper()
	config := fmt.Sprintf(`devices { filter=["a|^%s$|","r|.*|"] use_devicesfile=0 obtain_device_list_from_udev=0 hints="none" }
		global { use_lvmpolld=0 event_activation=0 locking_dir=%q } activation { udev_sync=0 udev_rules=0 monitoring=0 }
		backup { backup=0 archive=0 }`, g.device, filepath.Dir(g.path))
	return tools.Run(g.t, tools.Find(g.t, name, "lvm2"), append([]string{"--driverloaded", "n", "--config", config}, args...)...)
}

// volume makes a logical volume of so many extents of 1 MiB.
func (g *lvmGroup) volume(name string, extents int) {
	g.t.Helper()
	g.lvm("lvcreate", "-y", "-an", "-Zn", "-Wn", "-l", fmt.Sprint(extents), "-n", name, g.name)
}

// ranges are the extents of a logical volume, in its order.
func (g *lvmGroup) ranges(name string) []freemap.Range {
	g.t.Helper()
	var list []freemap.Range
	out := g.lvm("lvs", "--noheadings", "-o", "seg_pe_ranges", g.name+"/"+name)
	for _, word := range strings.Fields(out) {
		var first, last uint64
		if _, text, ok := strings.Cut(word, g.device+":"); ok {
			if _, err := fmt.Sscanf(text, "%d-%d", &first, &last); err != nil {
				g.t.Fatal(err)
			}
			list = append(list, freemap.Range{Start: first, End: last + 1})
		}
	}
	if len(list) == 0 {
		g.t.Fatalf("no extents in %q", out)
	}
	return list
}

const lvmExtentBytes = 1 << 20 // also what is before the first

// copyVolume copies a logical volume out of a disk, or into it.
func copyVolume(disk, volume []byte, list []freemap.Range, out bool) {
	at := uint64(0)
	for _, r := range list {
		part, n := disk[(r.Start+1)*lvmExtentBytes:], r.Sectors()*lvmExtentBytes
		if out {
			copy(volume[at:at+n], part)
		} else {
			copy(part, volume[at:at+n])
		}
		at += n
	}
}

// TestLVM images a volume group with file systems in its volumes.
func TestLVM(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"pvcreate", "vgck", "lvs"} {
		tools.Find(t, name, "lvm2")
	}
	mkfsXFS, mke2fs, mkswap := tools.Find(t, "mkfs.xfs", "xfsprogs"), tools.Find(t, "mke2fs", "e2fsprogs"), tools.Find(t, "mkswap", "util-linux")
	files := tree(t)
	path := newFile(t, 160)
	device, detach := tools.Loop(t, path)
	g := &lvmGroup{t: t, path: path, device: device, name: fmt.Sprintf("hyzertest%d", os.Getpid())}
	g.lvm("pvcreate", "-ff", "-y", device)
	g.lvm("vgcreate", "-s", "1M", g.name, device)
	g.volume("root", 20)
	g.volume("swap", 8)
	g.volume("data", 40)
	g.volume("raw", 5)
	g.volume("gone", 10)
	g.lvm("lvextend", "-l", "+13", g.name+"/root")
	g.lvm("lvremove", "-f", g.name+"/gone")
	volumes := map[string][]freemap.Range{}
	for _, name := range []string{"root", "swap", "data", "raw"} {
		volumes[name] = g.ranges(name)
	}
	detach()
	if len(volumes["root"]) != 2 {
		t.Fatalf("root has extents %v, want two pieces", volumes["root"])
	}

	img := readFile(t, path)
	fill := func(name string, mib int, program string, args ...string) string {
		fs := newFile(t, mib)
		tools.Run(t, program, append(args, fs)...)
		copyVolume(img, readFile(t, fs), volumes[name], false)
		return fs
	}
	ext := fill("root", 33, mke2fs, "-q", "-F", "-t", "ext4", "-d", files)
	swap := fill("swap", 8, mkswap)
	xfs := fill("data", 40, mkfsXFS, "-q", "-f", "-K", "-p", xfsPrototype(t, files))
	if err := os.WriteFile(path, img, 0o600); err != nil {
		t.Fatal(err)
	}

	extents := uint64(159 - 33 - 8 - 40 - 5)
	want := extents * lvmExtentBytes / sectorBytes
	for _, fs := range []string{ext, swap, xfs} {
		want += freemap.Total(restore(t, fs).free())
	}
	r := restore(t, path)
	r.wantFree(t, want)

	back := map[string]string{}
	for name, mib := range map[string]int{"root": 33, "data": 40} {
		fs := newFile(t, mib)
		volume := readFile(t, fs)
		copyVolume(r.back, volume, volumes[name], true)
		if err := os.WriteFile(fs, volume, 0o600); err != nil {
			t.Fatal(err)
		}
		back[name] = fs
	}
	tools.Run(t, tools.Find(t, "e2fsck", "e2fsprogs"), "-f", "-n", back["root"])
	tools.Run(t, tools.Find(t, "xfs_repair", "xfsprogs"), "-n", "-f", back["data"])
	dump := t.TempDir()
	tools.Run(t, tools.Find(t, "debugfs", "e2fsprogs"), "-R", "rdump / "+dump, back["root"])
	sameTree(t, files, dump, treeFiles)

	g.path = r.path
	g.device, _ = tools.Loop(t, g.path)
	g.lvm("pvck", g.device)
	g.lvm("vgck", g.name)
	for name, list := range volumes {
		if got := g.ranges(name); fmt.Sprint(got) != fmt.Sprint(list) {
			t.Errorf("%s has extents %v after the restore, had %v", name, got, list)
		}
	}
}
