package unzip_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"hyzer/bench/tools"
)

const typesDiskBytes = 24 << 20

// typesDisk has sfdisk make a disk of garbage and partitions.
func typesDisk(t *testing.T, f files, script string) string {
	t.Helper()
	sfdisk := tools.Find(t, "sfdisk", "fdisk")
	disk := f.write("disk", bytes.Repeat([]byte("garbage "), typesDiskBytes/8))
	text := f.write("script", []byte(script))
	tools.Run(t, "/bin/sh", "-c", fmt.Sprintf("%s -q --wipe never '%s' <'%s'", sfdisk, disk, text))
	return disk
}

const (
	gptScript = "label: gpt\n1MiB 4MiB L\n6MiB 4MiB U\n12MiB 4MiB L\n"
	mbrScript = "label: dos\n1MiB 4MiB L\n6MiB 17MiB E\n7MiB 4MiB L\n12MiB 4MiB S\n"
)

// TestSetType gives partitions each type, and has sfdisk read it: nothing else of
// the disk but the sums of a GPT becomes different, and both copies are sound.
func TestSetType(t *testing.T) {
	t.Parallel()
	sfdisk := tools.Find(t, "sfdisk", "fdisk")
	for _, c := range []struct {
		name, script string
		slice        int // as imageunzip counts
		partition    int // as sfdisk does
		types        map[int]string
	}{
		{"GPT", gptScript, 2, 2, map[int]string{
			0x07: "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7", 0x0b: "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7", 0x0c: "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7",
			0x27: "DE94BBA4-06D1-4D40-A16A-BFD50179D6AC", 0x82: "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F", 0x83: "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
			0x8e: "E6D6D379-F507-44C2-A23C-238F2A3DF928", 0xa5: "516E7CB4-6ECF-11D6-8FF8-00022D09712B", 0xa6: "824CC7A0-36A8-11E3-890A-952519AD3F61",
			0xef: "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", 0xfd: "A19D880F-05FC-4D3B-A006-743F0F84911E",
		}},
		{"MBR, primary", mbrScript, 1, 1, map[int]string{0x07: "7", 0x83: "83", 0xa5: "a5"}},
		{"MBR, first logical", mbrScript, 5, 5, map[int]string{0x07: "7", 0xfd: "fd"}},
		{"MBR, second logical", mbrScript, 9, 6, map[int]string{0x83: "83", 0xef: "ef"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := files{t, t.TempDir()}
			disk, in := typesDisk(t, f, c.script), f.write("x.ndz", golden(t, "ext2-1k.ndz.gz"))
			before := f.read("disk")
			for kind, want := range c.types {
				if code, _, text := run(nil, "-s", fmt.Sprint(c.slice), "-D", fmt.Sprint(kind), in, disk); code != 0 {
					t.Fatalf("%#x: exit %d, %s", kind, code, text)
				}
				if got := strings.TrimSpace(tools.Run(t, sfdisk, "--part-type", disk, fmt.Sprint(c.partition))); got != want {
					t.Errorf("%#x: sfdisk says %s, want %s", kind, got, want)
				}
				sound(t, f, sfdisk, disk)
				checkOutside(t, before, f.read("disk"), c.name)
			}
		})
	}
}

// sound has sfdisk read the table, and of a GPT the backup alone, too.
func sound(t *testing.T, f files, sfdisk, disk string) {
	t.Helper()
	whole := tools.Run(t, sfdisk, "-d", disk)
	if text, err := tools.Try(sfdisk, "--verify", disk); err != nil || strings.Contains(text, "orrupt") || strings.Contains(text, "mismatch") {
		t.Errorf("sfdisk --verify: %v: %s", err, text)
	}
	if !strings.Contains(whole, "label: gpt") {
		return
	}
	data := f.read("disk")
	clear(data[512:1024])
	other := f.write("backup", data)
	alone, err := tools.Try(sfdisk, "-d", other)
	at := strings.Index(alone, "\n"+other)
	if err != nil || at < 0 || strings.ReplaceAll(alone[at:], other, disk) != whole[strings.Index(whole, "\n"+disk):] {
		t.Errorf("the backup alone: %v: %s", err, alone)
	}
}

// checkOutside compares what is outside of all partitions, but for tables.
func checkOutside(t *testing.T, before, after []byte, name string) {
	t.Helper()
	changed := 0
	for _, part := range [][2]int{{0, 1 << 20}, {5 << 20, 6 << 20}, {23 << 20, len(before)}} {
		for i := part[0]; i < part[1]; i++ {
			if before[i] != after[i] {
				changed++
			}
		}
	}
	most := 1
	if name == "GPT" {
		most = 2 * (16 + 8)
	}
	if strings.Contains(name, "logical") {
		most = 0 // those tables lie between the partitions
	}
	if changed > most {
		t.Errorf("%d bytes outside of partitions are others, want at most %d", changed, most)
	}
}

// gptBackupBytes is a table of 128 entries and its header.
const gptBackupBytes = 33 * 512

// TestSetTypeLarge does it on a device with sectors of 4096 bytes.
func TestSetTypeLarge(t *testing.T) {
	t.Parallel()
	sfdisk := tools.Find(t, "sfdisk", "fdisk")
	for script, want := range map[string]string{
		"label: gpt\n1MiB 4MiB L\n6MiB 4MiB U\n12MiB 4MiB L\n": "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F",
		"label: dos\n1MiB 4MiB L\n6MiB 4MiB L\n12MiB 4MiB L\n": "82",
	} {
		f := files{t, t.TempDir()}
		device, _ := tools.LoopSectors(t, f.write("disk", bytes.Repeat([]byte("garbage "), typesDiskBytes/8)), 4096)
		text := f.write("script", []byte(script))
		tools.Run(t, "/bin/sh", "-c", fmt.Sprintf("%s -q --no-reread --wipe never '%s' <'%s'", sfdisk, device, text))
		in := f.write("x.ndz", golden(t, "ext2-1k.ndz.gz"))
		if code, _, text := run(nil, "-s", "2", "-D", "0x82", in, device); code != 0 {
			t.Errorf("exit %d, %s", code, text)
		}
		if got := strings.TrimSpace(tools.Run(t, sfdisk, "--part-type", device, "2")); got != want {
			t.Errorf("sfdisk says %s, want %s", got, want)
		}
	}
}

// TestSetTypeRefused wants a type that cannot be: nothing is written.
func TestSetTypeRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, script, slice, kind string
		backup                    string // of the backup of a GPT: "other", "damaged"
		want                      string
	}{
		{"unknown in a GPT", gptScript, "2", "0x17", "", "type 0x17: no GPT type stands for it"},
		{"unused in a GPT", gptScript, "2", "0", "", "no GPT type stands for it"},
		{"no such partition", gptScript, "9", "0x83", "", "no partition 9"},
		{"copies differ", gptScript, "2", "0x83", "other", "do not agree about partition 2"},
		{"one copy", gptScript, "2", "0x82", "damaged", ""},
		{"logical, extended", mbrScript, "5", "5", "", "cannot be that of logical partition 5"},
		{"logical, unused", mbrScript, "9", "0", "", "cannot be that of logical partition 9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := files{t, t.TempDir()}
			disk, in := typesDisk(t, f, c.script), f.write("x.ndz", golden(t, "ext2-1k.ndz.gz"))
			before := f.read("disk")
			switch backup := before[len(before)-gptBackupBytes:]; c.backup {
			case "other": // its partitions have other names
				other := files{t, t.TempDir()}
				typesDisk(t, other, c.script)
				copy(backup, other.read("disk")[len(before)-gptBackupBytes:])
			case "damaged":
				backup[200] ^= 1
			}
			f.write("disk", before)
			code, _, text := run(nil, "-s", c.slice, "-D", c.kind, in, disk)
			if c.want == "" { // what is damaged is nobody's
				got := tools.Run(t, tools.Find(t, "sfdisk", "fdisk"), "--part-type", disk, "2")
				if code != 0 || !strings.HasSuffix(strings.TrimSpace(got), "\n0657FD6D-A4AB-43C4-84E5-0933C84B4F4F") {
					t.Errorf("exit %d, %s, type %s", code, text, got)
				}
				return
			}
			if after, err := os.ReadFile(disk); code != 1 || !strings.Contains(text, c.want) || err != nil || !bytes.Equal(before, after) {
				t.Errorf("exit %d, %s, disk as it was: %v", code, text, bytes.Equal(before, after))
			}
		})
	}
}
