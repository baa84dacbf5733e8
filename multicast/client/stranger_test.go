package client_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hyzer/imaging/manifest"
	"hyzer/multicast/client"
	"hyzer/multicast/internal/sock"
	"hyzer/multicast/server"
	"hyzer/multicast/wire"
)

// The tests of this file have a session with a key, and somebody on the network
// who does not have it, in virtual time.

func siteKey() *wire.Key { return &wire.Key{7, 7, 7} }

const strangeParity = 4001

var strangeParityAt = netip.AddrPortFrom(simSession.Addr(), strangeParity)

// stranger sends what it likes, as whoever it likes.
type stranger struct {
	s   *site
	rng *rand.Rand
	// heard is what went over the network, to be sent again.
	heard []overheard
}

type overheard struct {
	from, to netip.AddrPort
	data     []byte
}

const strangerHeardMax = 4000

// attack calls each of ways every half millisecond until stop is closed.
func (s *site) attack(stop <-chan struct{}, ways ...func(*stranger)) {
	x := &stranger{s: s, rng: rand.New(rand.NewPCG(3, 4))}
	listener := s.net.Open(netip.MustParseAddr("10.0.9.9"), simSession, 0)
	parity := s.net.Open(netip.MustParseAddr("10.0.9.9"), strangeParityAt, 0)
	s.all.Go(func() {
		for {
			select {
			case <-stop:
				listener.Close()
				parity.Close()
				return
			case <-time.After(500 * time.Microsecond):
			}
			x.listen(listener, simSession)
			x.listen(parity, strangeParityAt)
			for _, way := range ways {
				way(x)
			}
		}
	})
}

func (x *stranger) listen(from sock.Conn, at netip.AddrPort) {
	b := sock.NewBatch(false)
	for from.ReadBatch(b, time.Now()) == nil {
		for _, d := range b.Datagrams() {
			if len(x.heard) < strangerHeardMax && d.From.Addr() != netip.MustParseAddr("10.0.9.9") {
				x.heard = append(x.heard, overheard{d.From, at, bytes.Clone(d.Data)})
			}
		}
	}
}

func (x *stranger) say(as netip.Addr, to netip.AddrPort, b []byte) {
	x.s.net.Inject(netip.AddrPortFrom(as, to.Port()), to, b)
}

func (x *stranger) chunk() uint32 { return uint32(x.rng.IntN(len(x.s.want)>>20 + 1)) }

// somebody is an address of the site's network.
func (x *stranger) somebody() netip.Addr {
	return netip.AddrFrom4([4]byte{10, 0, byte(x.rng.IntN(200)), byte(x.rng.IntN(256))})
}

// version is one that the server might have: its image, and any epoch.
func (x *stranger) version() wire.Version { return wire.Version{ImageID: 77, Epoch: x.rng.Uint32()} }

func forgedBlocks(x *stranger) {
	for range 4 {
		frame := make([]byte, wire.DatagramBytesMax)
		x.rng.Uint64()
		t := wire.Trailer{Version: x.version(), Seq: x.rng.Uint32(), SentUS: x.rng.Uint32()}
		var key *wire.BlockKey
		if x.rng.IntN(2) == 0 {
			key = (&wire.Key{1}).Blocks(simSession.Port(), 77)
		}
		to := strangeParityAt
		switch x.rng.IntN(3) {
		case 0:
			wire.PutBlockHeader(frame, x.chunk(), uint32(x.rng.IntN(1024)), simServer.As4())
			to = simSession
		case 1:
			wire.PutParityHeader(frame, x.chunk(), uint32(x.rng.IntN(1024)), simServer.As4())
		default:
			wire.PutManifestHeader(frame, uint32(x.rng.IntN(3)), simServer.As4())
		}
		wire.PutTrailer(frame, t, key)
		x.say(simServer, to, frame)
		x.say(simServer, simSession, wire.Block{Chunk: x.chunk(), Block: 3, Data: []byte{0xee}}.Append(nil, simServer.As4()))
	}
}

func forgedReplies(x *stranger) {
	for n := range 4 {
		id := x.rng.Uint32() >> 1
		for _, h := range x.heard {
			if h.to == simSession && len(h.data) == 40+wire.ExtensionBytes && n%2 == 0 {
				id = wire.Join2{ClientID: uint32(h.data[16]) | uint32(h.data[17])<<8 | uint32(h.data[18])<<16 | uint32(h.data[19])<<24}.ClientID
			}
		}
		g := wire.Grant{Version: wire.Version{ImageID: 78}, ParityPort: 9, Code: wire.CodeCauchy, ParityBlocks: 256, Keyed: n < 2}
		x.say(simServer, simSession, wire.AppendGrant(wire.NewJoin2Reply(id, 1<<30).Append(nil, wire.Reply, simServer.As4()), g))
		x.say(simServer, simSession, wire.NewJoin2Reply(id, 1<<30).Append(nil, wire.Reply, simServer.As4()))
		x.say(simServer, simSession, wire.Join{Value: 1 << 20}.Append(nil, wire.Reply, simServer.As4()))
	}
}

func forgedNaks(x *stranger) {
	for range 8 {
		as := x.somebody()
		n := wire.Nak{Version: x.version(), Chunk: x.chunk(), Need: 256, Base: x.rng.Uint32(), Loss: 1<<16 - 1}
		x.say(as, strangeParityAt, n.Append(nil, as.As4()))
		x.say(as, strangeParityAt, wire.Want{Version: x.version(), Count: 1}.Append(nil, as.As4()))
		as = netip.AddrFrom4([4]byte{10, 0, 1, byte(x.rng.IntN(4))}) // a client
		x.say(as, strangeParityAt, wire.Flow{Version: x.version(), Rate: 1, Fill: 1<<16 - 1, ClientID: x.rng.Uint32()}.Append(nil, as.As4()))
	}
}

func joinFlood(x *stranger) {
	for range 30 {
		as := x.somebody()
		x.say(as, simSession, wire.AppendOffer(wire.NewJoin2Request(x.rng.Uint32()).Append(nil, wire.Request, as.As4()), wire.NewOffer()))
		x.say(as, simSession, wire.Join{Value: x.rng.Uint32()}.Append(nil, wire.Request, as.As4()))
	}
}

func requestFlood(x *stranger) {
	for range 8 {
		as, c := x.somebody(), x.chunk()
		x.say(as, simSession, wire.BlockRequest{Chunk: c, Count: 1024}.Append(nil, as.As4()))
		p := wire.PartialRequest{Chunk: c, Retries: 1}
		p.Wanted.AddRange(0, 1000)
		x.say(as, simSession, wire.AppendOffer(p.Append(nil, as.As4()), wire.NewOffer()))
	}
}

func leaves(x *stranger) {
	for _, h := range x.heard {
		if h.to == simSession && h.from.Addr() != simServer && len(h.data) >= 40 {
			id := uint32(h.data[16]) | uint32(h.data[17])<<8 | uint32(h.data[18])<<16 | uint32(h.data[19])<<24
			x.say(h.from.Addr(), simSession, wire.Leave{ClientID: id}.Append(nil, h.from.Addr().As4()))
		}
	}
}

// again sends once more what was heard.
func again(x *stranger) {
	for range 8 {
		if len(x.heard) > 0 {
			h := x.heard[x.rng.IntN(len(x.heard))]
			x.s.net.Inject(h.from, h.to, h.data)
		}
	}
}

// keyedLoad runs a load of four clients with the key, among whatever there is,
// and returns how long it took.
func keyedLoad(t *testing.T, loss float64, ways ...func(*stranger)) time.Duration {
	t.Helper()
	const clients = 4
	s := newSite(t, unlessRacing(48<<20, 3<<20)+5)
	cfg := s.mode2Server(strangeParity)
	cfg.Key, cfg.Linger = siteKey(), server.LingerLastClient
	cfg.Manifest = signedManifest(t, s.want, nil)
	_, result := s.serve(s.ctx, cfg)
	stop := make(chan struct{})
	s.attack(stop, ways...)
	s.net.LossFrom = time.Now().Add(5 * time.Millisecond)
	start := time.Now()
	var loads sync.WaitGroup
	for n := range clients {
		var m memory
		cfg := s.mode2Client(n, loss, loss, client.RawSink{W: &m})
		cfg.Key = siteKey()
		loads.Go(func() {
			r, err := client.Run(s.ctx, cfg)
			if err != nil || !bytes.Equal(m.data, s.want) || !r.Checked {
				t.Errorf("client %d: error %v, content equal %v, checked %v", n, err, bytes.Equal(m.data, s.want), r.Checked)
			}
		})
	}
	loads.Wait()
	took := time.Since(start)
	close(stop)
	s.all.Wait()
	if err := <-result; err != nil {
		t.Errorf("server: %v", err)
	}
	return took
}

// TestStranger: what somebody without the key sends never reaches a disk,
// never ends a load, and slows it within a bound.
func TestStranger(t *testing.T) {
	// Not parallel to the tests on real sockets: those have real deadlines.
	// Who asks without the key, or sends again what others asked for, has a
	// quarter of the rate. A load takes 1.2 s: two more rounds lost at its end
	// are a twentieth of it, in a shorter one they would be a fifth.
	const harmless, askers = 1.1, 4.0/3 + 0.1
	everything := []func(*stranger){forgedBlocks, forgedReplies, forgedNaks, joinFlood, requestFlood, leaves, again}
	for name, c := range map[string]struct {
		slower float64 // at most, than without
		ways   []func(*stranger)
	}{
		"forged blocks":         {harmless, everything[:1]},
		"forged replies":        {harmless, everything[1:2]},
		"forged NAKs and so on": {harmless, everything[2:3]},
		"JOIN flood":            {harmless, everything[3:4]},
		"requests flood":        {askers, everything[4:5]},
		"LEAVE of others":       {harmless, everything[5:6]},
		"packets sent again":    {askers, everything[6:]},
		"everything":            {askers, everything},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if client.RaceDetector && len(c.ways) == 1 {
				t.Skip("part of everything")
			}
			synctest.Test(t, func(t *testing.T) {
				loss := unlessRacing(0.02, 0)
				clean := keyedLoad(t, loss)
				took := keyedLoad(t, loss, c.ways...)
				t.Logf("%v, %v without", took, clean)
				if !client.RaceDetector && took.Seconds() > c.slower*clean.Seconds() {
					t.Errorf("a load takes %v, %v without; want at most %v times as long", took, clean, c.slower)
				}
			})
		})
	}
}

// unlessRacing returns small where the race detector runs: restoring chunks
// takes a hundred times as long then.
func unlessRacing[T any](usual, small T) T {
	if client.RaceDetector {
		return small
	}
	return usual
}

// signedManifest is that of an image, signed if there is a key.
func signedManifest(t *testing.T, image []byte, key ed25519.PrivateKey) []byte {
	t.Helper()
	m, err := manifest.Build(bytes.NewReader(image), manifest.Identity{Version: 1})
	if err == nil && key != nil {
		err = m.Sign(key)
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestSiteKey: clients with the key load beside those that know nothing of
// mode 2, or have no key. With another key there is no server.
func TestSiteKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 4<<20+5)
		cfg := s.mode2Server(strangeParity)
		cfg.Key = siteKey()
		ctx, stop := context.WithCancel(s.ctx)
		srv, result := s.serve(ctx, cfg)
		s.net.LossFrom = time.Now().Add(5 * time.Millisecond)
		for n := range 9 {
			var m memory
			cfg := s.clientConfig(n, 0.02, client.RawSink{W: &m})
			want := error(nil)
			switch n % 3 {
			case 0:
				cfg = s.mode2Client(n, 0.02, 0.02, client.RawSink{W: &m})
				cfg.Key = siteKey()
			case 1:
				cfg.Mode2 = true
			}
			if n == 8 {
				cfg.Key, cfg.JoinTimeout, want = &wire.Key{8}, 5*time.Second, client.ErrNoServer
			}
			s.all.Go(func() {
				_, err := client.Run(s.ctx, cfg)
				if !errors.Is(err, want) || want == nil && !bytes.Equal(m.data, s.want) {
					t.Errorf("client %d: error %v, want %v; content equal %v", n, err, want, bytes.Equal(m.data, s.want))
				}
			})
		}
		s.all.Wait()
		stop()
		<-result
		if st := srv.Stats(); st.ParitySent == 0 {
			t.Errorf("nobody was served in mode 2: %+v", st)
		}
	})
}

// TestSiteKeyRestart kills a server with a key in mid-load, and its successor
// too. Blocks of the first that are sent again later change nothing.
func TestSiteKeyRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 12<<20)
		stop := make(chan struct{})
		s.attack(stop, again)
		var loads sync.WaitGroup
		for n := range 4 {
			var m memory
			cfg := s.mode2Client(n, unlessRacing(0.02, 0), 0.02, client.RawSink{W: &m})
			cfg.Key = siteKey()
			loads.Go(func() {
				if r, err := client.Run(s.ctx, cfg); err != nil || !bytes.Equal(m.data, s.want) || !r.Checked {
					t.Errorf("client %d: %v, content equal %v, %+v", n, err, bytes.Equal(m.data, s.want), r)
				}
			})
		}
		for run := range 3 {
			cfg := s.mode2Server(uint16(strangeParity + run))
			cfg.Key, cfg.Manifest = siteKey(), signedManifest(t, s.want, nil)
			ctx, kill := context.WithCancel(s.ctx)
			_, result := s.serve(ctx, cfg)
			if run == 2 {
				loads.Wait()
			} else {
				time.Sleep(80 * time.Millisecond) // virtual: a third of the load
			}
			kill()
			<-result
			time.Sleep(time.Duration(run) * time.Second)
		}
		close(stop)
		s.all.Wait()
	})
}

// spoiledImage reads some chunks wrong for a while, as bad memory does.
type spoiledImage struct {
	memImage
	wrong int // reads that are still to go wrong
}

func (m *spoiledImage) ReadAt(p []byte, off int64) (int, error) {
	n, err := m.memImage.ReadAt(p, off)
	m.lock.Lock()
	defer m.lock.Unlock()
	if m.wrong > 0 && n > 0 {
		m.wrong--
		p[n/2] ^= 4
	}
	return n, err
}

// TestSiteIntegrity: a chunk that does not agree with the manifest is fetched
// again and never written; without the manifest that was asked for there is no
// load.
func TestSiteIntegrity(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	otherPublic, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signed := func(t *testing.T, image []byte) []byte { return signedManifest(t, image, private) }
	plain := func(t *testing.T, image []byte) []byte { return signedManifest(t, image, nil) }
	none := func(*testing.T, []byte) []byte { return nil }
	damaged := func(t *testing.T, image []byte) []byte {
		b := signed(t, image)
		b[200] ^= 1
		return b
	}
	for name, c := range map[string]struct {
		manifest   func(t *testing.T, image []byte) []byte
		signer     ed25519.PublicKey
		wrong      int
		parityLoss float64
		want       error
		checked    bool
	}{
		"signed":                          {manifest: signed, signer: public, checked: true},
		"lossy":                           {manifest: signed, signer: public, parityLoss: 0.3, checked: true},
		"wrong chunks":                    {manifest: signed, signer: public, wrong: 3, checked: true},
		"wrong chunks, not signed":        {manifest: plain, wrong: 3, checked: true},
		"always wrong":                    {manifest: plain, wrong: 1 << 30, want: client.ErrBadChunk, checked: true},
		"not signed":                      {manifest: plain, signer: public, want: client.ErrNoManifest},
		"signed by another":               {manifest: signed, signer: otherPublic, want: client.ErrNoManifest},
		"none":                            {manifest: none},
		"none, but wanted":                {manifest: none, signer: public, want: client.ErrNoManifest},
		"damaged":                         {manifest: damaged},
		"damaged, but wanted":             {manifest: damaged, signer: public, want: client.ErrNoManifest},
		"of another image":                {manifest: func(t *testing.T, _ []byte) []byte { return signed(t, make([]byte, 5)) }, signer: public, want: client.ErrNoManifest},
		"parity port blocked":             {manifest: signed, parityLoss: 1},
		"parity port blocked, but wanted": {manifest: signed, parityLoss: 1, signer: public, want: client.ErrNoManifest},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, 5<<20+5)
				cfg := s.mode2Server(strangeParity)
				cfg.Image, cfg.Manifest = &spoiledImage{memImage: memImage{data: s.want}, wrong: c.wrong}, c.manifest(t, s.want)
				ctx, stop := context.WithCancel(s.ctx)
				_, result := s.serve(ctx, cfg)
				for n := range 3 {
					var m memory
					cfg := s.mode2Client(n, unlessRacing(0.01, 0), c.parityLoss, client.RawSink{W: &m})
					cfg.Integrity.Signer = c.signer
					s.all.Go(func() {
						r, err := client.Run(s.ctx, cfg)
						if !errors.Is(err, c.want) || r.Checked != c.checked {
							t.Errorf("client %d: error %v, want %v; checked %v", n, err, c.want, r.Checked)
						}
						if c.want == nil && !bytes.Equal(m.data, s.want) || c.want != nil && c.checked == false && len(m.data) > 0 {
							t.Errorf("client %d: %d bytes on the disk, and wrong ones", n, len(m.data))
						}
						for at := 0; at < len(m.data); at += wire.ChunkBytes { // chunk by chunk: nothing, or what is right
							got := m.data[at:min(at+wire.ChunkBytes, len(m.data))]
							if right := s.want[at:][:len(got)]; !bytes.Equal(got, right) && !bytes.Equal(got, make([]byte, len(got))) {
								t.Errorf("client %d: chunk %d on the disk is damaged", n, at/wire.ChunkBytes)
							}
						}
					})
				}
				s.all.Wait()
				stop()
				<-result
			})
		})
	}
}

// TestLoopbackStranger is TestStranger on real sockets: a stranger on the
// machine sends as itself, and in the name of the server and of the clients as
// far as the kernel lets it.
func TestLoopbackStranger(t *testing.T) {
	t.Parallel()
	path, want := imageFile(t, 8*wire.ChunkBytes+5)
	at := group(t)
	cfg := serverConfig(t, path, at)
	cfg.Mode2, cfg.Key, cfg.Manifest = true, siteKey(), signedManifest(t, want, nil)
	stop := serve(t, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	strange, _, err := sock.Open(sock.Config{Session: at, Iface: serverAddr, Client: true, ShareHost: true})
	if err != nil {
		t.Fatal(err)
	}
	defer strange.Close()
	flooded := make(chan struct{})
	flood, end := context.WithCancel(ctx)
	go func() {
		defer close(flooded)
		rng := rand.New(rand.NewPCG(1, 1))
		for flood.Err() == nil {
			for _, b := range strangePackets(rng) {
				if err := strange.Write(b, at); err != nil && flood.Err() == nil && !errors.Is(err, os.ErrDeadlineExceeded) {
					continue // a full queue: the flood is at its limit
				}
			}
			select {
			case <-time.After(200 * time.Microsecond):
			case <-flood.Done():
			}
		}
	}()
	var all sync.WaitGroup
	for n := range 3 {
		var m memory
		cfg := mode2Config(t, n, at, 0.01, client.RawSink{W: &m})
		cfg.Key = siteKey()
		all.Go(func() {
			if r, err := client.Run(ctx, cfg); err != nil || !bytes.Equal(m.data, want) || !r.Checked {
				t.Errorf("client %d: %v, content equal %v, checked %v", n, err, bytes.Equal(m.data, want), r.Checked)
			}
		})
	}
	all.Wait()
	end()
	<-flooded
	if st, _ := stop(); st.DatagramsRefused == 0 {
		t.Errorf("the server heard no stranger: %+v", st)
	}
}

// strangePackets are some that a stranger at the server's own address sends.
func strangePackets(rng *rand.Rand) (list [][]byte) {
	src := serverAddr.As4()
	frame := make([]byte, wire.DatagramBytesMax)
	wire.PutBlockHeader(frame, uint32(rng.IntN(9)), uint32(rng.IntN(1024)), src)
	wire.PutTrailer(frame, wire.Trailer{Version: wire.Version{Epoch: rng.Uint32()}}, (&wire.Key{1}).Blocks(1, 1))
	return [][]byte{
		frame,
		wire.Block{Chunk: uint32(rng.IntN(9)), Block: 3, Data: []byte{0xee}}.Append(nil, src),
		wire.NewJoin2Reply(rng.Uint32(), 5).Append(nil, wire.Reply, src),
		wire.AppendOffer(wire.NewJoin2Request(rng.Uint32()).Append(nil, wire.Request, src), wire.NewOffer()),
		wire.BlockRequest{Chunk: uint32(rng.IntN(9)), Count: 1024}.Append(nil, src),
		{1, 2, 3}, []byte(fmt.Sprint(rng.Uint64())),
	}
}
