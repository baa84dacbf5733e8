package peer

import (
	"net/netip"
	"testing"

	"hyzer/netsvc/dhcp"
)

// site reserves 127.x.y.z for every MAC that ends in x, y, z, so that each run
// has as many new clients as it likes.
type site struct{ subnets *dhcp.Subnets }

func newSite(tb testing.TB) *site {
	tb.Helper()
	subnets, err := dhcp.NewSubnets([]dhcp.Subnet{{
		Prefix: netip.MustParsePrefix("127.0.0.0/8"), Mode: dhcp.ModeServe,
		Routers: []netip.Addr{netip.MustParseAddr("127.0.0.1")},
	}})
	if err != nil {
		tb.Fatal(err)
	}
	return &site{subnets}
}

func (s *site) Subnets() *dhcp.Subnets { return s.subnets }

func (s *site) ByHardware(hw dhcp.HardwareAddr) (dhcp.Reservation, bool) {
	ip := netip.AddrFrom4([4]byte{127, hw.Octets[3], hw.Octets[4], hw.Octets[5]})
	return dhcp.Reservation{Node: "pc", IP: ip}, true
}

func (s *site) ByAddress(netip.Addr) (dhcp.Reservation, bool) { return dhcp.Reservation{}, true }

func (s *site) Boot(string, dhcp.Asker) (dhcp.BootFile, bool) {
	return dhcp.BootFile{Name: "/tftpboot/pxeboot.emu"}, true
}

func (s *site) answer(tb testing.TB, request []byte) []byte {
	tb.Helper()
	var p dhcp.Packet
	if err := p.Parse(request); err != nil {
		tb.Fatal(err)
	}
	table, err := dhcp.NewTable(nil, 0)
	if err != nil {
		tb.Fatal(err)
	}
	table.Configure(s.subnets)
	in := dhcp.Ingress{Local: netip.MustParseAddr("127.0.0.1"), Source: netip.MustParseAddrPort("127.0.0.9:68")}
	in.BootServer = !p.CIAddr().IsUnspecified()
	return dhcp.Decide(nil, &p, in, s, table, 0).Reply
}
