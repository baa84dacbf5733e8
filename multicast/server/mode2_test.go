package server

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hyzer/multicast/fec"
	"hyzer/multicast/wire"
)

// rig is a session of mode 2 in virtual time.
type rig struct {
	t   *testing.T
	now time.Time
	s   *Session
}

var rigVersion = wire.Version{ImageID: 5, Epoch: 6}

func newRig(t *testing.T, pace Pace, clients int) *rig {
	t.Helper()
	r := &rig{t: t, now: time.Unix(1000, 0)}
	s, err := NewSession(SessionConfig{
		Self: netip.MustParseAddr("10.0.0.1"), Address: scriptAddress, FileBytes: 3 << 20, Pace: pace, Linger: time.Minute,
		Mode2: &Mode2{Version: rigVersion, ParityPort: 4001},
	}, r.now)
	if err != nil {
		t.Fatal(err)
	}
	r.s = s
	for n := range clients {
		src := [4]byte{10, 0, 1, byte(n)}
		b := wire.AppendOffer(wire.NewJoin2Request(uint32(n)).Append(nil, wire.Request, src), wire.NewOffer())
		s.Receive(r.now, netip.AddrPortFrom(netip.AddrFrom4(src), scriptAddress.Port()), b)
	}
	r.drain()
	return r
}

// drain takes all there is to do now and returns it, ranges joined.
func (r *rig) drain() string {
	var out []string
	for {
		a := r.s.Next(r.now)
		switch a.Kind {
		case ActBlocks:
			out = append(out, fmt.Sprintf("blocks %d:%d+%d", a.Chunk, a.First, a.Count))
		case ActParity:
			out = append(out, fmt.Sprintf("parity %d:%d+%d left %d", a.Chunk, a.First, a.Count, a.Trailer.Left))
		case ActSend:
			out = append(out, "send")
		default:
			return strings.Join(out, ", ")
		}
	}
}

func (r *rig) nak(client byte, m wire.Nak) {
	src := [4]byte{10, 0, 1, client}
	r.s.ReceiveParity(r.now, netip.AddrPortFrom(netip.AddrFrom4(src), 4001), m.Append(nil, src))
}

func (r *rig) need(client byte, chunk uint32, need uint16, base uint32) {
	r.nak(client, wire.Nak{Version: rigVersion, Chunk: chunk, Need: need, Base: base})
}

// TestRounds: what is asked for at about the same time is sent once, the most
// of it; what crosses it costs nothing; what is still missing later is sent.
func TestRounds(t *testing.T) {
	t.Parallel()
	r := newRig(t, Pace{Gap: -1}, 3)
	want := func(step, want string) {
		t.Helper()
		if got := r.drain(); got != want {
			t.Errorf("%s: got %q, want %q", step, got, want)
		}
	}
	r.need(0, 1, 10, 0)
	r.need(1, 1, 12, 0)
	r.need(2, 1, 7, 0)
	want("held", "")
	r.now = r.now.Add(repairHoldDefault)
	want("the most of three", "parity 1:0+12 left 11")
	r.need(2, 1, 12, 0)
	want("crossed", "")
	r.now = r.now.Add(time.Millisecond)
	r.need(0, 1, 3, 12)
	r.need(1, 1, 1, 12)
	r.now = r.now.Add(repairHoldDefault)
	want("the next round", "parity 1:12+3 left 2")
	r.now = r.now.Add(flightMax)
	r.need(1, 1, 2, 0)
	r.now = r.now.Add(repairHoldDefault)
	want("lost all of it", "parity 1:15+2 left 1")
	if st := r.s.Stats(r.now); st.ParitySent != 17 || st.Naks != 7 || st.NaksMerged != 4 {
		t.Errorf("%+v", st)
	}
}

// TestRoundSlack: of a later round more is sent than was asked for when much is
// lost, and of any round when there is nothing else to do.
func TestRoundSlack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		loss        float64
		again, busy bool
		want        string
	}{
		{"no loss", 0, false, false, "parity 2:0+20 left 19"},
		{"a little loss", 0.01, false, false, "parity 2:0+22 left 21"},
		{"much", 0.1, false, false, "parity 2:0+23 left 22"},
		{"busy", 0.1, false, true, "parity 2:0+20 left 19, blocks 0:0+9"},
		{"busy, again, a little", 0.01, true, true, "blocks 0:0+9, parity 2:5+20 left 19"},
		{"busy, again, much", 0.1, true, true, "blocks 0:0+9, parity 2:5+22 left 21"},
	} {
		r := newRig(t, Pace{Gap: -1}, 1)
		base := uint32(0)
		if c.again {
			r.need(0, 2, 5, 0)
			r.drain()
			base = 5
		}
		if c.busy {
			src := [4]byte{10, 0, 1, 0}
			r.s.Receive(r.now, netip.AddrPortFrom(netip.AddrFrom4(src), scriptAddress.Port()), wire.BlockRequest{Chunk: 0, Count: 9}.Append(nil, src))
		}
		r.nak(0, wire.Nak{Version: rigVersion, Chunk: 2, Need: 20, Base: base, Loss: wire.NewLoss(int(1000*c.loss), 1000)})
		if got := r.drain(); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

// TestRoundsShare: parity blocks do not wait for a chunk to end, and do not
// keep it from going on.
func TestRoundsShare(t *testing.T) {
	t.Parallel()
	r := newRig(t, Pace{Gap: -1}, 1)
	src := [4]byte{10, 0, 1, 0}
	r.s.Receive(r.now, netip.AddrPortFrom(netip.AddrFrom4(src), scriptAddress.Port()), wire.BlockRequest{Chunk: 0, Count: 240}.Append(nil, src))
	r.need(0, 2, 150, 0)
	want := "parity 2:0+60 left 149, blocks 0:0+60, parity 2:60+60 left 89, blocks 0:60+60, parity 2:120+30 left 29, blocks 0:120+60, blocks 0:180+60"
	if got := r.drain(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestNakRefused: NAKs of another version, run, port, address or file do
// nothing, and none causes more than a chunk has.
func TestNakRefused(t *testing.T) {
	t.Parallel()
	good := wire.Nak{Version: rigVersion, Chunk: 1, Need: 3}
	for name, spoil := range map[string]func(*wire.Nak){
		"image": func(m *wire.Nak) { m.ImageID++ },
		"epoch": func(m *wire.Nak) { m.Epoch++ },
		"chunk": func(m *wire.Nak) { m.Chunk = 3 },
		"need":  func(m *wire.Nak) { m.Need = fec.ParityBlocks + 1 },
	} {
		r := newRig(t, Pace{Gap: -1}, 1)
		m := good
		spoil(&m)
		r.nak(0, m)
		if got := r.drain(); got != "" || r.s.Stats(r.now).DatagramsRefused != 1 {
			t.Errorf("%s: did %s", name, got)
		}
	}
	r := newRig(t, Pace{Gap: -1}, 1)
	src := [4]byte{10, 0, 1, 0}
	r.s.ReceiveParity(r.now, netip.MustParseAddrPort("10.0.1.0:4002"), good.Append(nil, src))
	r.s.ReceiveParity(r.now, netip.MustParseAddrPort("10.0.1.9:4001"), good.Append(nil, src))
	r.s.ReceiveParity(r.now, netip.MustParseAddrPort("10.0.1.0:4001"), good.Append(nil, src)[:30])
	if got := r.drain(); got != "" || r.s.Stats(r.now).DatagramsRefused != 3 {
		t.Errorf("did %s", got)
	}
	r.need(0, 1, fec.ParityBlocks, 1<<31) // a base that has not been sent
	r.drain()
	if n := r.s.Stats(r.now).ParitySent; n > fec.ParityBlocks {
		t.Errorf("%d parity blocks for one NAK", n)
	}
}

// TestLegacyBytes: with mode 2 allowed and nobody to speak it, every datagram
// is what it is without.
func TestLegacyBytes(t *testing.T) {
	t.Parallel()
	record := func(mode2 *Mode2) (out []byte) {
		now := time.Unix(1000, 0)
		image := &counting{data: bytes.Repeat([]byte{1, 2, 3}, 700_000)}
		s, err := NewSession(SessionConfig{
			Self: netip.MustParseAddr("10.0.0.1"), Address: scriptAddress, FileBytes: int64(len(image.data)), Pace: Pace{Gap: -1},
			HeartbeatSeconds: 5, Mode2: mode2,
		}, now)
		if err != nil {
			t.Fatal(err)
		}
		f := newFramer(image, s.Geometry(), [4]byte{10, 0, 0, 1})
		src := [4]byte{10, 0, 1, 1}
		partial := wire.PartialRequest{Chunk: 1}
		partial.Wanted.AddRange(100, 30)
		for _, b := range [][]byte{
			wire.NewJoin2Request(7).Append(nil, wire.Request, src), wire.Join{Value: 7}.Append(nil, wire.Request, src),
			append(wire.NewJoin2Request(8).Append(nil, wire.Request, src), "garbage that follows a JOIN2 of an old client"...),
			wire.BlockRequest{Chunk: 2, Count: 3}.Append(nil, src), wire.BlockRequest{Chunk: 0, Count: 1024}.Append(nil, src), partial.Append(nil, src),
			wire.Nak{Version: rigVersion, Chunk: 1, Need: 3}.Append(nil, src),
		} {
			s.Receive(now, netip.AddrPortFrom(netip.AddrFrom4(src), scriptAddress.Port()), b)
			s.ReceiveParity(now, netip.AddrPortFrom(netip.AddrFrom4(src), 4001), b)
			for a := s.Next(now); a.Kind != ActSleep; a = s.Next(now) {
				b := a.Datagram
				if a.Kind == ActBlocks {
					if b, err = f.read(context.Background(), a); err != nil {
						t.Fatal(err)
					}
				}
				out = append(out, b...)
			}
		}
		return out
	}
	off, on := record(nil), record(&Mode2{Version: rigVersion, ParityPort: 4001})
	if !bytes.Equal(off, on) || len(off) < 1000*wire.BlockDatagramBytes {
		t.Errorf("%d bytes without mode 2, %d with; equal: %v", len(off), len(on), bytes.Equal(off, on))
	}
}

// counting is an image in memory.
type counting struct{ data []byte }

func (c *counting) Name() string          { return "memory" }
func (c *counting) Size() int64           { return int64(len(c.data)) }
func (c *counting) Close() error          { return nil }
func (c *counting) Prefetch(int64, int64) {}
func (c *counting) Check() error          { return nil }
func (c *counting) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(c.data).ReadAt(p, off)
}

// TestParityBlocks: parity blocks are of the chunk and number that are asked
// for, whatever was before, and the rounds of a chunk mostly read it once.
func TestParityBlocks(t *testing.T) {
	t.Parallel()
	const chunks = parityCacheChunks + 3
	image := &counting{data: make([]byte, chunks*wire.ChunkBytes-500)}
	rand.NewChaCha8([32]byte{1}).Read(image.data)
	geo, err := wire.NewGeometry(image.Size())
	if err != nil {
		t.Fatal(err)
	}
	f := newFramer(image, geo, [4]byte{})
	var code fec.Coder
	type step struct {
		chunk, first, count, left int
		reads                     uint64
	}
	steps := []step{
		{0, 0, 3, 5, 1}, {0, 3, 5, 0, 0}, {1, 0, 1, 0, 1}, {2, 250, 10, 20, 2}, {2, 260, 20, 0, 0}, {0, 8, 6, 0, 0}, {0, 14, 1, 0, 1}, {1, 3, 2, 0, 0},
	}
	for i := range chunks { // the first ones fall out
		steps = append(steps, step{i, 60, 2, 3, 1})
	}
	steps = append(steps, step{1, 62, 3, 0, 1}, step{chunks - 1, 62, 3, 0, 0})
	for _, c := range steps {
		a := Action{Kind: ActParity, Chunk: c.chunk, First: c.first, Count: c.count, Trailer: wire.Trailer{Left: uint16(c.left + c.count - 1)}}
		before := f.reads.sum().Bytes
		frames, err := f.parity(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		n := geo.ChunkLen(c.chunk)
		if reads := (f.reads.sum().Bytes - before) / uint64(n); reads != c.reads {
			t.Errorf("%+v: read %d times", c, reads)
		}
		want := make([]byte, wire.BlockBytes)
		for i := range c.count {
			if err := code.Encode(image.data[c.chunk*wire.ChunkBytes:][:n], (c.first+i)%fec.ParityBlocks, want); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(frames[i*wire.DatagramBytesMax:][wire.BlockDataOffset:wire.BlockDatagramBytes], want) {
				t.Errorf("%+v: block %d is another", c, i)
			}
		}
	}
}

// TestDynamicByReportedLoss: the rate follows the loss that clients report, by
// cuts and small steps, and does not follow what is not of its making.
func TestDynamicByReportedLoss(t *testing.T) {
	t.Parallel()
	const full = 500_000_000
	for name, c := range map[string]struct {
		loss     func(period int) float64
		periods  int
		min, max float64 // of the full rate, at the end
	}{
		"no loss":              {func(int) float64 { return 0 }, 20, 1, 1},
		"noise":                {func(int) float64 { return 0.019 }, 20, 1, 1},
		"one cut by a tenth":   {func(p int) float64 { return []float64{0.03, 0}[min(p, 1)] }, 2, 0.88, 0.92},
		"one cut by half":      {func(p int) float64 { return []float64{0.4, 0}[min(p, 1)] }, 2, 0.48, 0.53},
		"recovers":             {func(p int) float64 { return []float64{0.1, 0}[min(p, 1)] }, 30, 1, 1},
		"never below a floor":  {func(p int) float64 { return 0.9 * math.Pow(0.8, float64(p)) }, 6, 1.0 / 20, 1.0 / 10},
		"the link's own":       {func(int) float64 { return 0.05 }, 20, 0.98, 1},
		"more than the link's": {func(p int) float64 { return []float64{0.05, 0.05, 0.05, 0.3, 0.05}[min(p, 4)] }, 5, 0.45, 0.55},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, Pace{BitsPerSec: full, Dynamic: true}, 2)
			cap := r.s.Stats(r.now).BitsPerSec
			for p := range c.periods {
				if loss := c.loss(p); loss > 0 {
					r.nak(0, wire.Nak{Version: rigVersion, Chunk: 1, Need: 1, Base: uint32(p), Loss: wire.NewLoss(int(loss*1000), 1000)})
				}
				r.now = r.now.Add(dynamicPeriod)
				r.drain()
			}
			if got := float64(r.s.Stats(r.now).BitsPerSec) / float64(cap); got < c.min || got > c.max {
				t.Errorf("rate is %.3f of the cap, want %.3f to %.3f", got, c.min, c.max)
			}
		})
	}
}

// TestRoundTrip: the longest round trip of late, with the time that the client
// held the echo taken off.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	r := newRig(t, Pace{Gap: -1}, 1)
	r.now = r.now.Add(time.Second)
	m := wire.Nak{Version: rigVersion, Chunk: 1, Need: 1, EchoUS: r.s.clockUS(r.now), HeldUS: 3000}
	r.now = r.now.Add(10 * time.Millisecond)
	r.nak(0, m)
	if got := r.s.Stats(r.now).RoundTrip; got != 7*time.Millisecond {
		t.Errorf("round trip %v, want 7ms", got)
	}
	m.EchoUS += 1 << 30 // from the future
	r.nak(0, m)
	if got := r.s.Stats(r.now).RoundTrip; got > 7*time.Millisecond {
		t.Errorf("a forged echo makes it %v", got)
	}
}

// TestImageID: the same for the same file, another for each version.
func TestImageID(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "image")
	ids := make(map[uint64]bool)
	for version := range 3 {
		writeFile(t, path, version)
		for range 2 {
			f, err := OpenFile(path)
			if err != nil {
				t.Fatal(err)
			}
			ids[imageID(f)] = true
			f.Close()
		}
	}
	if len(ids) != 3 || imageID(&counting{}) == imageID(&counting{}) {
		t.Errorf("%d ids of three versions", len(ids))
	}
}

// writeFile installs a version of a file of one size as images are installed.
func writeFile(t *testing.T, path string, version int) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte{byte(version)}, 0o600); err != nil {
		t.Fatal(err)
	}
	when := time.Unix(int64(1000+version), 0)
	if err := os.Chtimes(path+".new", when, when); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}
