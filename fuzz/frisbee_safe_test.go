package fuzz

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"hyzer/multicast/client"
	"hyzer/multicast/fec"
	"hyzer/multicast/server"
	"hyzer/multicast/wire"
)

// frisbeeAsked holds WANT, FLOW and MANIFEST against what they encode to again.
func frisbeeAsked(t *testing.T, h wire.Header, body []byte) {
	t.Helper()
	if m, err := wire.ParseWant(body); h.Subtype == wire.SubWant && err == nil {
		_, body, err := wire.SplitMode2(m.Append(nil, h.SrcIP))
		if again, err2 := wire.ParseWant(body); err != nil || err2 != nil || again != m || m.Count == 0 || m.Count > wire.WantBlocksMax {
			t.Fatalf("WANT %+v became %+v", m, again)
		}
	}
	if m, err := wire.ParseFlow(body); h.Subtype == wire.SubFlow && err == nil {
		_, body, err := wire.SplitMode2(m.Append(nil, h.SrcIP))
		if again, err2 := wire.ParseFlow(body); err != nil || err2 != nil || again != m {
			t.Fatalf("FLOW %+v became %+v", m, again)
		}
	}
	if m, err := wire.ParseManifestBlock(body); h.Subtype == wire.SubManifest && err == nil && len(m.Data) != wire.BlockBytes {
		t.Fatalf("block of the manifest of %d bytes", len(m.Data))
	}
}

func frisbeeKey() *wire.Key { return &wire.Key{4, 5, 6} }

// FuzzFrisbeeKeyedServer gives a session with a key, and one client that has
// it, any datagrams at both ports: none has a tag, so there is no round, no
// manifest and no client that is trusted, and what the client asks for still
// comes.
func FuzzFrisbeeKeyedServer(f *testing.F) {
	src := [4]byte{10, 0, 0, 3}
	v := wire.Version{ImageID: 5, Epoch: 6}
	f.Add(joinDatagrams(frisbeeCaptured(f, false)...))
	f.Add(joinDatagrams(
		wire.Nak{Version: v, Chunk: 1, Need: 256}.Append(nil, src), wire.Want{Version: v, Count: 2}.Append(nil, src),
		wire.Flow{Version: v}.Append(nil, src), wire.AppendOffer(wire.BlockRequest{Count: 1024}.Append(nil, src), wire.NewOffer()),
	))
	f.Fuzz(func(t *testing.T, input []byte) {
		now := time.Unix(1000, 0)
		at := netip.MustParseAddrPort("239.1.1.1:3000")
		s, err := server.NewSession(server.SessionConfig{
			Self: netip.MustParseAddr("10.0.0.1"), Address: at, FileBytes: 2<<20 + 5000, Linger: time.Second, HeartbeatSeconds: 1,
			Mode2: &server.Mode2{Version: v, ParityPort: 3001, Key: frisbeeKey(), ManifestBytes: 1500},
		}, now)
		if err != nil {
			t.Fatal(err)
		}
		control := frisbeeKey().Control(3000)
		client, stranger := netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3")
		for _, d := range datagramsOf(input) {
			s.Receive(now, netip.AddrPortFrom(stranger, 3000), d)
			s.ReceiveParity(now, netip.AddrPortFrom(stranger, 3001), d)
			now = now.Add(50 * time.Microsecond)
			if a := frisbeeMode2Step(t, s, now); a.Mode2 {
				t.Fatalf("a stranger turned mode 2 on: %+v", a)
			}
		}
		if st := s.Stats(now); st.ParitySent+st.ManifestSent+st.Naks+st.Flows > 0 {
			t.Fatalf("a stranger was heard: %+v", st)
		}
		s.Receive(now, netip.AddrPortFrom(client, 3000), control.Sign(wire.AppendOffer(wire.NewJoin2Request(7).Append(nil, wire.Request, client.As4()), wire.NewOffer())))
		s.Receive(now, netip.AddrPortFrom(client, 3000), control.Sign(wire.AppendOffer(wire.BlockRequest{Chunk: 2, Count: 5}.Append(nil, client.As4()), wire.NewOffer())))
		came := false
		for range 100_000 {
			a := frisbeeMode2Step(t, s, now)
			came = came || a.Kind == server.ActBlocks && a.Chunk == 2 && a.Mode2
			if a.Kind == server.ActFinish {
				if !came {
					t.Fatalf("the client was not served: %+v", s.Stats(now))
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

// FuzzFrisbeeKeyedClient gives a client with a key a genuine load, in which the
// fuzzer chooses the order and changes bytes of copies: each chunk and the
// manifest must be what was sent.
func FuzzFrisbeeKeyedClient(f *testing.F) {
	f.Add([]byte{0, 1, 2, 0x83, 0x84, 3, 4}, []byte{1, 2, 3}, []byte{})
	f.Add([]byte{0x80, 0x81, 0x82, 0x83, 0x84, 0xc0, 0xc1}, []byte{0, 0, 64}, joinDatagrams(frisbeeFrame(false, 0, 1, wire.Trailer{}, [4]byte{10, 0, 0, 1})))
	const blocks, listBytes = 5, 1500
	want, list := make([]byte, blocks*wire.BlockBytes-100), make([]byte, 2*wire.BlockBytes)
	rand.NewChaCha8([32]byte{3}).Read(want)
	rand.NewChaCha8([32]byte{4}).Read(list[:listBytes])
	code, parity := new(fec.Coder), make([]byte, fec.ParityBytes)
	if err := code.Encode(want, 0, parity); err != nil {
		f.Fatal(err)
	}
	padded := append(bytes.Clone(want), make([]byte, 128*wire.BlockBytes)...)
	src := [4]byte{10, 0, 0, 1}
	v := wire.Version{ImageID: 5, Epoch: 6}
	key := frisbeeKey().Blocks(3000, v.ImageID)
	// frame is what the server sends: a block, or of the parity, or of the manifest.
	frame := func(o byte, seq uint32) (b []byte, toParity bool) {
		b, n := make([]byte, wire.DatagramBytesMax), int(o&0x3f)
		data := padded[n*wire.BlockBytes:]
		switch {
		case o >= 0xc0:
			n %= 2
			wire.PutManifestHeader(b, uint32(n), src)
			data = list[n*wire.BlockBytes:]
		case o >= 0x80:
			wire.PutParityHeader(b, 0, uint32(n), src)
			data = parity[n*wire.BlockBytes:]
		default:
			wire.PutBlockHeader(b, 0, uint32(n), src)
		}
		copy(b[wire.BlockDataOffset:wire.BlockDatagramBytes], data)
		wire.PutTrailer(b, wire.Trailer{Version: v, Seq: seq}, key)
		return b, o >= 0x80
	}
	f.Fuzz(func(t *testing.T, order, changes, junk []byte) {
		from, parityFrom := netip.MustParseAddrPort("10.0.0.1:3000"), netip.MustParseAddrPort("10.0.0.1:3001")
		now := time.Unix(1000, 0)
		r := client.NewReception(client.ReceptionConfig{
			Self: netip.MustParseAddr("10.0.0.2"), Address: netip.MustParseAddrPort("239.1.1.1:3000"), ID: 7, Raw: true, Buffers: 4,
			Key: frisbeeKey(), Manifest: true, Rand: rand.New(rand.NewPCG(1, 2)),
		}, now)
		r.Tick(now)
		offer, _ := wire.ParseOffer(r.TakeSends()[0].Datagram)
		grant := wire.Grant{Version: v, ParityPort: 3001, Code: wire.CodeCauchy, ParityBlocks: fec.ParityBlocks, Nonce: offer.Nonce, ManifestBytes: listBytes, Keyed: true}
		reply := wire.AppendGrant(wire.NewJoin2Reply(7, int64(len(want))).Append(nil, wire.Reply, src), grant)
		r.Receive(now, from, reply) // without a tag
		if _, joined := r.Joined(); joined {
			t.Fatal("joined what has no tag")
		}
		r.Receive(now, from, frisbeeKey().Control(3000).Sign(reply))
		r.SetParityOpen(true)
		others := datagramsOf(junk)
		take := func(b []byte, toParity bool) {
			if toParity {
				r.ReceiveParity(now, parityFrom, b)
			} else {
				r.Receive(now, from, b)
			}
		}
		for i, o := range order {
			b, toParity := frame(o, uint32(i))
			if 3*i+2 < len(changes) && changes[3*i+2] != 0 {
				bad := bytes.Clone(b)
				bad[(int(changes[3*i])|int(changes[3*i+1])<<8)%len(bad)] ^= changes[3*i+2]
				take(bad, toParity)
			}
			take(b, toParity)
			if i < len(others) {
				r.Receive(now, from, others[i])
				r.ReceiveParity(now, parityFrom, others[i])
			}
			r.Tick(now)
			if n := len(r.TakeSends()); n > 64 || r.Err() != nil {
				t.Fatalf("%d datagrams in answer to one, error %v", n, r.Err())
			}
			for _, c := range r.TakeReady() {
				if err := c.Restore(code); err != nil || !bytes.Equal(c.Data, want) {
					t.Fatalf("chunk differs, %v", err)
				}
			}
			if got, _ := r.Manifest(); got != nil && !bytes.Equal(got, list[:listBytes]) {
				t.Fatal("manifest differs")
			}
			now = now.Add(10 * time.Millisecond)
		}
	})
}
