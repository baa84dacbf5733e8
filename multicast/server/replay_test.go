package server

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"io"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hyzer/bench/shared"
	"hyzer/multicast/internal/pcaptest"
	"hyzer/multicast/wire"
)

// bytesImage is an image in memory.
type bytesImage struct{ *bytes.Reader }

func (bytesImage) Name() string          { return "memory" }
func (bytesImage) Close() error          { return nil }
func (bytesImage) Check() error          { return nil }
func (bytesImage) Prefetch(int64, int64) {}

// sessionKey is a captured session, as the server has it.
type sessionKey struct {
	server netip.Addr
	// peer is where the server sends to.
	peer netip.AddrPort
}

// captured is what went over the wire in a session.
type captured struct {
	fromClients []pcaptest.Packet
	fromServer  []pcaptest.Packet
}

// sessionsOf sorts a capture by session, by who sends the BLOCKs.
func sessionsOf(packets []pcaptest.Packet) map[sessionKey]*captured {
	all := map[sessionKey]*captured{}
	for _, p := range packets {
		h, _, err := wire.Split(p.Payload)
		if err == nil && p.Src.Port() == p.Dst.Port() && h.Subtype == wire.SubBlock {
			all[sessionKey{p.Src.Addr(), p.Dst}] = &captured{}
		}
	}
	for _, p := range packets {
		for k, c := range all {
			switch {
			case p.Src.Port() != k.peer.Port() || p.Dst.Port() != k.peer.Port():
			case p.Src.Addr() == k.server:
				c.fromServer = append(c.fromServer, p)
			case p.Dst == k.peer || p.Dst.Addr() == k.server:
				c.fromClients = append(c.fromClients, p)
			}
		}
	}
	return all
}

// TestReplayCaptures feeds what the C clients sent to our machine in the place
// of the C server: it must give the same answers and send the same blocks.
func TestReplayCaptures(t *testing.T) {
	t.Parallel()
	ndz := shared.ReadFile(t, "vectors/frisbee/a.ndz")
	z, err := gzip.NewReader(bytes.NewReader(shared.ReadFile(t, "vectors/frisbee/raw_a.txt.gz")))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob(filepath.Join(shared.Path(t, "vectors/frisbee"), "*.pcap.gz"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, ".client1.pcap.gz") {
			continue // taken after the loss
		}
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			all := sessionsOf(pcaptest.UDP(pcaptest.Read(t, path)))
			if len(all) == 0 {
				t.Fatal("no session in the capture")
			}
			for k, c := range all {
				replaySession(t, k, c, ndz, raw)
			}
		})
	}
}

type sentBlock struct{ chunk, block uint32 }

// outcome is what a server answered and sent, without the order and times.
type outcome struct {
	replies []string // distinct
	blocks  map[sentBlock]string
}

func (o *outcome) add(datagram []byte) {
	h, body, err := wire.Split(datagram)
	if err != nil {
		return
	}
	if h.Subtype == wire.SubBlock {
		b, _ := wire.ParseBlock(body)
		o.blocks[sentBlock{b.Chunk, b.Block}] = string(datagram)
	} else if s := string(datagram); !slices.Contains(o.replies, s) {
		o.replies = append(o.replies, s)
	}
}

func (o *outcome) sorted() []string {
	slices.SortFunc(o.replies, cmp.Compare[string])
	return o.replies
}

func replaySession(t *testing.T, k sessionKey, c *captured, files ...[]byte) {
	t.Helper()
	want := outcome{blocks: map[sentBlock]string{}}
	for _, p := range c.fromServer {
		want.add(p.Payload)
	}
	file := files[0]
	if len(want.blocks) > wire.ChunkBlocks {
		file = files[1]
	}
	cfg := SessionConfig{Self: k.server, Address: k.peer, FileBytes: int64(len(file)), Pace: Pace{Gap: -1}, HeartbeatSeconds: heartbeatOf(want)}
	now := c.fromClients[0].At
	s, err := NewSession(cfg, now)
	if err != nil {
		t.Fatal(err)
	}
	f := newFramer(bytesImage{bytes.NewReader(file)}, s.Geometry(), k.server.As4())
	got := outcome{blocks: map[sentBlock]string{}}
	for _, p := range c.fromClients {
		s.Receive(p.At, p.Src, p.Payload)
		drain(t, s, f, p.At, &got)
	}
	drain(t, s, f, c.fromClients[len(c.fromClients)-1].At.Add(time.Minute), &got)
	if !slices.Equal(got.sorted(), want.sorted()) {
		t.Errorf("session %v: replies\n got %x\nwant %x", k, got.replies, want.replies)
	}
	for b, frame := range want.blocks {
		if got.blocks[b] != frame {
			t.Fatalf("session %v: block %v is not sent as captured", k, b)
		}
	}
	if asked := askedFor(c.fromClients); len(got.blocks) != len(asked) || len(got.blocks) < len(want.blocks) {
		t.Errorf("session %v: sent %d different blocks, %d were asked for, the C server sent %d", k, len(got.blocks), len(asked), len(want.blocks))
	}
	if st := s.Stats(now); st.DatagramsRefused != 0 {
		t.Errorf("session %v: %+v", k, st)
	}
}

// askedFor returns all blocks that anybody asked for.
func askedFor(packets []pcaptest.Packet) map[sentBlock]bool {
	all := map[sentBlock]bool{}
	for _, p := range packets {
		h, body, _ := wire.Split(p.Payload)
		var m wire.PartialRequest
		switch h.Subtype {
		case wire.SubRequest:
			q, _ := wire.ParseRequest(body)
			m.Chunk = q.Chunk
			m.Wanted.AddRange(int(q.Block), int(q.Count))
		case wire.SubPRequest:
			wire.ParsePartialRequest(&m, body)
		}
		for n := range wire.ChunkBlocks {
			if m.Wanted.Has(n) {
				all[sentBlock{m.Chunk, uint32(n)}] = true
			}
		}
	}
	return all
}

// heartbeatOf returns the interval that the captured server asked for.
func heartbeatOf(o outcome) uint32 {
	for _, r := range o.replies {
		h, body, _ := wire.Split([]byte(r))
		var m wire.Progress
		if h.Subtype == wire.SubProgress && wire.ParseProgress(&m, h.Type, body) == nil {
			return m.When
		}
	}
	return 0
}

// drain does all that the session wants to do by then.
func drain(t *testing.T, s *Session, f *framer, now time.Time, o *outcome) {
	t.Helper()
	for {
		switch a := s.Next(now); a.Kind {
		case ActSend:
			o.add(a.Datagram)
		case ActBlocks:
			frames, err := f.read(context.Background(), a)
			if err != nil {
				t.Fatal(err)
			}
			for ; len(frames) > 0; frames = frames[wire.BlockDatagramBytes:] {
				o.add(frames[:wire.BlockDatagramBytes])
			}
		default:
			return
		}
	}
}
