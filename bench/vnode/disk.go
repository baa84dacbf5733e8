package vnode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/imaging/freemap/ext"
	"hyzer/netsvc/diskloader"
)

// SectorBytes is the unit of a node's disk.
const SectorBytes = 512

const (
	diskBytesMin = 4 << 20
	zeroBytes    = 1 << 20 // written at once where there can be no hole
)

// Extent is a range of the disk, in bytes.
type Extent struct {
	Offset, Bytes int64
}

// disk is the node's disk while it has power. Every write asks ctx first: after
// a power cut the file changes no more. It is an unzip.Target.
type disk struct {
	ctx   context.Context
	f     *os.File
	bytes int64

	bytesPerSec int64 // 0: as fast as it can
	// brokenAfter is how many bytes are written before the disk fails; -1:
	// never.
	brokenAfter int64

	mu      sync.Mutex
	written int64
	since   time.Time
}

var errDiskBroken = errors.New("input/output error")

// openDisk opens the disk, a sparse file that is made if there is none.
func (b *boot) openDisk() (*disk, error) {
	f, err := os.OpenFile(b.cfg.DiskPath, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	d := &disk{ctx: b.ctx, f: f, bytes: b.cfg.DiskBytes, brokenAfter: -1, since: time.Now()}
	info, err := f.Stat()
	if err == nil && info.Size() < d.bytes {
		err = f.Truncate(d.bytes)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return d, nil
}

func (d *disk) Close() error { return d.f.Close() }

// SizeBytes implements unzip.Target.
func (d *disk) SizeBytes() int64 { return d.bytes }

// ReadAt reads; the disk ends at its size whatever the file has.
func (d *disk) ReadAt(p []byte, offset int64) (int, error) {
	return io.NewSectionReader(d.f, 0, d.bytes).ReadAt(p, offset)
}

// WriteAt implements unzip.Target.
func (d *disk) WriteAt(p []byte, offset int64) (int, error) {
	if offset < 0 || offset+int64(len(p)) > d.bytes {
		return 0, fmt.Errorf("write of %d bytes at %d: disk ends at %d", len(p), offset, d.bytes)
	}
	if err := d.admit(int64(len(p))); err != nil {
		return 0, err
	}
	return d.f.WriteAt(p, offset)
}

func (d *disk) writtenBytes() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.written
}

// admit lets a write through at the disk's pace.
func (d *disk) admit(n int64) error {
	d.mu.Lock()
	d.written += n
	written := d.written
	d.mu.Unlock()
	if d.brokenAfter >= 0 && written > d.brokenAfter {
		return errDiskBroken
	}
	if d.bytesPerSec > 0 {
		due := d.since.Add(time.Duration(float64(written) / float64(d.bytesPerSec) * float64(time.Second)))
		timer := time.NewTimer(time.Until(due))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-d.ctx.Done():
		}
	}
	if d.ctx.Err() != nil {
		return errPowerCut
	}
	return nil
}

// Zero implements unzip.Target by a hole in the file.
func (d *disk) Zero(offset, size int64) error {
	if d.ctx.Err() != nil {
		return errPowerCut
	}
	size = min(size, d.bytes-offset)
	if size <= 0 {
		return nil
	}
	const punch = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE
	if err := unix.Fallocate(int(d.f.Fd()), punch, offset, size); err == nil {
		return nil
	}
	zeros := make([]byte, min(size, zeroBytes))
	for size > 0 {
		n, err := d.f.WriteAt(zeros[:min(size, int64(len(zeros)))], offset)
		if err != nil {
			return err
		}
		offset, size = offset+int64(n), size-int64(n)
	}
	return nil
}

// Finish implements unzip.Target.
func (d *disk) Finish(int64) error {
	if d.ctx.Err() != nil {
		return errPowerCut
	}
	return d.f.Sync()
}

// slot is where a partition is; 0 is the active one of an MBR, or else the
// first.
func (d *disk) slot(number int) (Extent, error) {
	if number == 0 {
		var err error
		if number, err = d.activeSlot(); err != nil {
			return Extent{}, err
		}
	}
	at, err := diskloader.Partition(d, number)
	return Extent{int64(at.Start) * SectorBytes, int64(at.Size) * SectorBytes}, err
}

// Layout of a master boot record.
const (
	mbrTableOffset = 446
	mbrEntryBytes  = 16
	mbrEntries     = 4
	mbrActive      = 0x80
)

func (d *disk) activeSlot() (int, error) {
	t, err := diskloader.Table(d, d.bytes)
	if err != nil {
		return 0, err
	}
	var boot [SectorBytes]byte
	if _, err := d.ReadAt(boot[:], 0); err != nil {
		return 0, err
	}
	for i := range mbrEntries {
		if boot[mbrTableOffset+i*mbrEntryBytes] == mbrActive {
			return i + 1, nil
		}
	}
	if len(t.Entries) == 0 {
		return 0, errors.New("the disk has no partition")
	}
	return t.Entries[0].Number, nil
}

// ofType finds the partition with a BIOS type, for bootinfo's SYSID.
func (d *disk) ofType(kind int32) (int, error) {
	t, err := diskloader.Table(d, d.bytes)
	if err != nil {
		return 0, err
	}
	for _, e := range t.Entries {
		if int32(e.MBRType) == kind {
			return e.Number, nil
		}
	}
	return 0, fmt.Errorf("no partition of type %d", kind)
}

// bootable checks that a partition holds a system that can start.
func (b *boot) bootable(slot int) error {
	d, err := b.openDisk()
	if err != nil {
		return err
	}
	defer d.Close()
	part, err := d.slot(slot)
	if err != nil {
		return err
	}
	return b.cfg.Bootable(d, part)
}

// Intact accepts a partition that holds an ext2, 3 or 4 file system whose
// super-block, group descriptors and bitmaps are there and have the right
// checksums. Half a load, or none, does not pass.
func Intact(disk io.ReaderAt, part Extent) error {
	r := io.NewSectionReader(disk, part.Offset, part.Bytes)
	if !ext.Is(r) {
		return fmt.Errorf("no file system at byte %d: the disk is not bootable", part.Offset)
	}
	m, err := ext.Free(r, part.Bytes)
	if err != nil {
		return fmt.Errorf("file system at byte %d: %w", part.Offset, err)
	}
	if len(m.Warnings) > 0 {
		return fmt.Errorf("file system at byte %d is damaged: %s", part.Offset, m.Warnings[0])
	}
	return nil
}
