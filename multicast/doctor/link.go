package doctor

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// findLink describes the interface with an address; nil: there is none.
func findLink(addr netip.Addr) (*Link, error) {
	list, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for i := range list {
		addrs, err := list[i].Addrs()
		if err != nil {
			return nil, err
		}
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && n.IP.Equal(addr.AsSlice()) {
				return describe(&list[i])
			}
		}
	}
	return nil, nil
}

func describe(ifc *net.Interface) (*Link, error) {
	l := &Link{Name: ifc.Name, MTU: ifc.MTU, Up: ifc.Flags&net.FlagUp != 0, Multicast: ifc.Flags&net.FlagMulticast != 0}
	links, err := bridges()
	if err != nil {
		return nil, err
	}
	b, ok := links[ifc.Index]
	if ok && !b.bridge {
		b = links[b.master]
	}
	if b.bridge {
		l.Bridge, l.Snooping, l.Querier = b.name, b.snooping, b.querier
	}
	return l, nil
}

// netLink is what the kernel says of an interface as a bridge or a port.
type netLink struct {
	name                      string
	master                    int
	bridge, snooping, querier bool
}

// bridges asks the kernel, which knows what /sys shows of other namespaces only.
func bridges() (map[int]netLink, error) {
	raw, err := syscall.NetlinkRIB(unix.RTM_GETLINK, unix.AF_UNSPEC)
	if err != nil {
		return nil, fmt.Errorf("listing interfaces: %w", err)
	}
	msgs, err := syscall.ParseNetlinkMessage(raw)
	if err != nil {
		return nil, fmt.Errorf("listing interfaces: %w", err)
	}
	links := map[int]netLink{}
	for i := range msgs {
		if msgs[i].Header.Type != unix.RTM_NEWLINK || len(msgs[i].Data) < unix.SizeofIfInfomsg {
			continue
		}
		index := int(int32(binary.NativeEndian.Uint32(msgs[i].Data[4:])))
		attrs := attributes(msgs[i].Data[unix.SizeofIfInfomsg:])
		info := attributes(attrs[unix.IFLA_LINKINFO])
		l := netLink{name: text(attrs[unix.IFLA_IFNAME]), bridge: text(info[unix.IFLA_INFO_KIND]) == "bridge"}
		if m := attrs[unix.IFLA_MASTER]; len(m) >= 4 {
			l.master = int(binary.NativeEndian.Uint32(m))
		}
		data := attributes(info[unix.IFLA_INFO_DATA])
		on := func(kind uint16) bool { return len(data[kind]) > 0 && data[kind][0] != 0 }
		l.snooping, l.querier = on(unix.IFLA_BR_MCAST_SNOOPING), on(unix.IFLA_BR_MCAST_QUERIER)
		links[index] = l
	}
	return links, nil
}

// attributes splits netlink attributes.
func attributes(b []byte) map[uint16][]byte {
	all := map[uint16][]byte{}
	for len(b) >= unix.SizeofRtAttr {
		n, kind := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER)
		if n < unix.SizeofRtAttr || n > len(b) {
			break
		}
		all[kind] = b[unix.SizeofRtAttr:n]
		b = b[min(len(b), (n+3)&^3):]
	}
	return all
}

func text(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

// route is the interface by which an address is reached, "" if none is.
func route(to netip.Addr) (string, error) {
	probe, err := net.Dial("udp4", netip.AddrPortFrom(to, 9).String()) // sends nothing
	if err != nil {
		return "", nil
	}
	defer probe.Close()
	l, err := findLink(probe.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap())
	if l == nil || err != nil {
		return "", err
	}
	return l.Name, nil
}
