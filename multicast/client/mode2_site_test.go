package client_test

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"hyzer/multicast/client"
	"hyzer/multicast/internal/sock"
	"hyzer/multicast/server"
	"hyzer/multicast/wire"
)

// mode2Server is a server of mode 2 whose parity port is given. All servers of
// a site send the same version of the image, unless a test says otherwise.
func (s *site) mode2Server(parityPort uint16) server.Config {
	cfg := s.serverConfig()
	cfg.Mode2, cfg.ImageID = true, 77
	at := netip.AddrPortFrom(simSession.Addr(), parityPort)
	cfg.ParityConn = s.net.Open(simServer, at, 0)
	return cfg
}

// mode2Client is a client of mode 2 that loses parity blocks at a rate of
// their own.
func (s *site) mode2Client(n int, loss, parityLoss float64, sink client.Sink) client.Config {
	cfg := s.clientConfig(n, loss, sink)
	cfg.Mode2 = true
	self := cfg.Conn.Local().Addr()
	cfg.OpenParity = func(at netip.AddrPort) (sock.Conn, error) { return s.net.Open(self, at, parityLoss), nil }
	return cfg
}

// loadMode2 is load for a client of mode 2.
func (s *site) loadMode2(n int, loss, parityLoss float64, then func(client.Result)) {
	var m memory
	cfg := s.mode2Client(n, loss, parityLoss, client.RawSink{W: &m})
	s.all.Go(func() {
		r, err := client.Run(s.ctx, cfg)
		if err != nil || !bytes.Equal(m.data, s.want) {
			s.t.Errorf("client %d: error %v, content equal %v", n, err, bytes.Equal(m.data, s.want))
		}
		if then != nil {
			then(r)
		}
	})
}

// TestSiteMode2 runs the real shells of all kinds of sites.
func TestSiteMode2(t *testing.T) {
	// Not parallel to the tests on real sockets: those have real deadlines.
	for name, c := range map[string]struct {
		bytes            int
		mode2, legacy    int
		loss, parityLoss float64
		serverOff        bool
		sentMax          float64
		parity           bool // some must have been sent
	}{
		"no loss":                      {bytes: 8 << 20, mode2: 4, sentMax: 1.001},
		"one client":                   {bytes: 8<<20 + 5, mode2: 1, loss: 0.05, parityLoss: 0.05, sentMax: 1.08},
		"many":                         {bytes: 4<<20 + 700, mode2: 16, loss: 0.05, parityLoss: 0.05, sentMax: 1.12, parity: true},
		"mixed":                        {bytes: 3 << 20, mode2: 8, legacy: 8, loss: 0.05, parityLoss: 0.05, sentMax: 1.5, parity: true},
		"server is old":                {bytes: 4 << 20, mode2: 4, loss: 0.05, parityLoss: 0.05, serverOff: true, sentMax: 1.4},
		"clients are old":              {bytes: 4 << 20, legacy: 4, loss: 0.05, sentMax: 1.4},
		"parity port is blocked":       {bytes: 4 << 20, mode2: 4, loss: 0.02, parityLoss: 1, sentMax: 1.4},
		"smaller than a chunk":         {bytes: 300<<10 + 1, mode2: 3, loss: 0.05, parityLoss: 0.05, sentMax: 1.3, parity: true},
		"one block":                    {bytes: 1, mode2: 3, loss: 0.05, parityLoss: 0.05, sentMax: 4},
		"more than half of it is lost": {bytes: 2 << 20, mode2: 2, loss: 0.6, parityLoss: 0.6, sentMax: 9},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, c.bytes)
				ctx, cancel := context.WithCancel(s.ctx)
				cfg := s.mode2Server(4001)
				cfg.Mode2 = !c.serverOff
				srv, result := s.serve(ctx, cfg)
				s.net.LossFrom = time.Now().Add(5 * time.Millisecond)
				for n := range c.mode2 {
					s.loadMode2(n, c.loss, c.parityLoss, nil)
				}
				for n := range c.legacy {
					s.load(c.mode2+n, c.loss, nil)
				}
				s.all.Wait()
				cancel()
				<-result
				st := srv.Stats()
				sent := float64(st.BlocksSent+st.ParitySent) / float64((c.bytes+wire.BlockBytes-1)/wire.BlockBytes)
				t.Logf("%.3f sent per block, %d parity, %d NAKs", sent, st.ParitySent, st.Naks)
				if sent > c.sentMax || c.parity != (st.ParitySent > 0) && c.bytes > 1 && c.loss < 0.5 {
					t.Errorf("sent %.3f blocks per block, want at most %.3f; %+v", sent, c.sentMax, st)
				}
			})
		})
	}
}

// TestSiteMode2Restart kills the server in mid-load. Another takes over, with
// another parity port: of the same image, of another with the same size, or
// one that does not say of which.
func TestSiteMode2Restart(t *testing.T) {
	// Not parallel to the tests on real sockets: those have real deadlines.
	for name, c := range map[string]struct {
		away    time.Duration
		imageID uint64
		off     bool
		want    error
	}{
		"at once":                 {imageID: 77},
		"a second later":          {imageID: 77, away: time.Second},
		"a minute later":          {imageID: 77, away: time.Minute},
		"another image":           {imageID: 78, want: client.ErrImageChanged},
		"another image, later":    {imageID: 78, away: 20 * time.Second, want: client.ErrImageChanged},
		"a server without mode 2": {off: true, want: client.ErrImageChanged},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, 6<<20+77)
				ctx, kill := context.WithCancel(s.ctx)
				_, result := s.serve(ctx, s.mode2Server(4001))
				for n := range 4 {
					sink := sinkFunc(func(_ context.Context, index int, data []byte) error {
						if !bytes.Equal(data, s.want[index<<20:][:len(data)]) {
							t.Errorf("client %d: chunk %d has bytes of another version", n, index)
						}
						return nil
					})
					cfg := s.mode2Client(n, 0.02, 0.02, sink)
					s.all.Go(func() {
						if _, err := client.Run(s.ctx, cfg); !errors.Is(err, c.want) {
							t.Errorf("client %d: got %v, want %v", n, err, c.want)
						}
					})
				}
				time.Sleep(60 * time.Millisecond) // virtual: a third of the load
				kill()
				<-result
				time.Sleep(c.away)
				cfg := s.mode2Server(4002)
				cfg.ImageID, cfg.Mode2 = c.imageID, !c.off
				if c.want != nil {
					cfg.Image = &memImage{data: bytes.Repeat([]byte{0xee}, len(s.want))}
				}
				ctx, kill = context.WithCancel(s.ctx)
				srv, result := s.serve(ctx, cfg)
				s.all.Wait()
				kill()
				<-result
				if st := srv.Stats(); c.want == nil && (st.BlocksSent == 0 || st.BlocksSent >= 6<<10) {
					t.Errorf("second server sent %d blocks, want the rest of the image only", st.BlocksSent)
				}
			})
		})
	}
}

// TestSiteMode2Forged: blocks and parity blocks that claim to be the server's,
// but are of another version, damaged, or bare, are not used.
func TestSiteMode2Forged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 4<<20)
		ctx, cancel := context.WithCancel(s.ctx)
		srv, result := s.serve(ctx, s.mode2Server(4001))
		parityAt := netip.AddrPortFrom(simSession.Addr(), 4001)
		done := make(chan struct{})
		s.all.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(500 * time.Microsecond):
				}
				for c := range uint32(4) {
					for _, v := range []wire.Version{{ImageID: 78, Epoch: 1}, {ImageID: 0, Epoch: 0}} {
						block, parity := make([]byte, wire.DatagramBytesMax), make([]byte, wire.DatagramBytesMax)
						wire.PutBlockHeader(block, c, 1, simServer.As4())
						wire.PutParityHeader(parity, c, 1, simServer.As4())
						wire.PutTrailer(block, wire.Trailer{Version: v}, nil)
						wire.PutTrailer(parity, wire.Trailer{Version: v}, nil)
						s.net.Inject(netip.AddrPortFrom(simServer, simSession.Port()), simSession, block)
						s.net.Inject(netip.AddrPortFrom(simServer, 4001), parityAt, parity)
						s.net.Inject(netip.AddrPortFrom(simServer, 4001), parityAt, wire.Nak{Version: v, Chunk: c, Need: 256}.Append(nil, simServer.As4()))
					}
					bare := wire.Block{Chunk: c, Block: 2, Data: []byte{0xee}}.Append(nil, simServer.As4())
					s.net.Inject(netip.AddrPortFrom(simServer, simSession.Port()), simSession, bare)
				}
			}
		})
		var m memory
		if _, err := client.Run(s.ctx, s.mode2Client(0, 0.01, 0.01, client.RawSink{W: &m})); err != nil || !bytes.Equal(m.data, s.want) {
			t.Errorf("error %v, content equal %v", err, bytes.Equal(m.data, s.want))
		}
		close(done)
		s.all.Wait()
		cancel()
		<-result
		if st := srv.Stats(); st.BlocksSent+st.ParitySent > 4<<10*110/100 || st.DatagramsRefused == 0 {
			t.Errorf("the server worked for forged NAKs: %+v", st)
		}
	})
}
