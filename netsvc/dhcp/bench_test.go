package dhcp

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// bigSite has as many reservations as a large testbed.
func bigSite(tb testing.TB, nodes int) *testSite {
	tb.Helper()
	lines := []string{
		"subnet 127.1.0.0/16 serve lease=10h routers=127.1.0.254 dns=127.1.0.253 domain=example",
		"boot * server=127.1.0.253 bootinfo=127.1.0.253 /tftpboot/pxeboot.emu",
	}
	for i := range nodes {
		lines = append(lines, fmt.Sprintf("node pc%d %s 127.1.%d.%d", i, benchMAC(i), i>>8, i&0xff))
	}
	site, err := parseSite(lines)
	if err != nil {
		tb.Fatal(err)
	}
	return site
}

func benchMAC(i int) string {
	return fmt.Sprintf("52:54:00:%02x:%02x:%02x", i>>16, i>>8&0xff, i&0xff)
}

const benchNodes = 10000

// BenchmarkDecide measures one decision with the table's change: a client that
// comes back (the usual case in a testbed), one message at a time.
func BenchmarkDecide(b *testing.B) {
	site := bigSite(b, benchNodes)
	words := "mac=" + benchMAC(4321) + " giaddr=127.1.0.254 57=05c0 60=text:PXEClient:Arch:00000:UNDI:002001 93=0000 97=" +
		strings.Repeat("11", 17) + " 61=01525400001122 55=0103060c0f111c2a2b4243 "
	ip := "127.1.16.225"
	for _, c := range []struct {
		name string
		data []byte
	}{
		{"discover", mustBuild(b, Discover, words)},
		{"request", mustBuild(b, Request, words+"54=127.0.0.1 50="+ip)},
		{"renew", mustBuild(b, Request, words+"ciaddr="+ip)},
		{"inform", mustBuild(b, Inform, words+"ciaddr="+ip)},
		{"stranger", mustBuild(b, Discover, "mac=52:54:ff:ff:ff:ff giaddr=127.1.0.254")},
	} {
		b.Run(c.name, func(b *testing.B) {
			table, err := NewTable(nil, 0)
			if err != nil {
				b.Fatal(err)
			}
			table.Configure(site.subnets)
			benchDecide(b, site, table, c.data)
		})
	}
}

// BenchmarkDecidePoolFlood is a DISCOVER of a new client each time, in a pool
// that is full of offers.
func BenchmarkDecidePoolFlood(b *testing.B) {
	site, err := parseSite([]string{"subnet 127.1.0.0/16 serve pool=127.1.0.1-127.1.255.254"})
	if err != nil {
		b.Fatal(err)
	}
	table, err := NewTable(nil, 0)
	if err != nil {
		b.Fatal(err)
	}
	table.Configure(site.subnets)
	data := mustBuild(b, Discover, "mac=52:54:00:00:00:00 giaddr=127.1.0.254")
	var n uint32
	benchDecideWith(b, site, table, data, func() {
		n++
		data[chaddrOffset+2], data[chaddrOffset+3] = byte(n>>24), byte(n>>16)
		data[chaddrOffset+4], data[chaddrOffset+5] = byte(n>>8), byte(n)
	})
}

func benchDecide(b *testing.B, site *testSite, table *Table, data []byte) {
	benchDecideWith(b, site, table, data, func() {})
}

func benchDecideWith(b *testing.B, site *testSite, table *Table, data []byte, next func()) {
	in := Ingress{Local: netip.MustParseAddr("127.0.0.1"), Source: netip.MustParseAddrPort("127.1.0.254:67"), Unicast: true}
	var p Packet
	buffer := make([]byte, 0, replyBytesMax)
	var now Instant
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		next()
		if err := p.Parse(data); err != nil {
			b.Fatal(err)
		}
		now += 1000
		table.Advance(now, nil)
		d := Decide(buffer, &p, in, site, table, now)
		if a := table.Apply(d.Change, now); a.Write {
			table.committed(a.ticket)
		}
	}
}

// The packet path allocates nothing for a client that comes back.
func TestDecideAllocatesNothing(t *testing.T) {
	site := bigSite(t, 100)
	table, err := NewTable(nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	table.Configure(site.subnets)
	data := mustBuild(t, Request, "mac="+benchMAC(7)+" giaddr=127.1.0.254 57=05c0 60=text:PXEClient:Arch:00000:UNDI:002001 93=0000 97="+
		strings.Repeat("11", 17)+" 61=01525400001122 55=0103060c0f111c2a2b4243 54=127.0.0.1 50=127.1.0.7")
	in := Ingress{Local: netip.MustParseAddr("127.0.0.1"), Unicast: true}
	var p Packet
	buffer := make([]byte, 0, replyBytesMax)
	n := testing.AllocsPerRun(100, func() {
		if err := p.Parse(data); err != nil {
			t.Fatal(err)
		}
		d := Decide(buffer, &p, in, site, table, 0)
		if d.Type != Ack {
			t.Fatal(d.Reason)
		}
		if a := table.Apply(d.Change, 0); a.Write {
			table.committed(a.ticket)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations per request", n)
	}
}
