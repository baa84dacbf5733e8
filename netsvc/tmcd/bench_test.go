package tmcd

import (
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/storage/kv/pebblekv"
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

// BenchmarkFullConfigTCP is a node's whole configuration, one connection for
// each. Every one hands out a new reboot secret, which is on disk before the
// answer.
func BenchmarkFullConfigTCP(b *testing.B) {
	reg := diskRegistry(b, goldenSite(b))
	s, _ := startServer(b, func(c *Config) {
		c.Snapshot = reg.Snapshot
		c.Effects = &Recorder{Registry: reg, Now: time.Now}
	})
	load := newLoadgen(s, "VERSION=44 fullconfig ", 64)
	load.from, load.want = nil, []byte("*** nodeid\npc")
	for _, node := range reg.Snapshot().Nodes() {
		if ip := node.ControlIP(); ip.IsLoopback() && reg.Snapshot().Reservation(node.ID) != nil && node.Host == "" {
			load.from = append(load.from, &unix.SockaddrInet4{Addr: ip.As4()})
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	if err := load.run(b.N); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}

// diskRegistry puts a site into a store on disk.
func diskRegistry(b *testing.B, file *registry.SiteFile) *registry.Registry {
	b.Helper()
	quiet := slog.New(slog.DiscardHandler)
	store, err := pebblekv.Open(b.TempDir()+"/db", pebblekv.Options{Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { store.Close() })
	reg, err := registry.Open(b.Context(), store, quiet)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(reg.Close)
	if err := reg.Import(b.Context(), file); err != nil {
		b.Fatal(err)
	}
	return reg
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
