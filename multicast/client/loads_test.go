package client_test

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hyzer/multicast/client"
	"hyzer/multicast/internal/sock"
	"hyzer/multicast/server"
	"hyzer/multicast/wire"
)

// The loads of this file have a key, a manifest and losses, and something that
// goes wrong, in virtual time.

// safeServer is a server with key and manifest.
func (s *site) safeServer(t *testing.T, parityPort uint16) server.Config {
	t.Helper()
	cfg := s.mode2Server(parityPort)
	cfg.Key, cfg.Manifest = siteKey(), signedManifest(t, s.want, nil)
	return cfg
}

// safeLoad is a load by client n that must come to want, into m.
func (s *site) safeLoad(n int, m *memory, want error, change func(*client.Config)) {
	cfg := s.mode2Client(n, unlessRacing(0.02, 0), 0.02, client.RawSink{W: m})
	cfg.Key = siteKey()
	if change != nil {
		change(&cfg)
	}
	s.all.Go(func() {
		r, err := client.Run(s.ctx, cfg)
		if !errors.Is(err, want) || !r.Checked || want == nil && !bytes.Equal(m.data, s.want) {
			s.t.Errorf("client %d: error %v, want %v; checked %v, content equal %v", n, err, want, r.Checked, bytes.Equal(m.data, s.want))
		}
	})
}

// TestSiteLateAmongOthers: a client comes when the others have nine tenths. It takes
// what passes and asks for the rest; the others are done as if it were not
// there, and what they have is sent once more, not oftener.
func TestSiteLateAmongOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const chunks = 20
		s := newSite(t, chunks<<20)
		srv, result := s.serve(s.ctx, func() server.Config {
			cfg := s.safeServer(t, 4001)
			cfg.Linger = server.LingerLastClient
			return cfg
		}())
		s.net.LossFrom = time.Now().Add(5 * time.Millisecond)
		var late sync.Once
		start := time.Now()
		var early atomic.Int64 // nanoseconds from start until the last of the others had all
		for n := range 4 {
			s.safeLoad(n, &memory{}, nil, func(cfg *client.Config) {
				cfg.ProgressEvery = 5 * time.Millisecond
				cfg.OnProgress = func(p client.Progress) {
					if p.ChunksReceived == chunks {
						early.Store(int64(time.Since(start)))
					}
					if p.ChunksReceived >= chunks*9/10 {
						late.Do(func() { s.safeLoad(9, &memory{}, nil, nil) })
					}
				}
			})
		}
		s.all.Wait()
		took, first := time.Since(start), time.Duration(early.Load())
		if err := <-result; err != nil {
			t.Errorf("server: %v", err)
		}
		st := srv.Stats()
		sent := float64(st.BlocksSent+st.ParitySent) / (chunks * wire.ChunkBlocks)
		if sent > 2.1 || took > 5*first/2 || st.Joins != 5 {
			t.Errorf("%.3f datagrams per block; the early ones took %v, all %v; %+v", sent, first, took, st)
		}
	})
}

// TestSiteSlowDiskAmongOthers: one of four disks is slower than the session may be. It is
// not sent everything twice, and the others do not fail.
func TestSiteSlowDiskAmongOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const chunks = 24
		s := newSite(t, chunks<<20)
		ctx, stop := context.WithCancel(s.ctx)
		srv, result := s.serve(ctx, s.safeServer(t, 4001))
		for n := range 4 {
			var m memory
			s.safeLoad(n, &m, nil, func(cfg *client.Config) {
				cfg.Buffers = 8
				if n == 0 {
					to := cfg.Sink
					cfg.Sink = sinkFunc(func(ctx context.Context, index int, data []byte) error {
						time.Sleep(60 * time.Millisecond) // virtual: 17 MB/s of 50
						return to.Chunk(ctx, index, data)
					})
				}
			})
		}
		s.all.Wait()
		stop()
		<-result
		st := srv.Stats()
		if sent := float64(st.BlocksSent+st.ParitySent) / (chunks * wire.ChunkBlocks); sent > 1.5 {
			t.Errorf("%.3f datagrams per block; %+v", sent, st)
		}
	})
}

// TestSiteReplaced: an image is written over in mid-load. Its session ends, and
// one of the new version takes its address, with the same key. No client writes
// a byte of the new version; one that begins again gets all of it.
func TestSiteReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 12<<20)
		old := s.want
		cfg := s.safeServer(t, 4001)
		image := cfg.Image.(*memImage)
		_, result := s.serve(s.ctx, cfg)
		var disks [3]memory
		for n := range disks {
			s.safeLoad(n, &disks[n], client.ErrImageChanged, nil)
		}
		for disks[0].bytes() == 0 {
			time.Sleep(time.Millisecond) // virtual: until some of the load is written
		}
		image.spoil(server.ErrImageChanged)
		if err := <-result; !errors.Is(err, server.ErrImageChanged) {
			t.Errorf("first server: %v", err)
		}
		s.want = bytes.Repeat([]byte{0xee}, len(old))
		cfg = s.safeServer(t, 4002)
		cfg.ImageID = 78
		ctx, stop := context.WithCancel(s.ctx)
		_, result = s.serve(ctx, cfg)
		s.all.Wait()
		written := 0
		for n := range disks {
			for at, b := range disks[n].data {
				if b != 0 && b != old[at] {
					t.Fatalf("client %d: byte %d is of another version", n, at)
				}
			}
			written += len(disks[n].data)
		}
		if written == 0 {
			t.Error("the image was replaced before anything was written")
		}
		s.safeLoad(0, &memory{}, nil, nil)
		s.all.Wait()
		stop()
		<-result
	})
}

// TestSiteTwoImages: two images are sent at once, each with its key, and some
// nodes load both.
func TestSiteTwoImages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := newSite(t, 6<<20+5), newSite(t, 9<<20)
		two.net, two.want = one.net, bytes.Repeat([]byte{3, 1, 4, 1, 5}, 9<<20/5+1)[:9<<20]
		at := netip.MustParseAddrPort("239.1.2.4:3565")
		parityAt := netip.AddrPortFrom(at.Addr(), 4002)
		ctx, stop := context.WithCancel(one.ctx)
		_, first := one.serve(ctx, one.safeServer(t, 4001))
		cfg := two.safeServer(t, 4002)
		cfg.Address, cfg.Key, cfg.ImageID = at, &wire.Key{2}, 78
		cfg.Conn, cfg.ParityConn = two.net.Open(simServer, at, 0), two.net.Open(simServer, parityAt, 0)
		_, second := two.serve(ctx, cfg)
		for n := range 6 {
			if n < 4 {
				one.safeLoad(n, &memory{}, nil, nil)
			}
			if n >= 2 {
				two.safeLoad(n, &memory{}, nil, func(cfg *client.Config) {
					self := cfg.Conn.Local().Addr()
					cfg.Address, cfg.Key, cfg.Conn = at, &wire.Key{2}, two.net.Open(self, at, 0.02)
					cfg.OpenParity = func(at netip.AddrPort) (sock.Conn, error) { return two.net.Open(self, at, 0.02), nil }
				})
			}
		}
		one.all.Wait()
		two.all.Wait()
		stop()
		<-first
		<-second
	})
}
