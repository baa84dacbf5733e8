package fuzz

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"hyzer/netsvc/dhcp"
)

// dhcpSite is a directory with one of everything a request can meet.
type dhcpSite struct{ subnets *dhcp.Subnets }

func (s dhcpSite) Subnets() *dhcp.Subnets { return s.subnets }

func (s dhcpSite) ByHardware(hw dhcp.HardwareAddr) (dhcp.Reservation, bool) {
	if hw != dhcp.EthernetAddr([6]byte{0x52, 0x54, 0, 0x50, 0, 0}) {
		return dhcp.Reservation{}, false
	}
	return dhcp.Reservation{Node: "pc1", IP: netip.MustParseAddr("10.50.0.122")}, true
}

func (s dhcpSite) ByAddress(ip netip.Addr) (dhcp.Reservation, bool) {
	return dhcp.Reservation{Node: "pc1", IP: ip}, ip == netip.MustParseAddr("10.50.0.122")
}

func (s dhcpSite) Boot(_ string, a dhcp.Asker) (dhcp.BootFile, bool) {
	return dhcp.BootFile{Name: "http://10.50.0.1/boot", Menu: string(a.UserClass), RootPath: "/tftpboot"}, true
}

func newDHCPSite(f *testing.F) dhcpSite {
	f.Helper()
	addr := netip.MustParseAddr
	subnets, err := dhcp.NewSubnets([]dhcp.Subnet{
		{Prefix: netip.MustParsePrefix("10.50.0.0/24"), Mode: dhcp.ModeServe, Authoritative: true,
			PoolFirst: addr("10.50.0.100"), PoolLast: addr("10.50.0.131"), Routers: []netip.Addr{addr("10.50.0.254")}, Domain: "example"},
		{Prefix: netip.MustParsePrefix("10.60.0.0/24"), Mode: dhcp.ModeProxy},
	})
	if err != nil {
		f.Fatal(err)
	}
	return dhcpSite{subnets}
}

// addDHCPSeeds adds what real firmware sent, and the classes of bad input that
// broke other servers.
func addDHCPSeeds(f *testing.F) {
	f.Helper()
	files, err := filepath.Glob("../netsvc/dhcp/testdata/req-*.bin")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	var plain []byte
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		plain = data
		f.Add(data)
	}
	with := func(options ...byte) []byte { return append(bytes.Clone(plain[:240]), options...) }
	f.Add([]byte{})
	f.Add(with(53, 1, 3))                                                            // no END
	f.Add(with(53, 1, 1, 52, 1, 3, 255))                                             // overload of empty fields
	f.Add(with(append([]byte{53, 1, 1}, bytes.Repeat([]byte{82, 1, 7}, 250)...)...)) // option 82 in 250 pieces
	f.Add(with(53, 1, 1, 82, 6, 5, 4, 10, 50, 0, 0, 57, 2, 0, 0, 255))               // link selection
	f.Add(with(53, 1, 4, 50, 4, 10, 50, 0, 100, 54, 4, 10, 50, 0, 1, 255))           // DECLINE
	f.Add(with(53, 1, 1, 43, 4, 71, 200, 1, 2, 93, 3, 0, 7, 0, 97, 1, 0, 255))       // nested overrun, odd 93, short 97
}

// FuzzDHCPPacket: any datagram is parsed or refused without harm, and a view
// never reaches past its message.
func FuzzDHCPPacket(f *testing.F) {
	addDHCPSeeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		var p dhcp.Packet
		if p.Parse(data) != nil {
			return
		}
		total := 0
		for code := range 256 {
			v, _ := p.Option(uint8(code))
			total += len(v)
		}
		if total > len(data) {
			t.Errorf("options of %d octets in a message of %d", total, len(data))
		}
		if text := p.LogValue().String(); len(text) > 2000 || bytes.ContainsFunc([]byte(text), isControl) {
			t.Errorf("log line %q", text)
		}
		dhcp.AskerOf(&p)
	})
}

func isControl(r rune) bool { return r < ' ' || r > '~' }

// FuzzDHCPDecide: any message on any port, alone and repeated, gets a reply
// that RFC 2131 allows, and costs at most a table entry of the pool.
func FuzzDHCPDecide(f *testing.F) {
	addDHCPSeeds(f)
	site := newDHCPSite(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		var p dhcp.Packet
		if p.Parse(data) != nil {
			return
		}
		table, err := dhcp.NewTable(nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		table.Configure(site.subnets)
		for now := range dhcp.Instant(6) {
			in := dhcp.Ingress{
				Local: netip.MustParseAddr("10.50.0.1"), Source: netip.MustParseAddrPort("10.50.0.9:68"),
				Unicast: now&1 != 0, BootServer: now&2 != 0,
			}
			if now >= 4 {
				in.Local = netip.MustParseAddr("10.60.0.1")
			}
			d := dhcp.Decide(nil, &p, in, site, table, now*1e9)
			if d.Type != 0 {
				checkDHCPReply(t, &p, d)
			}
			table.Apply(d.Change, now*1e9)
		}
		if table.Len() > 1 {
			t.Errorf("one client has %d addresses", table.Len())
		}
	})
}

// checkDHCPReply compares a reply with its request (RFC 2131, table 3).
func checkDHCPReply(t *testing.T, p *dhcp.Packet, d dhcp.Decision) {
	t.Helper()
	var r dhcp.Packet
	if err := r.Parse(d.Reply); err != nil {
		t.Fatalf("unreadable reply: %v", err)
	}
	if len(d.Reply) < 300 || len(d.Reply) > 1472 {
		t.Errorf("reply of %d octets", len(d.Reply))
	}
	if r.Op() != 2 || r.XID() != p.XID() || r.GIAddr() != p.GIAddr() || !bytes.Equal(r.CHAddr(), p.CHAddr()) || r.Type() != d.Type {
		t.Errorf("header does not answer the request")
	}
	for _, code := range []uint8{dhcp.OptClientID, dhcp.OptRelayAgent} {
		sent, had := p.Option(code)
		back, has := r.Option(code)
		if code == dhcp.OptClientID && len(sent) > 64 {
			continue // may have found no room
		}
		if had && (!has || !bytes.Equal(sent, back)) {
			t.Errorf("option %d not echoed: %x, %x", code, sent, back)
		}
	}
	_, hasTerm := r.Option(dhcp.OptLeaseTime)
	if given := !r.YIAddr().IsUnspecified(); given != hasTerm {
		t.Errorf("address given: %v, lease time given: %v", given, hasTerm)
	}
	if v, ok := r.Option(dhcp.OptT1); ok {
		t2, _ := r.Option(dhcp.OptT2)
		term, _ := r.Option(dhcp.OptLeaseTime)
		if u := binary.BigEndian.Uint32; u(v) >= u(t2) || u(t2) >= u(term) {
			t.Errorf("T1 %x T2 %x term %x", v, t2, term)
		}
	}
	if _, id := r.AddrOption(dhcp.OptServerID); !id {
		t.Error("no server identifier")
	}
}
