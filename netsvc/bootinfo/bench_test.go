package bootinfo_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/ipv4"

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
// report goes to a store on disk that others keep busy.
func BenchmarkAnswerUnderLoad(b *testing.B) {
	client, server := ip("127.69.10.1"), ip("127.69.10.200")
	quiet := slog.New(slog.DiscardHandler)
	store, err := pebblekv.Open(b.TempDir()+"/db", pebblekv.Options{Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	reg, err := registry.Open(b.Context(), store, quiet)
	if err != nil {
		b.Fatal(err)
	}
	defer reg.Close()
	file := &registry.SiteFile{Types: []registry.NodeType{{Name: "pc"}}, Nodes: []registry.Node{{ID: "pc0", Type: "pc",
		Interfaces: []registry.Interface{{Name: "eth0", Role: registry.InterfaceControl, IP: client}}}}}
	if err := reg.Import(b.Context(), file); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	bench := newBenchOn(b, bootinfo.Config{Addr: netip.AddrPortFrom(server, freePort(b, server)), Snapshot: reg.Snapshot, Log: quiet,
		Reports: stated.New(stated.Config{Registry: reg, Actor: &statedtest.Actor{}, Log: quiet})})
	for i := range 16 {
		go func() {
			value := make([]byte, 64<<10)
			for n := 0; ctx.Err() == nil; n++ {
				_, _ = store.Update(ctx, func(tx kv.Tx) error { return tx.Put(fmt.Appendf(nil, "load/%d/%d", i, n%64), value) })
			}
		}()
	}
	l := bench.loader(client)
	var waits []time.Duration
	for b.Loop() {
		bench.pass(time.Minute)
		start := time.Now()
		l.ask(question)
		l.answer()
		waits = append(waits, time.Since(start))
	}
	slices.Sort(waits)
	b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds()), "p99-us")
	b.ReportMetric(float64(waits[len(waits)-1].Microseconds()), "max-us")
	b.ReportMetric(float64(bench.server.Counters().ReportsLate.Load()), "late")
}
