package sock

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Groups of IPv6 sessions are told apart by all of their address, and need the
// number of the interface where IPv4 has its address.

// ErrLinkLocal is wrapped by Open's error for an address that means nothing
// without the name of an interface.
var ErrLinkLocal = errors.New("link-local addresses carry no session, use global or unique local ones (fd00::/8), and groups of ff15::/16 or wider")

// checkIPv6 refuses what cannot work.
func (c Config) checkIPv6(iface netip.Addr) error {
	for _, a := range []netip.Addr{c.Session.Addr(), iface} {
		switch {
		case a.Is4() != c.Session.Addr().Is4() || a.Is4In6():
			return fmt.Errorf("session %v on interface %v: want both of IPv4 or both of IPv6", c.Session, iface)
		case a.Is6() && (a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast() || a.Zone() != ""):
			return fmt.Errorf("%v: %w", a, ErrLinkLocal)
		}
	}
	if c.Broadcast && iface.Is6() {
		return errors.New("IPv6 has no broadcast")
	}
	return nil
}

// interfaceIndex finds the interface that has an address.
func interfaceIndex(addr netip.Addr) (int, error) {
	list, err := net.Interfaces()
	if err != nil {
		return 0, err
	}
	for _, i := range list {
		addrs, err := i.Addrs()
		if err != nil {
			continue // it went away meanwhile
		}
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && n.IP.Equal(addr.AsSlice()) {
				return i.Index, nil
			}
		}
	}
	return 0, fmt.Errorf("no interface has address %v", addr)
}

// options6 are the socket options of an IPv6 socket.
func (o opener) options6(loop int) []option {
	return []option{
		{"IPV6_V6ONLY", true, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1},
		{"IPV6_MULTICAST_HOPS", o.Multicast(), unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, ttlHops},
		{"IPV6_MULTICAST_LOOP", o.Multicast(), unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, loop},
		{"IPV6_MULTICAST_ALL", o.Multicast(), unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL, 0},
		{"IPV6_MULTICAST_IF", o.Multicast(), unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, o.index},
		{"IPV6_RECVERR", !o.Client, unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1},
	}
}

// membership adds or drops the group of an IPv6 socket.
func (c *conn) membership6(fd, option int) error {
	return unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, option, &unix.IPv6Mreq{Multiaddr: c.group.As16(), Interface: uint32(c.index)})
}

// through6 is through4 for IPv6.
func (c *conn) through6(fd int) error {
	return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, c.index)
}
