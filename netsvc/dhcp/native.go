package dhcp

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// The kernel's control messages are in the machine's byte order. Only 64-bit
// Linux is served: there a cmsghdr is 8 octets of length, level and type, and
// the time stamp two 64-bit numbers.

func cmsgHeader(b []byte) unix.Cmsghdr {
	var h unix.Cmsghdr
	h.Len = native64(b)
	h.Level = int32(native32(b[8:]))
	h.Type = int32(native32(b[12:]))
	return h
}

func native32(b []byte) uint32 { return binary.NativeEndian.Uint32(b) }

func native64(b []byte) uint64 { return binary.NativeEndian.Uint64(b) }

// appendPacketInfo appends the control message that chooses a datagram's
// interface and source address (ip(7), IP_PKTINFO).
func appendPacketInfo(dst []byte, iface int, source [4]byte) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, unix.CmsgSpace(unix.SizeofInet4Pktinfo))...)
	b := dst[start:]
	binary.NativeEndian.PutUint64(b, uint64(unix.CmsgLen(unix.SizeofInet4Pktinfo)))
	binary.NativeEndian.PutUint32(b[8:], unix.IPPROTO_IP)
	binary.NativeEndian.PutUint32(b[12:], unix.IP_PKTINFO)
	binary.NativeEndian.PutUint32(b[16:], uint32(iface))
	copy(b[20:], source[:])
	return dst
}
