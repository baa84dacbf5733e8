package vnode

import (
	"bytes"
	"context"
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

func TestStandardTable(t *testing.T) {
	t.Parallel()
	d := testDisk(t, context.Background())
	if _, err := d.slot(1); err == nil {
		t.Error("an empty disk has a partition")
	}
	if err := d.standardTable(); err != nil {
		t.Fatal(err)
	}
	end := int64(firstSlotSector * SectorBytes)
	for slot := 1; slot <= 4; slot++ {
		e, err := d.slot(slot)
		if err != nil || e.Offset != end || e.Bytes <= 0 {
			t.Fatalf("slot %d: %+v, %v; want it at %d", slot, e, err, end)
		}
		end += e.Bytes
	}
	if end != testDiskBytes {
		t.Errorf("the last slot ends at %d of %d", end, testDiskBytes)
	}
	if e, err := d.slot(0); err != nil || e.Offset != firstSlotSector*SectorBytes {
		t.Errorf("the default slot is at %d, %v", e.Offset, err)
	}
	if slot, err := d.ofType(mbrTypeLinux); err != nil || slot != 1 {
		t.Errorf("first Linux partition is %d, %v", slot, err)
	}
	if _, err := d.ofType(165); err == nil {
		t.Error("there is a FreeBSD partition")
	}
	if err := d.wipeLabels(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.slot(1); err == nil {
		t.Error("the table is still there after it was wiped")
	}
}

// TestWipeLabels checks what goes and what stays.
func TestWipeLabels(t *testing.T) {
	t.Parallel()
	d := testDisk(t, context.Background())
	fill := bytes.Repeat([]byte{0xa5}, 1<<20)
	for at := int64(0); at < testDiskBytes; at += int64(len(fill)) {
		if _, err := d.WriteAt(fill, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.standardTable(); err != nil {
		t.Fatal(err)
	}
	second, err := d.slot(2)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.wipeLabels(); err != nil {
		t.Fatal(err)
	}
	for at, want := range map[int64]byte{
		0: 0, wipeBytes - 1: 0, second.Offset - 1: 0xa5, second.Offset: 0, second.Offset + labelBytes - 1: 0,
		second.Offset + labelBytes: 0xa5, testDiskBytes - wipeBytes - 1: 0xa5, testDiskBytes - 1: 0,
	} {
		var b [1]byte
		if _, err := d.ReadAt(b[:], at); err != nil || b[0] != want {
			t.Errorf("byte %d is %#x, want %#x, %v", at, b[0], want, err)
		}
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
