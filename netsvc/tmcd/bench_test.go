package tmcd

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

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
// time.
func BenchmarkStatusTCP(b *testing.B) {
	s, _ := startServer(b, nil)
	target := s.Addrs()[0].String()
	request, want := []byte("VERSION=44 status "), []byte("ALLOCATED=p/e NICKNAME=a\n")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, 1)}, Control: portLater}
		for pb.Next() {
			conn, err := dialer.Dial("tcp", target)
			if err != nil {
				b.Error(err)
				return
			}
			_, err = conn.Write(request)
			if err == nil {
				err = conn.(*net.TCPConn).CloseWrite()
			}
			reply, readErr := io.ReadAll(conn)
			conn.Close()
			if err != nil || readErr != nil || !bytes.Equal(reply, want) {
				b.Errorf("reply %q, %v, %v", reply, err, readErr)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}

// portLater chooses the local port when connecting, not when binding: then
// connections that rest in TIME_WAIT do not use up the ports.
func portLater(_, _ string, raw syscall.RawConn) error {
	var err error
	ctlErr := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1) })
	return errors.Join(ctlErr, err)
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
