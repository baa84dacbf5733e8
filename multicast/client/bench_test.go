package client_test

import (
	"net/netip"
	"testing"
	"time"

	"hyzer/multicast/client"
	"hyzer/multicast/wire"
)

// BenchmarkReceiveChunk is what a chunk costs the reception machine.
func BenchmarkReceiveChunk(b *testing.B) {
	const chunks = 1 << 16
	at := netip.MustParseAddrPort("239.1.1.1:4000")
	server := netip.MustParseAddrPort("10.0.0.1:4000")
	now := time.Unix(1000, 0)
	datagram := wire.Block{Data: make([]byte, wire.BlockBytes)}.Append(nil, server.Addr().As4())
	newReception := func() *client.Reception {
		r := client.NewReception(client.ReceptionConfig{Self: netip.MustParseAddr("10.0.0.2"), Address: at, ID: 7, Raw: true}, now)
		r.Receive(now, server, wire.NewJoin2Reply(7, chunks<<20).Append(nil, wire.Reply, server.Addr().As4()))
		return r
	}
	r := newReception()
	b.ReportAllocs()
	b.SetBytes(wire.ChunkBytes)
	for i := 0; b.Loop(); i++ {
		if i%chunks == 0 {
			r = newReception()
		}
		for n := range uint32(wire.ChunkBlocks) {
			wire.PutBlockHeader(datagram, uint32(i%chunks), n, server.Addr().As4())
			r.Receive(now, server, datagram)
		}
		r.Tick(now)
		r.TakeSends()
		for _, c := range r.TakeReady() {
			r.Release(now, c)
		}
	}
}
