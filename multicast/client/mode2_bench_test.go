package client

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"hyzer/multicast/fec"
	"hyzer/multicast/wire"
)

// BenchmarkReceiveMode2Chunk is what a chunk costs the machine in mode 2 when
// 1 % of its blocks come as parity. Restore is measured in package fec.
func BenchmarkReceiveMode2Chunk(b *testing.B) {
	const chunks, every = 1 << 16, 100
	now := time.Unix(1000, 0)
	src := simServerAt.Addr().As4()
	grant := wire.Grant{ParityPort: simParity, Code: wire.CodeCauchy, ParityBlocks: fec.ParityBlocks}
	newReception := func() *Reception {
		r := NewReception(ReceptionConfig{
			Self: netip.MustParseAddr("10.0.0.2"), Address: simGroup, ID: 7, Raw: true, Mode2: true, Rand: rand.New(rand.NewPCG(1, 1)),
		}, now)
		r.Receive(now, simServerAt, wire.AppendGrant(wire.NewJoin2Reply(7, chunks<<20).Append(nil, wire.Reply, src), grant))
		r.SetParityOpen(true)
		return r
	}
	r := newReception()
	frame := make([]byte, wire.DatagramBytesMax)
	b.ReportAllocs()
	b.SetBytes(wire.ChunkBytes)
	for i := 0; b.Loop(); i++ {
		if i%chunks == 0 {
			r = newReception()
		}
		chunk, lost := uint32(i%chunks), uint32(0)
		for n := range uint32(wire.ChunkBlocks) {
			if n%every == 0 {
				lost++
				continue
			}
			wire.PutBlockHeader(frame, chunk, n, src)
			wire.PutTrailer(frame, wire.Trailer{}, nil)
			r.Receive(now, simServerAt, frame)
		}
		for n := range lost {
			wire.PutParityHeader(frame, chunk, n, src)
			wire.PutTrailer(frame, wire.Trailer{}, nil)
			r.ReceiveParity(now, netip.AddrPortFrom(simServerAt.Addr(), simParity), frame)
		}
		r.Tick(now)
		r.TakeSends()
		for _, c := range r.TakeReady() {
			r.Release(now, c)
		}
	}
	if !r.Received() && r.done.count == 0 {
		b.Fatal("no chunk was received")
	}
}
