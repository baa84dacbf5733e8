package client

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"hyzer/multicast/wire"
)

// TestJoinSize: the answer to a JOIN has 31 bits for the blocks. A server that has
// more of them is asked on by JOIN2, rather than believed.
func TestJoinSize(t *testing.T) {
	t.Parallel()
	for blocks, want := range map[uint32]int64{5: 5 << 10, 1<<31 - 1: (1<<31 - 1) << 10, 1 << 31: -1, 1<<32 - 1: -1} {
		now := time.Unix(1000, 0)
		r := NewReception(ReceptionConfig{Self: netip.MustParseAddr("10.0.0.2"), Address: simGroup, Rand: rand.New(rand.NewPCG(1, 1))}, now)
		for range 2 * joinsBeforeV1 {
			r.Tick(now)
			now = r.Due(now)
		}
		r.Receive(now, simServerAt, wire.Join{Value: blocks}.Append(nil, wire.Reply, simServerAt.Addr().As4()))
		got := int64(-1)
		if geo, joined := r.Joined(); joined {
			got = geo.FileBytes()
		}
		if got != want || r.Err() != nil {
			t.Errorf("%d blocks: a file of %d bytes, want %d (-1: not believed); %v", blocks, got, want, r.Err())
		}
	}
}

// TestLargestFile: chunks have numbers up to the end of the largest file there can
// be, and what is larger is refused.
func TestLargestFile(t *testing.T) {
	t.Parallel()
	src := simServerAt.Addr().As4()
	for _, c := range []struct {
		bytes  int64
		joined bool
	}{{4<<40 + 5, true}, {wire.FileBytesMax, true}, {wire.FileBytesMax + 1, false}, {-1, false}} {
		now := time.Unix(1000, 0)
		r := NewReception(ReceptionConfig{Self: netip.MustParseAddr("10.0.0.2"), Address: simGroup, ID: 7, Raw: true, Rand: rand.New(rand.NewPCG(1, 1))}, now)
		r.Receive(now, simServerAt, wire.NewJoin2Reply(7, c.bytes).Append(nil, wire.Reply, src))
		geo, joined := r.Joined()
		if joined != c.joined || joined == (r.Err() != nil) {
			t.Errorf("%d bytes: joined %v, %v", c.bytes, joined, r.Err())
		}
		if !joined {
			continue
		}
		last := geo.Chunks() - 1
		for n := range geo.ChunkBlocks(last) {
			r.Receive(now, simServerAt, wire.Block{Chunk: uint32(last), Block: uint32(n)}.Append(nil, src))
		}
		if got := r.TakeReady(); len(got) != 1 || got[0].Index != last || len(got[0].Data) != geo.ChunkLen(last) {
			t.Errorf("%d bytes: the last chunk did not come: %d ready", c.bytes, len(got))
		}
	}
}
