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
