package vnode

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const testDiskBytes = 64 << 20

func testDisk(t *testing.T, ctx context.Context) *disk {
	t.Helper()
	b := &boot{Node: &Node{cfg: Config{DiskPath: filepath.Join(t.TempDir(), "disk"), DiskBytes: testDiskBytes}}, ctx: ctx}
	d, err := b.openDisk()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// TestPowerCutDisk checks that nothing reaches the disk without power.
func TestPowerCutDisk(t *testing.T) {
	t.Parallel()
	ctx, cut := context.WithCancel(context.Background())
	d := testDisk(t, ctx)
	if _, err := d.WriteAt([]byte("before"), 100); err != nil {
		t.Fatal(err)
	}
	cut()
	if _, err := d.WriteAt([]byte("after"), 100); !errors.Is(err, errPowerCut) {
		t.Errorf("write: %v", err)
	}
	if err := d.Zero(0, 4096); !errors.Is(err, errPowerCut) {
		t.Errorf("zero: %v", err)
	}
	if err := d.Finish(0); !errors.Is(err, errPowerCut) {
		t.Errorf("finish: %v", err)
	}
	got := make([]byte, 6)
	if _, err := d.ReadAt(got, 100); err != nil || string(got) != "before" {
		t.Errorf("the disk holds %q, %v", got, err)
	}
}

func TestDiskEnds(t *testing.T) {
	t.Parallel()
	d := testDisk(t, context.Background())
	if _, err := d.WriteAt(make([]byte, 512), testDiskBytes-511); err == nil {
		t.Error("a write past the end was accepted")
	}
	if _, err := d.WriteAt(make([]byte, 512), -1); err == nil {
		t.Error("a write before the start was accepted")
	}
	info, err := os.Stat(d.f.Name())
	if err != nil || info.Size() != testDiskBytes {
		t.Errorf("the disk's file is %d bytes, %v", info.Size(), err)
	}
}

// TestSlots finds partitions by number, by activity and by type.
func TestSlots(t *testing.T) {
	t.Parallel()
	d := testDisk(t, context.Background())
	if _, err := d.slot(1); err == nil {
		t.Error("an empty disk has a partition")
	}
	boot := make([]byte, SectorBytes)
	const linux, freebsd = 0x83, 0xa5
	for i, kind := range []byte{linux, freebsd} {
		e := boot[mbrTableOffset+i*mbrEntryBytes:]
		e[4] = kind
		binary.LittleEndian.PutUint32(e[8:], uint32(2048*(i+1)))
		binary.LittleEndian.PutUint32(e[12:], 2048)
	}
	boot[510], boot[511] = 0x55, 0xaa
	write := func() {
		if _, err := d.WriteAt(boot, 0); err != nil {
			t.Fatal(err)
		}
	}
	write()
	at := func(slot int) int64 {
		e, err := d.slot(slot)
		if err != nil || e.Bytes != 2048*SectorBytes {
			t.Errorf("slot %d: %+v, %v", slot, e, err)
		}
		return e.Offset / SectorBytes
	}
	if one, two, def := at(1), at(2), at(0); one != 2048 || two != 4096 || def != one {
		t.Errorf("slots at %d and %d, default %d", one, two, def)
	}
	boot[mbrTableOffset+mbrEntryBytes] = mbrActive
	write()
	if def := at(0); def != 4096 {
		t.Errorf("active slot at %d", def)
	}
	if slot, err := d.ofType(freebsd); err != nil || slot != 2 {
		t.Errorf("first FreeBSD partition is %d, %v", slot, err)
	}
	if _, err := d.ofType(7); err == nil {
		t.Error("there is an NTFS partition")
	}
}

func TestBrokenDisk(t *testing.T) {
	t.Parallel()
	d := testDisk(t, context.Background())
	d.brokenAfter = 1000
	if _, err := d.WriteAt(make([]byte, 1000), 0); err != nil {
		t.Error(err)
	}
	if _, err := d.WriteAt(make([]byte, 1), 0); !errors.Is(err, errDiskBroken) {
		t.Errorf("a broken disk writes: %v", err)
	}
}

// TestSlowDisk measures a slow disk in virtual time, and cuts its power.
func TestSlowDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cut := context.WithCancel(t.Context())
		d := testDisk(t, ctx)
		d.bytesPerSec = 1000
		begin := time.Now()
		for range 5 {
			if _, err := d.WriteAt(make([]byte, 1000), 0); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("5000 bytes at 1000 a second took %v", took)
		}
		time.AfterFunc(time.Second, cut)
		if _, err := d.WriteAt(make([]byte, 100000), 0); !errors.Is(err, errPowerCut) {
			t.Errorf("write: %v", err)
		}
		if took := time.Since(begin); took != 6*time.Second {
			t.Errorf("the power cut took until %v", took)
		}
	})
}

func TestNotBootable(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"zeros":   strings.Repeat("\x00", 8192),
		"noise":   strings.Repeat("noise", 2000),
		"magic":   strings.Repeat("\x00", 1024+56) + "\x53\xef" + strings.Repeat("\x00", 8192),
		"nothing": "",
	} {
		if err := Intact(strings.NewReader(content), Extent{0, int64(len(content))}); err == nil {
			t.Errorf("%s is bootable", name)
		}
	}
}
