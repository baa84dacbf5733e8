package client

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"hyzer/netsvc/dhcp"
)

var mac = [6]byte{2, 0x48, 0x59, 0, 0, 1}

// TestMessage reads messages back with the server's reader.
func TestMessage(t *testing.T) {
	t.Parallel()
	ip, server := netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("10.0.0.1")
	for _, m := range []Message{
		{Type: dhcp.Discover, XID: 0xdeadbeef, MAC: mac, Secs: 9, Broadcast: true},
		{Type: dhcp.Request, XID: 1, MAC: mac, Requested: ip, Server: server, Broadcast: true},
		{Type: dhcp.Request, XID: 2, MAC: mac, CIAddr: ip},
	} {
		b := m.Append([]byte("before"))[len("before"):]
		var p dhcp.Packet
		if err := p.Parse(b); err != nil {
			t.Fatal(err)
		}
		got := Message{Type: p.Type(), XID: p.XID(), MAC: [6]byte(p.CHAddr()), Secs: p.Secs(), Broadcast: p.Flags() == 0x8000}
		if a := p.CIAddr(); !a.IsUnspecified() {
			got.CIAddr = a
		}
		got.Requested, _ = p.AddrOption(dhcp.OptRequestedAddress)
		got.Server, _ = p.AddrOption(dhcp.OptServerID)
		if got != m {
			t.Errorf("read back\n%+v, want\n%+v", got, m)
		}
		if p.Op() != 1 || p.HType() != 1 || len(b) < 300 {
			t.Errorf("op %d, htype %d, %d bytes", p.Op(), p.HType(), len(b))
		}
	}
}

// reply makes a server's message of options.
func reply(t *testing.T, yiaddr, siaddr [4]byte, options ...[]byte) *dhcp.Packet {
	t.Helper()
	b := make([]byte, 240)
	b[0], b[1], b[2] = 2, 1, 6
	copy(b[16:], yiaddr[:])
	copy(b[20:], siaddr[:])
	copy(b[28:], mac[:])
	copy(b[236:], []byte{0x63, 0x82, 0x53, 0x63})
	b = append(b, slices.Concat(options...)...)
	p := &dhcp.Packet{}
	if err := p.Parse(append(b, dhcp.OptEnd)); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestReadLease(t *testing.T) {
	t.Parallel()
	var (
		ack    = []byte{53, 1, 5}
		server = []byte{54, 4, 10, 0, 0, 1}
		mask   = []byte{1, 4, 255, 255, 252, 0}
		hour   = []byte{51, 4, 0, 0, 0x0e, 0x10}
	)
	addr := netip.MustParseAddr
	ip := [4]byte{10, 0, 0, 5}
	for _, test := range []struct {
		name    string
		packet  *dhcp.Packet
		want    Lease
		wantErr string
	}{
		{"least", reply(t, ip, [4]byte{}, ack, server, mask, hour),
			Lease{IP: addr("10.0.0.5"), Mask: addr("255.255.252.0"), Server: addr("10.0.0.1"), Next: addr("10.0.0.1"),
				Time: time.Hour, Renew: 30 * time.Minute, Rebind: 3150 * time.Second}, ""},
		{"all", reply(t, ip, [4]byte{10, 0, 0, 9}, ack, server, mask, hour, []byte{3, 4, 10, 0, 0, 254},
			[]byte{6, 16, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4}, []byte("\x0c\x04pc1\x00"), []byte("\x0f\x03a.b"),
			[]byte{58, 4, 0, 0, 0, 60}, []byte{59, 4, 0, 0, 0, 90}),
			Lease{IP: addr("10.0.0.5"), Mask: addr("255.255.252.0"), Server: addr("10.0.0.1"), Next: addr("10.0.0.9"), Router: addr("10.0.0.254"),
				DNS: []netip.Addr{addr("1.1.1.1"), addr("2.2.2.2"), addr("3.3.3.3")}, Host: "pc1", Domain: "a.b",
				Time: time.Hour, Renew: time.Minute, Rebind: 90 * time.Second}, ""},
		{"for ever", reply(t, ip, [4]byte{}, ack, server, mask, []byte{51, 4, 255, 255, 255, 255}),
			Lease{IP: addr("10.0.0.5"), Mask: addr("255.255.252.0"), Server: addr("10.0.0.1"), Next: addr("10.0.0.1")}, ""},
		{"no address", reply(t, [4]byte{}, [4]byte{}, ack, server, mask, hour), Lease{}, "no address"},
		{"no server", reply(t, ip, [4]byte{}, ack, mask, hour), Lease{}, "names no server"},
		{"no mask", reply(t, ip, [4]byte{}, ack, server, hour), Lease{}, "without a netmask"},
		{"no time", reply(t, ip, [4]byte{}, ack, server, mask), Lease{}, "without a lease time"},
		{"no time left", reply(t, ip, [4]byte{}, ack, server, mask, []byte{51, 4, 0, 0, 0, 0}), Lease{}, "without a lease time"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := ReadLease(test.packet)
			if test.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), test.wantErr) {
					t.Errorf("error %v, want %q", err, test.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.DNS, test.want.DNS) {
				t.Errorf("DNS %v, want %v", got.DNS, test.want.DNS)
			}
			got.DNS, test.want.DNS = nil, nil
			if got.IP != test.want.IP || got.Mask != test.want.Mask || got.Router != test.want.Router || got.Server != test.want.Server ||
				got.Next != test.want.Next || got.Host != test.want.Host || got.Domain != test.want.Domain ||
				got.Time != test.want.Time || got.Renew != test.want.Renew || got.Rebind != test.want.Rebind {
				t.Errorf("got\n%+v, want\n%+v", got, test.want)
			}
		})
	}
}
