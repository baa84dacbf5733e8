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

// onLoopback puts every service on a free port, and tells the nodes.
func onLoopback(cfg *appliance.Config) (vnode.Servers, error) {
	ports, err := freePorts(7)
	if err != nil {
		return vnode.Servers{}, err
	}
	servers := vnode.Servers{
		IP: boss, DHCP: ports[0], BootServer: ports[1], TFTP: ports[2],
		Bootinfo: ports[3], TMCD: ports[4], Master: ports[5],
	}
	listen(cfg, servers)
	cfg.DHCP = appliance.DHCP{Addresses: []netip.Addr{boss}, Port: servers.DHCP, BootServerPort: servers.BootServer, LoopbackLab: true}
	cfg.Multicast.LoopbackLab = true
	cfg.Multicast.FirstPort, cfg.Multicast.LastPort = ports[6], ports[6]+sessionPorts
	return servers, nil
}

// onNetwork puts every service on its real port.
func onNetwork(cfg *appliance.Config, server netip.Addr, bridge string) vnode.Servers {
	servers := vnode.Servers{IP: server, TFTP: 69, Bootinfo: 6969, TMCD: 7777, Master: 64494}
	listen(cfg, servers)
	cfg.DHCP = appliance.DHCP{Interfaces: []string{bridge}}
	cfg.Multicast.FirstPort, cfg.Multicast.LastPort = 21000, 21000+sessionPorts
	return servers
}

func listen(cfg *appliance.Config, s vnode.Servers) {
	at := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(s.IP, port) }
	cfg.TFTP.Listen = at(s.TFTP)
	cfg.Bootinfo.Listen = at(s.Bootinfo)
	cfg.TMCD.Listen = []netip.AddrPort{at(s.TMCD)}
	cfg.Frisbee.Listen = at(s.Master)
	cfg.Multicast = appliance.Multicast{Interface: s.IP, Groups: netip.MustParsePrefix("239.192.64.0/20")}
}
