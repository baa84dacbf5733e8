package tmcd

import (
	"net"
	"net/netip"
	"testing"

	"hyzer/storage/registry"
)

// BenchmarkHandler measures one request through grammar, identification and
// command, without sockets.
func BenchmarkHandler(b *testing.B) {
	snapshot, handler := registry.NewSnapshot(goldenSite(b)), NewHandler()
	for _, bc := range []struct{ name, from, request string }{
		{"status", "127.0.1.1", "VERSION=44 status "},
		{"loadinfo", "127.0.1.5", "VERSION=44 loadinfo "},
		{"accounts", "127.0.1.2", "VERSION=44 accounts "},
		{"fullconfig", "127.0.1.2", "VERSION=44 fullconfig "},
	} {
		b.Run(bc.name, func(b *testing.B) {
			from, data := netip.MustParseAddr(bc.from), []byte(bc.request)
			b.ReportAllocs()
			for b.Loop() {
				head, rest, err := ParseHead(data, true)
				if err != nil {
					b.Fatal(err)
				}
				if result := handler.Handle(snapshot, Request{Head: head, From: from}, data[rest:]); len(result.Reply) == 0 {
					b.Fatal("no reply")
				}
			}
		})
	}
}

// BenchmarkStatusTCP is one connection per request over loopback, several at a
// time; the load generator shares the processors.
func BenchmarkStatusTCP(b *testing.B) {
	snapshot := registry.NewSnapshot(loadSite())
	s, _ := startServer(b, func(c *Config) { c.Snapshot = func() *registry.Snapshot { return snapshot } })
	load := newLoadgen(s, "VERSION=44 status ", 16)
	load.want = []byte("ALLOCATED=p/e NICKNAME=load")
	b.ReportAllocs()
	b.ResetTimer()
	if err := load.run(b.N); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}

// BenchmarkStatusUDP is one datagram each way over loopback.
func BenchmarkStatusUDP(b *testing.B) {
	s, _ := startServer(b, nil)
	conn, err := net.DialUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 1, 1)}, net.UDPAddrFromAddrPort(s.Addrs()[0]))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	request, buf := []byte("VERSION=44 status "), make([]byte, 2048)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := conn.Write(request); err != nil {
			b.Fatal(err)
		}
		if n, err := conn.Read(buf); err != nil || n == 0 {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}
