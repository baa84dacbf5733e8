package multicast

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Of linux/ethtool.h.
const (
	ethtoolSetTSO = 0x1f
	ethtoolSetGRO = 0x2c
)

// ethtoolValue is struct ethtool_value.
type ethtoolValue struct{ command, value uint32 }

// ifreqData is struct ifreq with a pointer.
type ifreqData struct {
	name [unix.IFNAMSIZ]byte
	data *ethtoolValue
	_    [16]byte
}

// ownThread lets a thread of its own take what comes to a link of the calling
// thread's namespace. Otherwise it is done by the sender, whose time the work
// of the switch would count as. The thread that calls it must end with it.
func ownThread(link string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keeping mounts to a thread: %w", err)
	}
	if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		return fmt.Errorf("mounting the links' settings: %w", err)
	}
	return os.WriteFile("/sys/class/net/"+link+"/threaded", []byte("1"), 0)
}

// asOnWire makes a link of the calling thread's namespace send frames one by
// one, and put those of one stream together on their way up, as hardware and
// its drivers do. Between virtual links packets of 64 KiB would pass whole.
func asOnWire(link string) error {
	if err := setOffload(link, ethtoolSetTSO, 0); err != nil {
		return fmt.Errorf("turning TSO off at %s: %w", link, err)
	}
	if err := setOffload(link, ethtoolSetGRO, 1); err != nil {
		return fmt.Errorf("turning GRO on at %s: %w", link, err)
	}
	return nil
}

func setOffload(link string, command, value uint32) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	r := ifreqData{data: &ethtoolValue{command, value}}
	copy(r.name[:unix.IFNAMSIZ-1], link)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&r)))
	runtime.KeepAlive(r.data)
	if errno != 0 {
		return os.NewSyscallError("ioctl", errno)
	}
	return nil
}
