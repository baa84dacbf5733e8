package server

import (
	"net/netip"
	"testing"
	"time"

	"hyzer/multicast/wire"
)

// TestNudge: old clients are asked to ask once after the last of what is
// wanted, if one of them lost something lately, and nobody else is.
func TestNudge(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		clients int
		lack    bool // the client asks for part of a chunk
		offer   bool // it speaks mode 2
		keyed   bool // the session has a key
		fixed   bool // its rate is
		later   time.Duration
		want    int
	}{
		"lost something":        {1, true, false, false, false, nudgeAfter, nudgePackets},
		"lost nothing":          {1, false, false, false, false, nudgeAfter, 0},
		"of mode 2":             {1, true, true, false, false, nudgeAfter, 0},
		"session with a key":    {1, true, false, true, false, nudgeAfter, 0},
		"fixed rate":            {1, true, false, false, true, nudgeAfter, 0},
		"long ago":              {1, true, false, false, false, 2 * nudgeMemory, 0},
		"nobody joined":         {0, true, false, false, false, nudgeAfter, 0},
		"so many as may be":     {nudgeClientsMax, true, false, false, false, nudgeAfter, nudgePackets},
		"too many, all at once": {nudgeClientsMax + 1, true, false, false, false, nudgeAfter, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := time.Unix(1000, 0)
			mode2 := &Mode2{Version: rigVersion, ParityPort: 4001}
			if c.keyed {
				mode2.Key = new(wire.Key)
			}
			s, err := NewSession(SessionConfig{
				Self: netip.MustParseAddr("10.0.0.1"), Address: scriptAddress, FileBytes: 3 << 20, Pace: Pace{Gap: -1, Dynamic: !c.fixed}, RepairHold: -1, Mode2: mode2,
			}, now)
			if err != nil {
				t.Fatal(err)
			}
			src := [4]byte{10, 0, 1, 1}
			say := func(b []byte) { s.Receive(now, netip.AddrPortFrom(netip.AddrFrom4(src), scriptAddress.Port()), b) }
			sent := func() (nudges int) {
				for {
					switch a := s.Next(now); a.Kind {
					case ActSleep:
						return nudges
					case ActSend:
						if _, _, err := wire.Split(a.Datagram); err != nil {
							nudges++
						}
					}
				}
			}
			for n := range c.clients {
				src[3] = byte(n + 1)
				say(wire.NewJoin2Request(uint32(n)).Append(nil, wire.Request, src))
			}
			ask := wire.BlockRequest{Chunk: 1, Count: wire.ChunkBlocks}.Append(nil, src)
			if c.lack {
				p := wire.PartialRequest{Chunk: 1}
				p.Wanted.AddRange(5, 3)
				ask = p.Append(nil, src)
			}
			if c.offer {
				o := wire.NewOffer()
				o.ClockUS = 1
				ask = wire.AppendOffer(ask, o)
			}
			if say(ask); sent() != 0 {
				t.Error("a nudge right after the blocks")
			}
			if now = now.Add(c.later - time.Microsecond); sent() != 0 {
				t.Error("a nudge too soon")
			}
			now = now.Add(time.Microsecond)
			if got := sent(); got != c.want {
				t.Errorf("%d packets, want %d", got, c.want)
			}
			if now = now.Add(time.Second); sent() != 0 {
				t.Error("a nudge again, with no blocks between")
			}
		})
	}
}
