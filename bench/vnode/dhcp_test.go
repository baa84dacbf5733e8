package vnode

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"hyzer/netsvc/dhcp"
)

// dhcpReply makes a server's message in answer to a request.
type dhcpReply struct {
	kind           dhcp.MessageType
	yiaddr, siaddr netip.Addr
	file           string
	xid            uint32 // 0: the request's
	options        string // raw, before END
}

func (r dhcpReply) encode(request []byte) []byte {
	b := make([]byte, 240)
	copy(b, request[:240])
	b[0] = 2
	if r.xid != 0 {
		binary.BigEndian.PutUint32(b[4:], r.xid)
	}
	for at, a := range map[int]netip.Addr{16: r.yiaddr, 20: r.siaddr} {
		if a.IsValid() {
			copy(b[at:], a.AsSlice())
		}
	}
	copy(b[108:], r.file)
	b = append(b, dhcp.OptMessageType, 1, byte(r.kind), dhcp.OptServerID, 4, 127, 0, 0, 1)
	return append(append(b, r.options...), dhcp.OptEnd)
}

const (
	leaseOptions = "\x33\x04\x00\x00\x8c\xa0\x01\x04\xff\xff\xff\x00" // 36000 s, /24
	pxeClass     = "\x3c\x09PXEClient"
)

// serveDHCP answers with what the function says to each request.
func serveDHCP(t *testing.T, answer func(p *dhcp.Packet) []dhcpReply) uint16 {
	t.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(testServer, 0)))
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		buf := make([]byte, 2000)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			var p dhcp.Packet
			if err := p.Parse(buf[:n]); err != nil {
				t.Errorf("the node sent %x: %v", buf[:n], err)
				continue
			}
			for _, r := range answer(&p) {
				_, _ = conn.WriteToUDPAddrPort(r.encode(buf[:n]), from) // a loss
			}
		}
	})
	t.Cleanup(func() { conn.Close(); serving.Wait() })
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
}

// TestFirmwareDHCP lets a server answer rightly and wrongly. No file is ever
// fetched: the node stops at TFTP, by a fault, if DHCP was good.
func TestFirmwareDHCP(t *testing.T) {
	t.Parallel()
	other := netip.MustParseAddr("127.1.1.1")
	nothing := func(netip.Addr) []dhcpReply { return nil }
	for _, test := range []struct {
		name          string
		offer, answer func(ip netip.Addr) []dhcpReply
		want          string
	}{
		{"good", offerOf(dhcpReply{kind: dhcp.Offer, file: "f"}), offerOf(dhcpReply{kind: dhcp.Ack, file: "boot"}), "TFTP open timeout for boot"},
		{"strangers first", func(ip netip.Addr) []dhcpReply {
			return []dhcpReply{{kind: dhcp.Offer, yiaddr: other, xid: 1}, {kind: dhcp.Ack, yiaddr: other}, {kind: dhcp.Offer}, {kind: dhcp.Offer, yiaddr: ip}}
		}, offerOf(dhcpReply{kind: dhcp.Ack, file: "boot"}), "TFTP open timeout for boot"},
		{"no file", offerOf(dhcpReply{kind: dhcp.Offer}), offerOf(dhcpReply{kind: dhcp.Ack}), "DHCP names no boot file"},
		{"refused", offerOf(dhcpReply{kind: dhcp.Offer}), offerOf(dhcpReply{kind: dhcp.Nak}), "DHCP: no answer"},
		{"no offer", nothing, nothing, "DHCP: no answer"},
		{"no ack", offerOf(dhcpReply{kind: dhcp.Offer}), nothing, "DHCP: no answer"},
		{"another address", func(netip.Addr) []dhcpReply { return []dhcpReply{{kind: dhcp.Offer, yiaddr: other}} },
			func(netip.Addr) []dhcpReply {
				return []dhcpReply{{kind: dhcp.Ack, yiaddr: other, options: leaseOptions}}
			}, "but this node is"},
		{"address changes", offerOf(dhcpReply{kind: dhcp.Offer}),
			func(netip.Addr) []dhcpReply {
				return []dhcpReply{{kind: dhcp.Ack, yiaddr: other, options: leaseOptions}}
			}, "after an OFFER of"},
		{"no lease time", offerOf(dhcpReply{kind: dhcp.Offer}),
			func(ip netip.Addr) []dhcpReply {
				return []dhcpReply{{kind: dhcp.Ack, yiaddr: ip, options: leaseOptions[6:]}}
			}, "without a lease time"},
		{"no netmask", offerOf(dhcpReply{kind: dhcp.Offer}),
			func(ip netip.Addr) []dhcpReply {
				return []dhcpReply{{kind: dhcp.Ack, yiaddr: ip, options: leaseOptions[:6]}}
			}, "without a netmask"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			port := serveDHCP(t, func(p *dhcp.Packet) []dhcpReply {
				if p.Type() == dhcp.Discover {
					return test.offer(p.GIAddr())
				}
				return test.answer(p.GIAddr())
			})
			n := testNode(t, func(c *Config) {
				if c.Server.DHCP, c.FailAt = port, "tftp"; strings.HasPrefix(test.want, "DHCP: no answer") {
					c.Timing.DHCPTries = []time.Duration{20 * time.Millisecond}
				}
			})
			run(t, n, firmware)()
			if last := n.Last().Text; !strings.Contains(last, test.want) {
				t.Errorf("the node ended with %q, want %q", last, test.want)
			}
		})
	}
}

// offerOf gives the node its address with a full lease.
func offerOf(r dhcpReply) func(netip.Addr) []dhcpReply {
	return func(ip netip.Addr) []dhcpReply {
		r.yiaddr, r.options = ip, leaseOptions
		return []dhcpReply{r}
	}
}

// TestProxyOffer tells the two ways apart in which a proxy names a boot file.
func TestProxyOffer(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		offer    dhcpReply
		bootAsks int // questions to port 4011
		want     string
	}{
		{"by the offer", dhcpReply{kind: dhcp.Offer, siaddr: testServer, file: "boot", options: pxeClass + "\x2b\x04\x06\x01\x08\xff"}, 0, "for boot"},
		{"by the boot server", dhcpReply{kind: dhcp.Offer, siaddr: testServer, file: "boot", options: pxeClass}, 1, "for boot4011"},
		{"no proxy", dhcpReply{kind: dhcp.Offer, siaddr: testServer, file: "boot"}, 0, "DHCP: no answer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			asks := 0
			port := serveDHCP(t, func(*dhcp.Packet) []dhcpReply { return []dhcpReply{test.offer} })
			boot := serveDHCP(t, func(p *dhcp.Packet) []dhcpReply {
				mu.Lock()
				defer mu.Unlock()
				asks++
				if p.Type() != dhcp.Request || p.CIAddr().IsUnspecified() {
					t.Errorf("port 4011 is asked by a %v from %v", p.Type(), p.CIAddr())
				}
				return []dhcpReply{{kind: dhcp.Ack, siaddr: testServer, file: "boot4011", options: pxeClass}}
			})
			n := testNode(t, func(c *Config) {
				c.Proxy, c.FailAt = true, "tftp"
				c.Server.DHCP, c.Server.BootServer = port, boot
				if test.name == "no proxy" {
					c.Timing.DHCPTries = []time.Duration{20 * time.Millisecond}
				}
			})
			run(t, n, firmware)()
			mu.Lock()
			defer mu.Unlock()
			if last := n.Last().Text; !strings.Contains(last, test.want) || asks != test.bootAsks {
				t.Errorf("the node ended with %q after %d questions, want %q after %d", last, asks, test.want, test.bootAsks)
			}
		})
	}
}

// TestDHCPRequest reads a message of the firmware with the server's codec.
func TestDHCPRequest(t *testing.T) {
	t.Parallel()
	c := &Config{MAC: [6]byte{2, 3, 4, 5, 6, 7}, UUID: [16]byte{1, 15: 9}, Arch: 7}
	ip := netip.MustParseAddr("10.1.2.3")
	b := question{kind: dhcp.Request, asked: ip, server: testServer, broadcast: true, secs: 5}.encode(c, 0x12345678)
	var p dhcp.Packet
	if err := p.Parse(b); err != nil {
		t.Fatal(err)
	}
	asked, _ := p.AddrOption(dhcp.OptRequestedAddress)
	server, _ := p.AddrOption(dhcp.OptServerID)
	class, _ := p.Option(dhcp.OptVendorClass)
	uuid, _ := p.Option(dhcp.OptClientUUID)
	arch, _ := p.Option(dhcp.OptClientArch)
	if p.Type() != dhcp.Request || p.XID() != 0x12345678 || p.Secs() != 5 || p.Flags() != 0x8000 || asked != ip || server != testServer ||
		string(class) != "PXEClient:Arch:00007:UNDI:003016" || len(uuid) != 17 || uuid[16] != 9 || string(arch) != "\x00\x07" || len(b) < 300 {
		t.Errorf("message %x", b)
	}
}
