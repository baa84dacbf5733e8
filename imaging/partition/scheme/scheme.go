// Package scheme reads whichever partition table a disk has.
package scheme

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"hyzer/imaging/partition"
	"hyzer/imaging/partition/gpt"
	"hyzer/imaging/partition/mbr"
)

var (
	// ErrNone is returned for a disk without a partition table.
	ErrNone = errors.New("no GPT or MBR partition table")
	// ErrUnit is returned for a file whose table can be read in two ways.
	ErrUnit = errors.New("partition table could be in sectors of 512 bytes or of 4096; say which (--sector-size)")
)

// unitLarge is the sector of disks that do not have 512 bytes.
const unitLarge = 4096

// Read reads the table of a disk. If d.Unit is 0, as that of a file, the place
// of a GPT tells the size of the disk's own sectors; an MBR tells nothing, and
// is taken to count in SectorBytes.
func Read(d partition.Disk) (*partition.Table, error) {
	t, err := read(d)
	if d.Unit != 0 {
		return t, err
	}
	d.Unit = unitLarge
	large, errLarge := gpt.Read(d)
	switch {
	case errLarge != nil:
		return t, err
	case err == nil && t.Scheme == large.Scheme:
		return nil, ErrUnit
	}
	return large, nil
}

func read(d partition.Disk) (*partition.Table, error) {
	t, err := gpt.Read(d)
	if errors.Is(err, gpt.ErrNone) {
		t, err = mbr.Read(d)
	}
	if errors.Is(err, mbr.ErrNone) {
		return nil, ErrNone
	}
	return t, err
}

// Unit is the size of a block device's own sectors, 0 for anything else.
func Unit(f *os.File) (int, error) {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeDevice == 0 || info.Mode()&os.ModeCharDevice != 0 {
		return 0, err
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	n, ioctl := 0, error(nil)
	if err = conn.Control(func(fd uintptr) { n, ioctl = unix.IoctlGetInt(int(fd), unix.BLKSSZGET) }); err == nil {
		err = ioctl
	}
	if err == nil && (n < partition.SectorBytes || n > partition.UnitBytesMax || n&(n-1) != 0) {
		err = fmt.Errorf("sectors of %d bytes", n)
	}
	if err != nil {
		return 0, fmt.Errorf("sector size of %s: %w", f.Name(), err)
	}
	return n, nil
}

// SetType returns what gives partition n the type that has a number in an MBR.
// Nothing is written: tables are read, and what would be wrong is an error.
func SetType(d partition.Disk, n int, kind byte) ([]partition.Patch, error) {
	t, err := Read(d)
	if err != nil {
		return nil, err
	}
	e, err := t.Entry(n)
	if err != nil {
		return nil, err
	}
	if t.Scheme == "MBR" {
		return mbr.SetType(e, kind)
	}
	d.Unit = t.Unit
	return gpt.SetType(d, n, kind)
}
