package lab

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"

	"hyzer/bench/vnode"
	"hyzer/netsvc/appliance"
)

var boss = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// labs counts the labs of this process, to keep their networks apart. It is
// the one thing that they share.
var labs atomic.Uint32

// subnet gives each lab of each process a network of its own, /22: 127.64.0.0
// to 127.255.255.255 by the process and its count of labs.
func subnet() netip.Prefix {
	const networks = 192 * 64 // second octet 64 to 255, 64 nets of /22 in each
	n := (uint32(os.Getpid())*17 + labs.Add(1)) % networks
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{127, byte(64 + n/64), byte(n % 64 * 4), 0}), 22)
}

// sessionPorts is how many ports the multicast sessions of a lab may use.
const sessionPorts = 8

// freePorts finds ports that nobody uses now, by TCP and UDP alike.
func freePorts(n int) ([]uint16, error) {
	var ports []uint16
	var held []func() error
	defer func() {
		for _, release := range held {
			_ = release()
		}
	}()
	for len(ports) < n {
		t, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(netip.AddrPortFrom(boss, 0)))
		if err != nil {
			return nil, fmt.Errorf("looking for free ports: %w", err)
		}
		held = append(held, t.Close)
		port := t.Addr().(*net.TCPAddr).AddrPort().Port()
		u, err := net.ListenUDP("udp4", &net.UDPAddr{Port: int(port)})
		if err != nil {
			continue
		}
		held = append(held, u.Close)
		ports = append(ports, port)
	}
	return ports, nil
}

// address puts every service on a free port, and tells the nodes.
func address(cfg *appliance.Config) (vnode.Servers, error) {
	ports, err := freePorts(7)
	if err != nil {
		return vnode.Servers{}, err
	}
	servers := vnode.Servers{
		IP: boss, DHCP: ports[0], BootServer: ports[1], TFTP: ports[2],
		Bootinfo: ports[3], TMCD: ports[4], Master: ports[5],
	}
	at := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(boss, port) }
	cfg.DHCP = appliance.DHCP{Addresses: []netip.Addr{boss}, Port: servers.DHCP, BootServerPort: servers.BootServer, LoopbackLab: true}
	cfg.TFTP.Listen = at(servers.TFTP)
	cfg.Bootinfo.Listen = at(servers.Bootinfo)
	cfg.TMCD.Listen = []netip.AddrPort{at(servers.TMCD)}
	cfg.Frisbee.Listen = at(servers.Master)
	cfg.Multicast = appliance.Multicast{
		Interface: boss, Groups: netip.MustParsePrefix("239.192.64.0/20"), LoopbackLab: true,
		FirstPort: ports[6], LastPort: ports[6] + sessionPorts,
	}
	return servers, nil
}
