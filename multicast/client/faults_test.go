package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hyzer/multicast/client"
	"hyzer/multicast/server"
	"hyzer/multicast/wire"
)

// TestSiteRestart kills the server in mid-load and starts another at the same
// address some time later.
func TestSiteRestart(t *testing.T) {
	t.Parallel()
	for _, away := range []time.Duration{0, time.Second, time.Minute} {
		t.Run(away.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, 6<<20+77)
				ctx, kill := context.WithCancel(s.ctx)
				_, result := s.serve(ctx, s.serverConfig())
				for n := range 4 {
					s.load(n, 0.01, nil)
				}
				time.Sleep(50 * time.Millisecond) // virtual: a third of the load
				kill()
				<-result
				time.Sleep(away)
				cfg := s.serverConfig()
				cfg.Linger = server.LingerLastClient
				srv, result := s.serve(s.ctx, cfg)
				s.all.Wait()
				if err := <-result; err != nil {
					t.Errorf("second server: %v", err)
				}
				if n := srv.Stats().BlocksSent; n == 0 || n >= 6<<10 {
					t.Errorf("second server sent %d blocks, want the rest of the image only", n)
				}
			})
		})
	}
}

// TestSiteLateJoin: a client that joins when the others have nearly all gets
// what still passes and asks for the rest.
func TestSiteLateJoin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const chunks = 10
		s := newSite(t, chunks<<20)
		var late atomic.Bool
		var m memory
		cfg := s.clientConfig(0, 0, sinkFunc(func(ctx context.Context, index int, data []byte) error {
			if index == chunks*9/10 && late.CompareAndSwap(false, true) {
				s.load(1, 0.01, nil)
			}
			return client.RawSink{W: &m}.Chunk(ctx, index, data)
		}))
		cfg.InOrder = true
		serverCfg := s.serverConfig()
		serverCfg.Linger = server.LingerLastClient
		srv, result := s.serve(s.ctx, serverCfg)
		if _, err := client.Run(s.ctx, cfg); err != nil || !bytes.Equal(m.data, s.want) {
			t.Errorf("first client: %v", err)
		}
		s.all.Wait()
		if err := <-result; err != nil || !late.Load() {
			t.Errorf("server: %v, late client started: %v", err, late.Load())
		}
		if n := srv.Stats().BlocksSent; n > chunks*1024*2*102/100 {
			t.Errorf("%d blocks for two passes of %d and the late client's losses", n, chunks*1024)
		}
	})
}

type sinkFunc func(ctx context.Context, index int, data []byte) error

func (f sinkFunc) Chunk(ctx context.Context, index int, data []byte) error {
	return f(ctx, index, data)
}

// TestSiteSlowSink: a disk a hundred times slower than the network costs
// neither memory nor blocks sent over and over.
func TestSiteSlowSink(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 30<<20)
		ctx, cancel := context.WithCancel(s.ctx)
		srv, result := s.serve(ctx, s.serverConfig())
		var m memory
		cfg := s.clientConfig(0, 0, sinkFunc(func(ctx context.Context, index int, data []byte) error {
			time.Sleep(2 * time.Second)
			return client.RawSink{W: &m}.Chunk(ctx, index, data)
		}))
		cfg.Buffers = 4
		start := time.Now()
		r, err := client.Run(s.ctx, cfg)
		if err != nil || !bytes.Equal(m.data, s.want) {
			t.Errorf("%v", err)
		}
		cancel()
		<-result
		if took := time.Since(start); took > 63*time.Second {
			t.Errorf("took %v, the sink alone takes a minute", took)
		}
		if n := srv.Stats().BlocksSent; n != 30<<10 || r.Stats.NoFreeChunks != 0 {
			t.Errorf("sent %d blocks of %d, %d dropped", n, 30<<10, r.Stats.NoFreeChunks)
		}
	})
}

// TestSiteForgedPackets floods the session with packets that claim to be
// others': the load is not harmed, and the server does not work for them.
func TestSiteForgedPackets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 8<<20)
		ctx, cancel := context.WithCancel(s.ctx)
		srv, result := s.serve(ctx, s.serverConfig())
		forger := netip.AddrPortFrom(netip.MustParseAddr("10.0.9.9"), simSession.Port())
		as := func(a netip.Addr) [4]byte { return a.As4() }
		poison := bytes.Repeat([]byte{0xee}, wire.BlockBytes)
		node := netip.MustParseAddr("10.0.1.0")
		flood := func() {
			for c := range uint32(8) {
				// As the server, in the header only; as itself; from a wrong port.
				s.net.Inject(forger, simSession, wire.Block{Chunk: c, Data: poison}.Append(nil, as(simServer)))
				s.net.Inject(forger, simSession, wire.Block{Chunk: c, Data: poison}.Append(nil, as(forger.Addr())))
				s.net.Inject(netip.AddrPortFrom(simServer, 99), simSession, wire.Block{Chunk: c, Data: poison}.Append(nil, as(simServer)))
			}
			s.net.Inject(forger, simSession, wire.NewJoin2Reply(0, 5).Append(nil, wire.Reply, as(forger.Addr())))
			s.net.Inject(forger, simSession, wire.Join{Value: 5}.Append(nil, wire.Reply, as(simServer)))
			s.net.Inject(forger, simSession, wire.Leave{ClientID: 1}.Append(nil, as(node)))
			s.net.Inject(forger, simSession, wire.BlockRequest{Chunk: 1, Count: 1024}.Append(nil, as(node)))
			s.net.Inject(forger, simSession, wire.BlockRequest{Chunk: 1 << 31, Count: 1}.Append(nil, as(forger.Addr())))
			s.net.Inject(forger, simSession, []byte("GET / HTTP/1.1\r\n\r\n"))
		}
		done := make(chan struct{})
		s.all.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(time.Millisecond):
					flood()
				}
			}
		})
		var m memory
		if _, err := client.Run(s.ctx, s.clientConfig(0, 0, client.RawSink{W: &m})); err != nil || !bytes.Equal(m.data, s.want) {
			t.Errorf("error %v, content equal %v", err, bytes.Equal(m.data, s.want))
		}
		close(done)
		s.all.Wait()
		cancel()
		<-result
		if st := srv.Stats(); st.BlocksSent != 8<<10 || st.ClientsMost != 1 || st.DatagramsRefused == 0 {
			t.Errorf("the server worked for forged packets: %+v", st)
		}
	})
}

// TestSiteClientErrors: every way a load can fail has its own clear error.
func TestSiteClientErrors(t *testing.T) {
	t.Parallel()
	errDisk := errors.New("disk is full")
	for name, c := range map[string]struct {
		want error
		run  func(s *site) error
	}{
		"nobody answers": {client.ErrNoServer, func(s *site) error {
			cfg := s.clientConfig(0, 0, client.RawSink{W: &memory{}})
			cfg.JoinTimeout = 10 * time.Second
			_, err := client.Run(s.ctx, cfg)
			return err
		}},
		"cancelled while joining": {context.DeadlineExceeded, func(s *site) error {
			ctx, cancel := context.WithTimeout(s.ctx, time.Second)
			defer cancel()
			_, err := client.Run(ctx, s.clientConfig(0, 0, client.RawSink{W: &memory{}}))
			return err
		}},
		"server goes away": {client.ErrServerSilent, func(s *site) error {
			ctx, kill := context.WithTimeout(s.ctx, 100*time.Millisecond)
			defer kill()
			_, result := s.serve(ctx, s.serverConfig())
			_, err := client.Run(s.ctx, s.clientConfig(0, 0, client.RawSink{W: &memory{}}))
			<-result
			return err
		}},
		"another image comes back": {client.ErrImageChanged, func(s *site) error {
			ctx, kill := context.WithTimeout(s.ctx, 100*time.Millisecond)
			defer kill()
			_, first := s.serve(ctx, s.serverConfig())
			failed := make(chan error)
			go func() {
				_, err := client.Run(s.ctx, s.clientConfig(0, 0, client.RawSink{W: &memory{}}))
				failed <- err
			}()
			<-first
			time.Sleep(3 * time.Second)
			ctx2, kill2 := context.WithCancel(s.ctx)
			cfg := s.serverConfig()
			cfg.Image = &memImage{data: make([]byte, 100)}
			_, second := s.serve(ctx2, cfg)
			err := <-failed
			kill2()
			<-second
			return err
		}},
		"sink fails": {errDisk, func(s *site) error {
			ctx, kill := context.WithCancel(s.ctx)
			_, result := s.serve(ctx, s.serverConfig())
			_, err := client.Run(s.ctx, s.clientConfig(0, 0, sinkFunc(func(context.Context, int, []byte) error { return errDisk })))
			kill()
			<-result
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, 12<<20)
				if err := c.run(s); !errors.Is(err, c.want) {
					t.Errorf("got %v, want %v", err, c.want)
				}
			})
		})
	}
}

// TestSiteBadChunk: a chunk that the sink finds damaged is fetched again.
func TestSiteBadChunk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 5<<20)
		cfg := s.serverConfig()
		cfg.Linger = server.LingerLastClient
		srv, result := s.serve(s.ctx, cfg)
		var m memory
		refused := false
		_, err := client.Run(s.ctx, s.clientConfig(0, 0, sinkFunc(func(ctx context.Context, index int, data []byte) error {
			if index == 2 && !refused {
				refused = true
				return fmt.Errorf("signature: %w", client.ErrBadChunk)
			}
			return client.RawSink{W: &m}.Chunk(ctx, index, data)
		})))
		if err != nil || !bytes.Equal(m.data, s.want) {
			t.Errorf("%v", err)
		}
		if err := <-result; err != nil || srv.Stats().BlocksSent != 6<<10 {
			t.Errorf("server: %v, %d blocks sent", err, srv.Stats().BlocksSent)
		}
	})
}

// TestSiteServerEnds covers how a session ends, or does not.
func TestSiteServerEnds(t *testing.T) {
	t.Parallel()
	changed := fmt.Errorf("%w: truncated", server.ErrImageChanged)
	for name, c := range map[string]struct {
		linger time.Duration
		spoil  bool
		want   error
		// When the session ends after its client did.
		after, before time.Duration
	}{
		"last client left":   {linger: server.LingerLastClient, after: 1900 * time.Millisecond, before: 3 * time.Second},
		"idle":               {linger: 10 * time.Second, after: 9 * time.Second, before: 11 * time.Second},
		"image is truncated": {spoil: true, want: server.ErrImageChanged, before: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, 24<<20) // more than a server reads ahead
				cfg := s.serverConfig()
				cfg.Linger = c.linger
				_, result := s.serve(s.ctx, cfg)
				clientCfg := s.clientConfig(0, 0, sinkFunc(func(context.Context, int, []byte) error {
					if c.spoil {
						cfg.Image.(*memImage).spoil(changed)
					}
					return nil
				}))
				clientCfg.IdleTimeout = time.Second / 2
				_, err := client.Run(s.ctx, clientCfg)
				if (err != nil) != c.spoil {
					t.Errorf("client: %v", err)
				}
				start := time.Now()
				if err := <-result; !errors.Is(err, c.want) {
					t.Errorf("got %v, want %v", err, c.want)
				}
				if d := time.Since(start); d < c.after || d > c.before {
					t.Errorf("ended %v after the client, want %v to %v", d, c.after, c.before)
				}
			})
		})
	}
}

// TestSiteJoinDuringGrace: who joins after the last client left, and before the
// session ended, is served. The C server ends all the same.
func TestSiteJoinDuringGrace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 3<<20)
		cfg := s.serverConfig()
		cfg.Linger = server.LingerLastClient
		_, result := s.serve(s.ctx, cfg)
		s.load(0, 0, nil)
		s.all.Wait()
		time.Sleep(1900 * time.Millisecond)
		s.load(1, 0, nil)
		s.all.Wait()
		if err := <-result; err != nil {
			t.Errorf("server: %v", err)
		}
	})
}

// TestSiteHeartbeat: clients report as often as they are asked to.
func TestSiteHeartbeat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 20<<20)
		cfg := s.serverConfig()
		cfg.HeartbeatSeconds = 2
		cfg.Linger = server.LingerLastClient
		cfg.Pace.BitsPerSec = 10_000_000 // some 19 seconds
		var last wire.Progress
		cfg.OnEvent = func(e server.Event) {
			if e.Kind == server.ClientReport {
				last = *e.Report
			}
		}
		srv, result := s.serve(s.ctx, cfg)
		clientCfg := s.clientConfig(0, 0, client.RawSink{W: &memory{}})
		clientCfg.Heartbeat = true
		if _, err := client.Run(s.ctx, clientCfg); err != nil {
			t.Error(err)
		}
		if err := <-result; err != nil {
			t.Error(err)
		}
		if n := srv.Stats().Reports; n < 7 || n > 11 || last.Summary.ChunksIn < 15 || uint64(last.Seq) != n {
			t.Errorf("%d reports in 19 s, the last %+v", n, last)
		}
	})
}
