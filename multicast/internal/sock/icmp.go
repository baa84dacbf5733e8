package sock

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A server's socket hears of full interface queues, and with that of every ICMP
// error that names one of its datagrams, be it of a router, of a peer that has
// closed its port, or forged. The kernel returns it once, in place of what the
// next call would do, and keeps a copy, which takes room from the receive buffer
// until it is fetched.

const (
	// earlierErrorsMax is how often in a row a send makes way for the error of an
	// earlier one. What comes after that is its own, as of a route that is missing.
	earlierErrorsMax = 8
	// droppedErrorsMax are fetched before datagrams are looked for again.
	droppedErrorsMax = 1024
)

// ofICMP says whether the kernel makes that of an ICMP error.
func ofICMP(errno unix.Errno) bool {
	switch errno {
	case unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EHOSTDOWN, unix.ENONET, unix.EPROTO, unix.ENOPROTOOPT,
		unix.EOPNOTSUPP, unix.EMSGSIZE, unix.EACCES:
		return true
	}
	return false
}

// mayBeEarlier says whether the error of a send may be that of an earlier one.
func mayBeEarlier(err error) bool {
	var errno unix.Errno
	return errors.As(err, &errno) && ofICMP(errno)
}

// dropErrors throws the copies away, so that they take no room and are returned no
// more. unused is any that no other call uses.
func dropErrors(fd uintptr, unused *unix.Msghdr) {
	for range droppedErrorsMax {
		*unused = unix.Msghdr{}
		_, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(unused)), unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		if errno != 0 {
			return
		}
	}
}
