package mfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	carrierWait = 20 * time.Second // switches take their time
	carrierPoll = 100 * time.Millisecond
)

// ethernets are the interfaces to try, the one that the firmware booted from
// first.
func ethernets(bootif string) ([]net.Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var links []net.Interface
	for _, i := range all {
		if i.Flags&net.FlagLoopback == 0 && len(i.HardwareAddr) == 6 {
			links = append(links, i)
		}
	}
	if len(links) == 0 {
		return nil, errors.New("no Ethernet interface: its driver is not in the memory file system's etc/modules")
	}
	return bootedFirst(links, bootif), nil
}

// bootedFirst moves an interface to the front. bootif is the value of BOOTIF=,
// "01-" and the MAC with dashes, as pxelinux writes it.
func bootedFirst(links []net.Interface, bootif string) []net.Interface {
	mac := strings.ReplaceAll(strings.TrimPrefix(strings.ToLower(bootif), "01-"), "-", ":")
	at := slices.IndexFunc(links, func(l net.Interface) bool { return l.HardwareAddr.String() == mac })
	if at <= 0 {
		return links
	}
	return slices.Concat(links[at:at+1], links[:at], links[at+1:])
}

// linkUp turns an interface on.
func linkUp(name string) error {
	return withLink(name, func(fd int, r *unix.Ifreq) error {
		if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, r); err != nil {
			return fmt.Errorf("flags: %w", err)
		}
		r.SetUint16(r.Uint16() | unix.IFF_UP)
		if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r); err != nil {
			return fmt.Errorf("turning it on: %w", err)
		}
		return nil
	})
}

// awaitCarrier waits until the link is there, or carrierWait is over: some
// drivers never say.
func awaitCarrier(name string) {
	path := filepath.Join("/sys/class/net", name, "carrier")
	for end := time.Now().Add(carrierWait); time.Now().Before(end); time.Sleep(carrierPoll) {
		if b, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(b)) == "1" {
			return
		}
	}
}

// setAddress gives an interface its address.
func setAddress(name string, ip, mask netip.Addr) error {
	return withLink(name, func(fd int, r *unix.Ifreq) error {
		for _, set := range []struct {
			code uint
			addr netip.Addr
		}{{unix.SIOCSIFADDR, ip}, {unix.SIOCSIFNETMASK, mask}} {
			if err := r.SetInet4Addr(set.addr.AsSlice()); err != nil {
				return err
			}
			if err := unix.IoctlIfreq(fd, set.code, r); err != nil {
				return fmt.Errorf("setting %v: %w", set.addr, err)
			}
		}
		return nil
	})
}

func withLink(name string, do func(fd int, r *unix.Ifreq) error) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq(name)
	if err == nil {
		err = do(fd, r)
	}
	if err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	return nil
}

// setDefaultRoute adds a route to everywhere.
func setDefaultRoute(via netip.Addr, link int) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, routeMessage(via, link), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	reply := make([]byte, unix.Getpagesize())
	n, _, err := unix.Recvfrom(fd, reply, 0)
	if err != nil {
		return os.NewSyscallError("recvfrom", err)
	}
	const errnoOffset = unix.NLMSG_HDRLEN
	if n < errnoOffset+4 {
		return fmt.Errorf("default route via %v: short answer of the kernel", via)
	}
	errno := -int32(binary.NativeEndian.Uint32(reply[errnoOffset:]))
	if errno != 0 && unix.Errno(errno) != unix.EEXIST {
		return fmt.Errorf("default route via %v: %w", via, unix.Errno(errno))
	}
	return nil
}

// routeMessage is RTM_NEWROUTE for 0.0.0.0/0 (rtnetlink(7)).
func routeMessage(via netip.Addr, link int) []byte {
	ne := binary.NativeEndian
	b := make([]byte, unix.NLMSG_HDRLEN, unix.NLMSG_HDRLEN+unix.SizeofRtMsg+2*(unix.SizeofRtAttr+4))
	ne.PutUint16(b[4:], unix.RTM_NEWROUTE)
	ne.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_ACK|unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	b = append(b, unix.AF_INET, 0, 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_DHCP, unix.RT_SCOPE_UNIVERSE, unix.RTN_UNICAST, 0, 0, 0, 0)
	attribute := func(code uint16, value []byte) {
		b = ne.AppendUint16(b, uint16(unix.SizeofRtAttr+len(value)))
		b = append(ne.AppendUint16(b, code), value...)
	}
	attribute(unix.RTA_GATEWAY, via.AsSlice())
	attribute(unix.RTA_OIF, ne.AppendUint32(nil, uint32(link)))
	ne.PutUint32(b, uint32(len(b)))
	return b
}
