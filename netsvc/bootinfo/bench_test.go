package bootinfo_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"hyzer/netsvc/bootinfo"
	"hyzer/netsvc/lifecycle/stated"
	"hyzer/netsvc/lifecycle/stated/statedtest"
	"hyzer/storage/kv"
	"hyzer/storage/kv/pebblekv"
	"hyzer/storage/registry"
)

// BenchmarkAnswers is questions of known nodes over loopback, many on their
// way; the asker shares the processors.
func BenchmarkAnswers(b *testing.B) {
	client, server := ip("127.69.9.1"), ip("127.69.9.200")
	bench := newBench(b, server, &reporter{}, client)
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(client, bootinfo.ClientPort)))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	const batch = 32
	p, to := ipv4.NewPacketConn(conn), net.UDPAddrFromAddrPort(bench.at)
	questions, answers := make([]ipv4.Message, batch), make([]ipv4.Message, batch)
	for i := range questions {
		questions[i] = ipv4.Message{Buffers: [][]byte{question}, Addr: to}
		answers[i].Buffers = [][]byte{make([]byte, bootinfo.PacketBytes)}
	}
	ask := func(n int) {
		for n > 0 {
			sent, err := p.WriteBatch(questions[:n], 0)
			if err != nil {
				b.Fatal(err)
			}
			n -= sent
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	for asked, got := 0, 0; got < b.N; {
		n := min(2*batch-(asked-got), b.N-asked, batch)
		ask(max(n, 0))
		asked += max(n, 0)
		conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		read, err := p.ReadBatch(answers, 0)
		if err != nil {
			b.Fatalf("%d of %d answers: %v", got, asked, err)
		}
		got += read
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "answers/s")
}

// BenchmarkAnswerUnderLoad is how long a loader waits for its answer, whose
// report goes to a store on disk that others keep busy. The time ends when the
// kernel has the answer: the asker, which shares the processors, reads it later.
func BenchmarkAnswerUnderLoad(b *testing.B) {
	for _, c := range []struct {
		name string
		wait time.Duration
	}{{"wait", 0}, {"at once", -1}} {
		b.Run(c.name, func(b *testing.B) { benchmarkUnderLoad(b, c.wait) })
	}
}

// benchLoaders is how many loaders ask in turn, each again when its last report
// is recorded.
const benchLoaders = 64

func benchmarkUnderLoad(b *testing.B, wait time.Duration) {
	server := ip("127.69.10.200")
	reg := busyRegistry(b)
	reports := &notedReports{Runner: stated.New(stated.Config{Registry: reg, Actor: &statedtest.Actor{}, Log: slog.New(slog.DiscardHandler)}),
		ended: map[string]chan struct{}{}}
	for i := range benchLoaders {
		reports.ended[fmt.Sprint("pc", i)] = make(chan struct{}, 1)
		reports.ended[fmt.Sprint("pc", i)] <- struct{}{}
	}
	bench := newBenchOn(b, bootinfo.Config{Addr: netip.AddrPortFrom(server, freePort(b, server)), Snapshot: reg.Snapshot,
		Log: slog.New(slog.DiscardHandler), Reports: reports, AnswerWait: wait})
	loaders := make([]*loader, benchLoaders)
	for i := range loaders {
		loaders[i] = bench.loader(benchAddr(i))
		stampArrivals(b, loaders[i].in)
	}
	var waits []time.Duration
	for i := 0; b.Loop(); i++ {
		n := i % benchLoaders
		<-reports.ended[fmt.Sprint("pc", n)]
		bench.pass(time.Minute)
		start := time.Now()
		loaders[n].ask(question)
		waits = append(waits, arrival(b, loaders[n].in).Sub(start))
	}
	for n := range min(benchLoaders, len(waits)) {
		<-reports.ended[fmt.Sprint("pc", n)]
	}
	slices.Sort(waits)
	b.ReportMetric(float64(waits[len(waits)/2].Microseconds()), "p50-us")
	b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds()), "p99-us")
	b.ReportMetric(float64(waits[len(waits)-1].Microseconds()), "max-us")
	b.ReportMetric(float64(bench.server.Counters().ReportsLate.Load())/float64(len(waits)), "late/op")
}

// stampArrivals has the kernel say when each datagram came.
func stampArrivals(b *testing.B, conn *net.UDPConn) {
	raw, err := conn.SyscallConn()
	if err != nil {
		b.Fatal(err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	})
	if err := errors.Join(err, failed); err != nil {
		b.Fatal(err)
	}
}

// arrival is when the next datagram came.
func arrival(b *testing.B, conn *net.UDPConn) time.Time {
	oob := make([]byte, unix.CmsgSpace(int(unsafe.Sizeof(unix.Timespec{}))))
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	_, n, _, _, err := conn.ReadMsgUDP(make([]byte, 2*bootinfo.PacketBytes), oob)
	if err != nil {
		b.Fatal(err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) == 0 || messages[0].Header.Type != unix.SO_TIMESTAMPNS {
		b.Fatalf("no time stamp: %v", err)
	}
	return time.Unix(int64(binary.NativeEndian.Uint64(messages[0].Data)), int64(binary.NativeEndian.Uint64(messages[0].Data[8:])))
}

// notedReports tells when a report of a node has ended.
type notedReports struct {
	*stated.Runner
	ended map[string]chan struct{}
}

func (r *notedReports) Expect(node, source string) func(context.Context, kv.Revision, ...string) (*registry.NodeState, error) {
	record := r.Runner.Expect(node, source)
	return func(ctx context.Context, asked kv.Revision, reached ...string) (*registry.NodeState, error) {
		defer func() { r.ended[node] <- struct{}{} }()
		return record(ctx, asked, reached...)
	}
}

func benchAddr(i int) netip.Addr { return netip.AddrFrom4([4]byte{127, 69, 11, byte(i + 1)}) }

// busyRegistry is a site with a node for each loader, on a disk that 16 writers
// keep busy.
func busyRegistry(b *testing.B) *registry.Registry {
	quiet := slog.New(slog.DiscardHandler)
	store, err := pebblekv.Open(b.TempDir()+"/db", pebblekv.Options{Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	reg, err := registry.Open(b.Context(), store, quiet)
	if err != nil {
		b.Fatal(err)
	}
	file := &registry.SiteFile{Types: []registry.NodeType{{Name: "pc"}}}
	for i := range benchLoaders {
		file.Nodes = append(file.Nodes, registry.Node{ID: fmt.Sprint("pc", i), Type: "pc",
			Interfaces: []registry.Interface{{Name: "eth0", Role: registry.InterfaceControl, IP: benchAddr(i)}}})
	}
	if err := reg.Import(b.Context(), file); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var writers sync.WaitGroup
	for i := range 16 {
		writers.Go(func() {
			value := make([]byte, 64<<10)
			for n := 0; ctx.Err() == nil; n++ {
				_, _ = store.Update(ctx, func(tx kv.Tx) error { return tx.Put(fmt.Appendf(nil, "load/%d/%d", i, n%64), value) })
			}
		})
	}
	b.Cleanup(func() {
		cancel()
		writers.Wait()
		reg.Close()
		if err := store.Close(); err != nil {
			b.Error(err)
		}
	})
	return reg
}
