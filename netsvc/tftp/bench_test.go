package tftp

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkTransfer reads a 1 MB file with block size 1432 from this server
// and, for window 1, from pin/tftp's in the same run, alternating; x-pin is the
// ratio of the rates. CPU is of both ends: they share the process.
func BenchmarkTransfer(b *testing.B) {
	want := content(1 << 20)
	files := map[string][]byte{"f": want}
	ours := startSite(b, Config{OnDone: func(Transfer) {}}, files).addr
	for _, window := range []int{1, 16, 64} {
		for _, clients := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("window=%d/clients=%d", window, clients), func(b *testing.B) {
				b.ReportAllocs()
				var peer netip.AddrPort
				if window == 1 { // it knows no other; stopped before the next runs
					peer = startPin(b, files)
				}
				var oursTime, peerTime, cpu, peerCPU time.Duration
				for b.Loop() {
					before := cpuTime(b)
					oursTime += fetchAll(b, ours, window, clients, len(want))
					cpu += cpuTime(b) - before
					if window == 1 {
						before = cpuTime(b)
						peerTime += fetchAll(b, peer, window, clients, len(want))
						peerCPU += cpuTime(b) - before
					}
				}
				megabytes := float64(b.N*clients*len(want)) / 1e6
				b.ReportMetric(megabytes/oursTime.Seconds(), "MB/s")
				b.ReportMetric(cpu.Seconds()*1e3/megabytes, "cpu-ms/MB")
				if peerTime > 0 {
					b.ReportMetric(peerTime.Seconds()/oursTime.Seconds(), "x-pin")
					b.ReportMetric(peerCPU.Seconds()*1e3/megabytes, "pin-cpu-ms/MB")
				}
			})
		}
	}
}

// fetchAll lets each of the clients read the file once, at the same time.
func fetchAll(b *testing.B, server netip.AddrPort, window, clients, size int) time.Duration {
	began := time.Now()
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			c := Client{Server: server, BlockBytes: 1432, Timeout: 3 * time.Second}
			if window > 1 {
				c.Window = window
			}
			if n, err := c.Get(b.Context(), "f", io.Discard); err != nil || n != int64(size) {
				b.Errorf("%d bytes: %v", n, err)
			}
		})
	}
	wg.Wait()
	return time.Since(began)
}

func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkParseRequest(b *testing.B) {
	packet := Packet{Op: OpRRQ, Name: "grub/x86_64-efi/core.efi", Mode: modeOctet,
		Options: []Option{{"tsize", "0"}, {"blksize", "1468"}, {"windowsize", "4"}}}.Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(packet); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWindow is one ACK and the window it orders, without the kernel.
func BenchmarkWindow(b *testing.B) {
	t := newTransfer(terms{blockBytes: 1432, window: 16, fileBytes: 1 << 50})
	now := time.Now()
	t.start(now)
	o := newOutbox(udpSocket{}, nil)
	s := &session{machine: t, file: translated{bytes.NewReader(content(16 * 1432))}, segment: []byte{0}}
	b.ReportAllocs()
	b.SetBytes(16 * 1432)
	for b.Loop() {
		t.ack(now, uint16(t.sent))
		if err := o.blocks(s, 1, 16); err != nil {
			b.Fatal(err)
		}
		o.used, o.fill = 0, 0
	}
}
