package unzip

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// zeroDevice asks the block layer to zero a range, by whatever means the
// device has (BLKZEROOUT).
func zeroDevice(f *os.File, offset, size int64) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	arg := [2]uint64{uint64(offset), uint64(size)}
	var errno unix.Errno
	err = conn.Control(func(fd uintptr) {
		_, _, errno = unix.Syscall(unix.SYS_IOCTL, fd, unix.BLKZEROOUT, uintptr(unsafe.Pointer(&arg)))
	})
	if err == nil && errno != 0 {
		err = errno
	}
	return err
}
