package fuzz

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"hyzer/multicast/client"
	"hyzer/multicast/fec"
	"hyzer/multicast/server"
	"hyzer/multicast/wire"
)

// frisbeeCaptured returns the captured packets of the C programs, one of each
// kind: those of the master protocol, or the others.
func frisbeeCaptured(f *testing.F, master bool) (packets [][]byte) {
	f.Helper()
	text, err := os.ReadFile("../multicast/wire/testdata/packets.txt")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if strings.HasPrefix(line, "#") || strings.HasPrefix(line, "MASTER") != master {
			continue
		}
		b, err := hex.DecodeString(fields[len(fields)-1])
		if err != nil {
			f.Fatalf("%s: %v", fields[0], err)
		}
		packets = append(packets, b)
	}
	return packets
}

// frisbeeSeeds adds the captured packets, whole, cut and with a trailer, and
// those kinds that the captures do not have.
func frisbeeSeeds(f *testing.F) {
	f.Helper()
	for _, b := range append(frisbeeCaptured(f, false), wire.Leave{ClientID: 7}.Append(nil, [4]byte{10, 0, 0, 2})) {
		f.Add(b)
		f.Add(b[:len(b)-1])
		f.Add(append(bytes.Clone(b), 1, 2, 3))
	}
	f.Add(bytes.Repeat([]byte{0xff}, 1080))
}

// FuzzFrisbeePacket: no panic, and what decodes encodes back to what was
// decoded; the encoding of that is stable.
func FuzzFrisbeePacket(f *testing.F) {
	frisbeeSeeds(f)
	f.Fuzz(func(t *testing.T, datagram []byte) {
		h, body, err := wire.Split(datagram)
		if err != nil {
			return
		}
		again, ok := frisbeeReencode(h, body)
		if !ok {
			return
		}
		if n := min(len(again), wire.HeaderBytes+int(h.DataLen)); !frisbeeSame(h, datagram[:n], again[:n]) {
			t.Fatalf("%v type %d:\n got %x\nwant %x", h.Subtype, h.Type, again, datagram)
		}
		h2, body2, err := wire.Split(again)
		if err != nil {
			t.Fatalf("our own packet does not decode: %v", err)
		}
		if twice, ok := frisbeeReencode(h2, body2); !ok || !bytes.Equal(twice, again) {
			t.Fatalf("encoding is not stable:\n%x\n%x", again, twice)
		}
	})
}

// frisbeeSame compares what the decoder keeps: not datalen, nor the type of the
// kinds that have only one, nor the unused end of a statistics record.
func frisbeeSame(h wire.Header, a, b []byte) bool {
	const statsUsedBytes = 128
	end := len(a)
	switch h.Subtype {
	case wire.SubLeave2:
		end = min(end, wire.HeaderBytes+8+statsUsedBytes)
	case wire.SubProgress:
		end = min(end, wire.HeaderBytes+32+statsUsedBytes)
	}
	return bytes.Equal(a[4:8], b[4:8]) && bytes.Equal(a[12:end], b[12:end])
}

func frisbeeReencode(h wire.Header, body []byte) ([]byte, bool) {
	switch h.Subtype {
	case wire.SubJoin:
		m, err := wire.ParseJoin(body)
		return m.Append(nil, h.Type, h.SrcIP), err == nil
	case wire.SubJoin2:
		m, err := wire.ParseJoin2(body)
		return m.Append(nil, h.Type, h.SrcIP), err == nil
	case wire.SubBlock:
		m, err := wire.ParseBlock(body)
		return m.Append(nil, h.SrcIP), err == nil
	case wire.SubRequest:
		m, err := wire.ParseRequest(body)
		return m.Append(nil, h.SrcIP), err == nil
	case wire.SubPRequest:
		var m wire.PartialRequest
		err := wire.ParsePartialRequest(&m, body)
		return m.Append(nil, h.SrcIP), err == nil
	case wire.SubLeave:
		m, err := wire.ParseLeave(body)
		return m.Append(nil, h.SrcIP), err == nil
	case wire.SubLeave2:
		m, err := wire.ParseLeave2(body)
		return m.Append(nil, h.SrcIP), err == nil
	default:
		var m wire.Progress
		err := wire.ParseProgress(&m, h.Type, body)
		return m.Append(nil, h.Type, h.SrcIP), err == nil
	}
}

// FuzzFrisbeeMaster: no panic, and what decodes encodes back to the same bytes
// but for what follows the name.
func FuzzFrisbeeMaster(f *testing.F) {
	for _, b := range frisbeeCaptured(f, true) {
		f.Add(b)
		f.Add(b[:len(b)-1])
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		if m, err := wire.ParseGetRequest(msg); err == nil {
			again, err := m.Append(nil)
			if m2, err2 := wire.ParseGetRequest(again); err != nil || err2 != nil || m2 != m {
				t.Fatalf("%+v became %+v: %v, %v", m, m2, err, err2)
			}
		}
		if m, err := wire.ParsePutRequest(msg); err == nil {
			again, err := m.Append(nil)
			if m2, err2 := wire.ParsePutRequest(again); err != nil || err2 != nil || m2 != m {
				t.Fatalf("%+v became %+v: %v, %v", m, m2, err, err2)
			}
		}
		if m, err := wire.ParseGetReply(msg); err == nil {
			if m2, err := wire.ParseGetReply(m.Append(nil)); err != nil || m2 != m {
				t.Fatalf("%+v became %+v: %v", m, m2, err)
			}
		}
		if m, err := wire.ParsePutReply(msg); err == nil {
			if m2, err := wire.ParsePutReply(m.Append(nil)); err != nil || m2 != m {
				t.Fatalf("%+v became %+v: %v", m, m2, err)
			}
		}
	})
}

// datagramsOf cuts the fuzzer's bytes into datagrams: a length byte pair, then
// the datagram.
func datagramsOf(b []byte) (list [][]byte) {
	for len(b) > 2 && len(list) < 200 {
		n := min(int(b[0])|int(b[1])<<8, len(b)-2)
		list = append(list, b[2:2+n])
		b = b[2+n:]
	}
	return list
}

func joinDatagrams(list ...[]byte) (b []byte) {
	for _, d := range list {
		b = append(append(b, byte(len(d)), byte(len(d)>>8)), d...)
	}
	return b
}

// FuzzFrisbeeServer gives the session machine any sequence of datagrams: it
// must stay within its bounds, and send only blocks that the file has.
func FuzzFrisbeeServer(f *testing.F) {
	src := [4]byte{10, 0, 0, 2}
	p := wire.PartialRequest{Chunk: 2, Retries: 1}
	p.Wanted.AddRange(0, 1024)
	f.Add(joinDatagrams(frisbeeCaptured(f, false)...))
	f.Add(joinDatagrams(
		wire.NewJoin2Request(7).Append(nil, wire.Request, src), wire.BlockRequest{Count: 1024}.Append(nil, src),
		p.Append(nil, src), p.Append(nil, src), wire.Leave{ClientID: 7}.Append(nil, src),
	))
	f.Fuzz(func(t *testing.T, input []byte) {
		const fileBytes = 2<<20 + 5000
		at := netip.MustParseAddrPort("239.1.1.1:3000")
		now := time.Unix(1000, 0)
		s, err := server.NewSession(server.SessionConfig{
			Self: netip.MustParseAddr("10.0.0.1"), Address: at, FileBytes: fileBytes, Linger: server.LingerLastClient, HeartbeatSeconds: 1,
		}, now)
		if err != nil {
			t.Fatal(err)
		}
		from := netip.MustParseAddrPort("10.0.0.2:3000")
		for _, d := range datagramsOf(input) {
			s.Receive(now, from, d)
			now = now.Add(frisbeeStep(t, s, now))
			s.TakeEvents(nil)
		}
		if st := s.Stats(now); st.Clients > 1 || st.QueueElementsMost > 6 {
			t.Fatalf("one address and three chunks grew to %+v", st)
		}
		s.Touch(now)        // a client was told of it, which does not come
		for range 100_000 { // it comes to its end when nobody asks any more
			a := s.Next(now)
			if a.Kind == server.ActFinish {
				return
			}
			if a.Kind == server.ActSleep {
				now = a.Until
			}
		}
		t.Fatal("the session does not end")
	})
}

func frisbeeStep(t *testing.T, s *server.Session, now time.Time) time.Duration {
	t.Helper()
	a := s.Next(now)
	geo := s.Geometry()
	if a.Kind == server.ActBlocks && (a.Count < 1 || a.Chunk >= geo.Chunks() || a.First+a.Count > geo.ChunkBlocks(a.Chunk)) {
		t.Fatalf("blocks that the file does not have: %+v", a)
	}
	if a.Kind == server.ActSend && len(a.Datagram) > 40 {
		t.Fatalf("reply of %d bytes", len(a.Datagram))
	}
	return 100 * time.Microsecond
}

// FuzzFrisbeeClient gives the reception machine any sequence of datagrams: it
// must hold no more chunks than it may, and hand out none but of the file.
func FuzzFrisbeeClient(f *testing.F) {
	src := [4]byte{10, 0, 0, 1}
	f.Add(joinDatagrams(frisbeeCaptured(f, false)...))
	f.Add(joinDatagrams(
		wire.NewJoin2Reply(7, 5000).Append(nil, wire.Reply, src), wire.Block{Block: 4}.Append(nil, src), wire.Block{Block: 2}.Append(nil, src),
		wire.Block{}.Append(nil, src), wire.Block{Block: 1}.Append(nil, src), wire.Block{Block: 3}.Append(nil, src),
	))
	f.Fuzz(func(t *testing.T, input []byte) {
		at := netip.MustParseAddrPort("239.1.1.1:3000")
		now := time.Unix(1000, 0)
		r := client.NewReception(client.ReceptionConfig{
			Self: netip.MustParseAddr("10.0.0.2"), Address: at, ID: 7, Raw: true, Buffers: 4, Heartbeat: true, Rand: rand.New(rand.NewPCG(1, 2)),
		}, now)
		from := netip.MustParseAddrPort("10.0.0.1:3000")
		held := 0
		for _, d := range datagramsOf(input) {
			r.Receive(now, from, d)
			r.Tick(now)
			if n := len(r.TakeSends()); n > 64 {
				t.Fatalf("%d datagrams in answer to one", n)
			}
			geo, _ := r.Joined()
			for _, c := range r.TakeReady() {
				if held++; held > 4 {
					t.Fatal("more chunks than buffers")
				}
				if c.Index >= geo.Chunks() || len(c.Data) != geo.ChunkLen(c.Index) {
					t.Fatalf("chunk %d of %d bytes is not of the file", c.Index, len(c.Data))
				}
			}
			if due := r.Due(now); r.Err() == nil && due.Before(now.Add(-time.Hour)) {
				t.Fatalf("due at %v", due)
			}
			now = now.Add(10 * time.Millisecond)
		}
	})
}

// frisbeeFrame is a BLOCK or PARITY with a trailer.
func frisbeeFrame(parity bool, chunk, n uint32, t wire.Trailer, src [4]byte) []byte {
	b := make([]byte, wire.DatagramBytesMax)
	if parity {
		wire.PutParityHeader(b, chunk, n, src)
	} else {
		wire.PutBlockHeader(b, chunk, n, src)
	}
	wire.PutTrailer(b, t, nil)
	return b
}

// FuzzFrisbeeMode2Packet: no panic, and what decodes encodes back to the same.
func FuzzFrisbeeMode2Packet(f *testing.F) {
	src := [4]byte{10, 0, 0, 2}
	v := wire.Version{ImageID: 5, Epoch: 6}
	f.Add(wire.AppendOffer(wire.NewJoin2Request(7).Append(nil, wire.Request, src), wire.NewOffer()))
	f.Add(wire.AppendGrant(wire.NewJoin2Reply(7, 5000).Append(nil, wire.Reply, src), wire.Grant{Version: v, ParityPort: 9, Code: 1, ParityBlocks: 256}))
	f.Add(wire.Nak{Version: v, Chunk: 1, Need: 3, Base: 4}.Append(nil, src))
	f.Add(frisbeeFrame(true, 1, 300, wire.Trailer{Version: v, Seq: 3, Left: 2}, src))
	f.Add(wire.Want{Version: v, First: 1, Count: 3}.Append(nil, src))
	f.Add(wire.Flow{Version: v, Rate: 1, Fill: 3, Free: 4}.Append(nil, src))
	f.Fuzz(func(t *testing.T, b []byte) {
		if o, ok := wire.ParseOffer(b); ok {
			head := b[:len(b)-wire.ExtensionBytes]
			if again, ok := wire.ParseOffer(wire.AppendOffer(bytes.Clone(head), o)); !ok || again != o {
				t.Fatalf("offer %+v became %+v", o, again)
			}
		}
		if g, ok := wire.ParseGrant(b); ok {
			head := b[:len(b)-wire.ExtensionBytes]
			if again, ok := wire.ParseGrant(wire.AppendGrant(bytes.Clone(head), g)); !ok || again != g {
				t.Fatalf("grant %+v became %+v", g, again)
			}
		}
		if tr, ok := wire.ParseTrailer(b, nil); ok {
			again := bytes.Clone(b)
			if wire.PutTrailer(again, tr, nil); !bytes.Equal(again, b) {
				t.Fatalf("trailer %x became %x", b, again)
			}
		}
		h, body, err := wire.SplitMode2(b)
		if err != nil {
			return
		}
		if p, err := wire.ParseParity(body); h.Subtype == wire.SubParity && err == nil && len(p.Data) != wire.BlockBytes {
			t.Fatalf("parity block of %d bytes", len(p.Data))
		}
		frisbeeAsked(t, h, body)
		if m, err := wire.ParseNak(body); h.Subtype == wire.SubNak && err == nil {
			_, body, err := wire.SplitMode2(m.Append(nil, h.SrcIP))
			if again, err2 := wire.ParseNak(body); err != nil || err2 != nil || again != m || m.Need == 0 || m.Need > wire.NeedMax {
				t.Fatalf("NAK %+v became %+v", m, again)
			}
		}
	})
}

// FuzzFrisbeeMode2Server gives the session NAKs, genuine but for the fields
// that the fuzzer chooses, and requests: each NAK may cost no more parity
// blocks than a chunk has, and the session must come to its end.
func FuzzFrisbeeMode2Server(f *testing.F) {
	f.Add([]byte{0, 9, 0, 0, 0, 0, 1, 200, 0, 0, 0, 0, 1, 201, 7, 0, 0, 20})
	f.Add(bytes.Repeat([]byte{2, 255, 255, 255, 255, 3}, 50))
	f.Fuzz(func(t *testing.T, input []byte) {
		v := wire.Version{ImageID: 5, Epoch: 6}
		at := netip.MustParseAddrPort("239.1.1.1:3000")
		now := time.Unix(1000, 0)
		s, err := server.NewSession(server.SessionConfig{
			Self: netip.MustParseAddr("10.0.0.1"), Address: at, FileBytes: 2<<20 + 5000, Linger: time.Second,
			Pace: server.Pace{Dynamic: true}, Mode2: &server.Mode2{Version: v, ParityPort: 3001},
		}, now)
		if err != nil {
			t.Fatal(err)
		}
		client := netip.MustParseAddr("10.0.0.2")
		s.Receive(now, netip.AddrPortFrom(client, 3000), wire.AppendOffer(wire.NewJoin2Request(7).Append(nil, wire.Request, client.As4()), wire.NewOffer()))
		naks := uint64(0)
		for ; len(input) >= 6; input = input[6:] {
			m := wire.Nak{
				Version: v, Chunk: uint32(input[0] % 4), Need: uint16(input[1]) + uint16(input[2])<<8,
				Base: uint32(input[3]) << (input[4] % 32), Loss: wire.Loss(input[4]) << 8, EchoUS: uint32(input[4]) << 20,
			}
			s.ReceiveParity(now, netip.AddrPortFrom(client, 3001), m.Append(nil, client.As4()))
			naks++
			now = now.Add(time.Duration(input[5]) * 100 * time.Microsecond)
			frisbeeMode2Step(t, s, now)
		}
		for range 100_000 {
			a := frisbeeMode2Step(t, s, now)
			if a.Kind == server.ActFinish {
				if st := s.Stats(now); st.ParitySent > 256*naks || st.BitsPerSec <= 0 {
					t.Fatalf("%d NAKs caused %+v", naks, st)
				}
				return
			}
			if a.Kind == server.ActSleep {
				now = a.Until
			}
		}
		t.Fatal("the session does not end")
	})
}

func frisbeeMode2Step(t *testing.T, s *server.Session, now time.Time) server.Action {
	t.Helper()
	a := s.Next(now)
	switch a.Kind {
	case server.ActParity:
		if a.Count < 1 || a.Count > server.BlocksPerActionMax || a.Chunk >= s.Geometry().Chunks() || !a.Mode2 {
			t.Fatalf("parity blocks that cannot be: %+v", a)
		}
	case server.ActSend:
		if len(a.Datagram) > 40+wire.ExtensionBytes {
			t.Fatalf("reply of %d bytes", len(a.Datagram))
		}
	}
	return a
}

// FuzzFrisbeeMode2Client gives a client a genuine load in an order that the
// fuzzer chooses, among whatever else it makes up: every chunk handed out must
// restore to what was sent.
func FuzzFrisbeeMode2Client(f *testing.F) {
	f.Add([]byte{0, 1, 2, 0x83, 0x84, 3, 4}, []byte{})
	f.Add([]byte{0x80, 0x81, 0x82, 0x83, 0x84}, joinDatagrams(frisbeeFrame(false, 0, 1, wire.Trailer{}, [4]byte{10, 0, 0, 1})))
	const blocks = 5
	want := make([]byte, blocks*wire.BlockBytes-100)
	rand.NewChaCha8([32]byte{3}).Read(want)
	code, parity := new(fec.Coder), make([]byte, fec.ParityBytes)
	if err := code.Encode(want, 0, parity); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, order, junk []byte) {
		src := [4]byte{10, 0, 0, 1}
		v := wire.Version{ImageID: 5, Epoch: 6}
		from, parityFrom := netip.MustParseAddrPort("10.0.0.1:3000"), netip.MustParseAddrPort("10.0.0.1:3001")
		now := time.Unix(1000, 0)
		r := client.NewReception(client.ReceptionConfig{
			Self: netip.MustParseAddr("10.0.0.2"), Address: netip.MustParseAddrPort("239.1.1.1:3000"), ID: 7, Raw: true, Buffers: 4,
			Mode2: true, Rand: rand.New(rand.NewPCG(1, 2)),
		}, now)
		grant := wire.Grant{Version: v, ParityPort: 3001, Code: wire.CodeCauchy, ParityBlocks: fec.ParityBlocks}
		r.Receive(now, from, wire.AppendGrant(wire.NewJoin2Reply(7, int64(len(want))).Append(nil, wire.Reply, src), grant))
		r.SetParityOpen(true)
		others := datagramsOf(junk)
		for i, o := range order {
			n := uint32(o & 0x7f)
			frame := frisbeeFrame(o >= 0x80, 0, n, wire.Trailer{Version: v, Seq: uint32(i)}, src)
			data := parity[n*wire.BlockBytes:]
			if o < 0x80 {
				data = append(bytes.Clone(want[min(int(n)*wire.BlockBytes, len(want)):]), make([]byte, wire.BlockBytes)...)
			}
			copy(frame[wire.BlockDataOffset:wire.BlockDataOffset+wire.BlockBytes], data)
			wire.PutTrailer(frame, wire.Trailer{Version: v, Seq: uint32(i)}, nil)
			if o >= 0x80 {
				r.ReceiveParity(now, parityFrom, frame)
			} else {
				r.Receive(now, from, frame)
			}
			if i < len(others) {
				r.Receive(now, from, others[i])
				r.ReceiveParity(now, parityFrom, others[i])
			}
			r.Tick(now)
			if n := len(r.TakeSends()); n > 64 {
				t.Fatalf("%d datagrams in answer to one", n)
			}
			for _, c := range r.TakeReady() {
				if err := c.Restore(code); err != nil || !bytes.Equal(c.Data, want) {
					t.Fatalf("chunk differs, %v", err)
				}
			}
			now = now.Add(10 * time.Millisecond)
		}
	})
}
