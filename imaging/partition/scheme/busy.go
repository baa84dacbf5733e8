package scheme

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"hyzer/imaging/partition"
)

// ErrBusy is returned for a device that is mounted, or used in another way that
// excludes others.
var ErrBusy = errors.New("is in use: mounted, swapped to, or a part of something that is")

// Claim keeps others from mounting a block device, or the partition e of it if
// that is not nil, until the claim is closed. It is ErrBusy if one of them, or
// for the whole device a partition of it, is in use. The claim of what is no
// device is nil.
func Claim(f *os.File, e *partition.Entry) (io.Closer, error) {
	path := f.Name()
	if unit, err := Unit(f); err != nil || unit == 0 {
		return nil, err
	}
	if e != nil {
		var err error
		if path, err = node(f, *e); err != nil || path == "" {
			return nil, err // a partition that the kernel does not know is not mounted
		}
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_EXCL|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.EBUSY) {
		return nil, fmt.Errorf("%s %w", path, ErrBusy)
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// node is the device of a partition, or "" if there is none.
func node(disk *os.File, e partition.Entry) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(disk.Name(), &st); err != nil {
		return "", &os.PathError{Op: "stat", Path: disk.Name(), Err: err}
	}
	starts, err := filepath.Glob(fmt.Sprintf("/sys/dev/block/%d:%d/*/start", unix.Major(st.Rdev), unix.Minor(st.Rdev)))
	if err != nil {
		return "", err
	}
	for _, path := range starts {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		// In sectors of 512 bytes, whatever the disk's own are.
		if start, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err == nil && start == e.Start {
			return filepath.Join("/dev", filepath.Base(filepath.Dir(path))), nil
		}
	}
	return "", nil
}
