package vnode

import (
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// configureLink gives the node's interface its address, in the network
// namespace of the calling thread. On loopback there is nothing to do.
func (n *Node) configureLink(ip, mask netip.Addr) error {
	if n.cfg.Link == "" {
		return nil
	}
	if !mask.Is4() {
		mask = netip.AddrFrom4([4]byte{255, 255, 255, 0})
	}
	return n.linkRequests([]linkRequest{
		{unix.SIOCSIFADDR, ip}, {unix.SIOCSIFNETMASK, mask},
	})
}

// unconfigureLink takes the address away: the firmware has none yet, and a
// machine that is off answers nobody.
func (n *Node) unconfigureLink() error {
	if n.cfg.Link == "" {
		return nil
	}
	return n.linkRequests([]linkRequest{{unix.SIOCSIFADDR, netip.IPv4Unspecified()}})
}

type linkRequest struct {
	code uint
	addr netip.Addr
}

func (n *Node) linkRequests(requests []linkRequest) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq(n.cfg.Link)
	if err != nil {
		return fmt.Errorf("interface %q: %w", n.cfg.Link, err)
	}
	for _, r := range requests {
		if err := ifr.SetInet4Addr(r.addr.AsSlice()); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(fd, r.code, ifr); err != nil {
			return fmt.Errorf("interface %s: ioctl %#x %v: %w", n.cfg.Link, r.code, r.addr, err)
		}
	}
	return nil
}
