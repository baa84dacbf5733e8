package server

import (
	"bytes"
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"hyzer/multicast/internal/sock"
	"hyzer/multicast/wire"
)

// BenchmarkReceiveRepair is what a PREQUEST costs the server.
func BenchmarkReceiveRepair(b *testing.B) {
	now := time.Unix(0, 0)
	s, err := NewSession(SessionConfig{Self: netip.MustParseAddr("10.0.0.1"), Address: scriptAddress, FileBytes: 1 << 30}, now)
	if err != nil {
		b.Fatal(err)
	}
	src := [4]byte{10, 0, 1, 1}
	from := netip.AddrPortFrom(netip.AddrFrom4(src), scriptAddress.Port())
	p := wire.PartialRequest{Chunk: 7, Retries: 1}
	p.Wanted.AddRange(100, 300)
	datagram := p.Append(nil, src)
	b.ReportAllocs()
	for b.Loop() {
		s.Receive(now, from, datagram)
	}
}

// BenchmarkFrame is reading blocks from the page cache and framing them.
func BenchmarkFrame(b *testing.B) {
	path := filepath.Join(b.TempDir(), "image")
	if err := os.WriteFile(path, bytes.Repeat([]byte("image"), 2<<20), 0o600); err != nil {
		b.Fatal(err)
	}
	image, err := OpenFile(path)
	if err != nil {
		b.Fatal(err)
	}
	defer image.Close()
	geo, err := wire.NewGeometry(image.Size())
	if err != nil {
		b.Fatal(err)
	}
	f := newFramer(image, geo, [4]byte{10, 0, 0, 1})
	b.ReportAllocs()
	b.SetBytes(BlocksPerActionMax * wire.BlockBytes)
	for i := 0; b.Loop(); i++ {
		if _, err := f.read(context.Background(), Action{Kind: ActBlocks, Chunk: 1, First: i % 16 * 60, Count: 60}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkServeUnheard sends an image to a group that nobody has joined:
// what a server spends on a block when a real switch does the copying.
func BenchmarkServeUnheard(b *testing.B) {
	const fileBytes = 64 << 20
	self := netip.MustParseAddr("127.0.0.1")
	conn, address, err := sock.Open(sock.Config{Session: netip.MustParseAddrPort("239.195.200.1:0"), Iface: self})
	if err != nil {
		b.Fatal(err)
	}
	srv, err := Open(Config{
		Image: bytesImage{bytes.NewReader(make([]byte, fileBytes))}, Address: address, Conn: conn, Pace: Pace{Gap: -1},
	})
	if err != nil {
		b.Fatal(err)
	}
	defer srv.Close()
	from := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.9"), address.Port())
	b.ReportAllocs()
	cpu, blocks := cpuTime(), uint64(0)
	for b.Loop() {
		for chunk := range uint32(fileBytes / wire.ChunkBytes) {
			srv.session.Receive(time.Now(), from, wire.BlockRequest{Chunk: chunk, Count: wire.ChunkBlocks}.Append(nil, from.Addr().As4()))
		}
		for {
			a, err := srv.next(false)
			if err != nil {
				b.Fatal(err)
			}
			if a.Kind != ActBlocks {
				break
			}
			if err := srv.sendBlocks(context.Background(), a); err != nil {
				b.Fatal(err)
			}
		}
		blocks += fileBytes / wire.BlockBytes
	}
	b.ReportMetric(float64(cpuTime()-cpu)/1e3/float64(blocks), "cpu-us/block")
	b.SetBytes(fileBytes)
}

func cpuTime() int64 {
	var ru syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &ru) != nil {
		return 0
	}
	return ru.Utime.Nano() + ru.Stime.Nano()
}
