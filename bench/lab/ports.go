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

// labs counts the labs of this process, to keep them apart. It is the one thing
// that they share.
var labs atomic.Uint32

// number tells labs apart, those of other processes by chance.
func number() uint32 { return uint32(os.Getpid())*17 + labs.Add(1) }

// subnet gives a lab a network of its own, /22, of 127.64.0.0 to
// 127.255.255.255.
func subnet(number uint32) netip.Prefix {
	n := number % (192 * 64) // second octet 64 to 255, 64 nets of /22 in each
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{127, byte(64 + n/64), byte(n % 64 * 4), 0}), 22)
}

// Ports of labs lie below those that the kernel gives out by itself.
const (
	firstPort    = 10000
	portsPerLab  = 16
	portBlocks   = 1400
	servicePorts = 6 // the rest is for multicast sessions
	blocksTried  = 100
)

// freePorts finds a block of ports that nobody uses now, by TCP or UDP.
func freePorts(number uint32) (uint16, error) {
	var err error
	for n := range uint32(blocksTried) {
		block := (number + n*97) % portBlocks
		port := uint16(firstPort + block*portsPerLab)
		if err = allFree(port); err == nil {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no block of %d free ports in %d tries: %w", portsPerLab, blocksTried, err)
}

func allFree(port uint16) error {
	for i := range uint16(portsPerLab) {
		t, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(netip.AddrPortFrom(boss, port+i)))
		if err != nil {
			return err
		}
		t.Close()
		u, err := net.ListenUDP("udp4", &net.UDPAddr{Port: int(port + i)})
		if err != nil {
			return err
		}
		u.Close()
	}
	return nil
}

// onLoopback puts every service on a free port, and tells the nodes.
func onLoopback(cfg *appliance.Config, number uint32) (vnode.Servers, error) {
	port, err := freePorts(number)
	if err != nil {
		return vnode.Servers{}, err
	}
	servers := vnode.Servers{
		IP: boss, DHCP: port, BootServer: port + 1, TFTP: port + 2,
		Bootinfo: port + 3, TMCD: port + 4, Master: port + 5,
	}
	listen(cfg, servers)
	cfg.DHCP = appliance.DHCP{Addresses: []netip.Addr{boss}, Port: servers.DHCP, BootServerPort: servers.BootServer, LoopbackLab: true}
	cfg.Multicast.LoopbackLab = true
	cfg.Multicast.FirstPort, cfg.Multicast.LastPort = port+servicePorts, port+portsPerLab-1
	return servers, nil
}

// onNetwork puts every service on its real port.
func onNetwork(cfg *appliance.Config, server netip.Addr, bridge string) vnode.Servers {
	servers := vnode.Servers{IP: server, TFTP: 69, Bootinfo: 6969, TMCD: 7777, Master: 64494}
	listen(cfg, servers)
	cfg.DHCP = appliance.DHCP{Interfaces: []string{bridge}}
	cfg.Multicast.FirstPort, cfg.Multicast.LastPort = 21000, 21099
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
