package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hyzer/multicast/client"
	"hyzer/multicast/internal/sock/socktest"
	"hyzer/multicast/server"
	"hyzer/multicast/wire"
)

// The tests of this file run a site in one process, in virtual time.

var (
	simServer  = netip.MustParseAddr("10.0.0.1")
	simSession = netip.MustParseAddrPort("239.1.2.3:3564")
)

// memImage is an image in memory; broken, if set, is what Check says.
type memImage struct {
	data   []byte
	lock   sync.Mutex
	broken error
}

func (m *memImage) Name() string          { return "memory" }
func (m *memImage) Size() int64           { return int64(len(m.data)) }
func (m *memImage) Close() error          { return nil }
func (m *memImage) Prefetch(int64, int64) {}

func (m *memImage) Check() error {
	m.lock.Lock()
	defer m.lock.Unlock()
	return m.broken
}

func (m *memImage) spoil(err error) {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.broken = err
}

func (m *memImage) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(m.data).ReadAt(p, off)
}

// site is a server and its network.
type site struct {
	t    *testing.T
	net  *socktest.Network
	want []byte
	ctx  context.Context
	all  sync.WaitGroup
}

func newSite(t *testing.T, imageBytes int) *site {
	t.Helper()
	s := &site{t: t, net: socktest.NewNetwork(1), want: make([]byte, imageBytes)}
	rand.NewChaCha8([32]byte{1}).Read(s.want)
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	t.Cleanup(cancel)
	s.ctx = ctx
	return s
}

func (s *site) serverConfig() server.Config {
	return server.Config{
		Image: &memImage{data: s.want}, Address: simSession, Log: quiet, Pace: server.Pace{BitsPerSec: 400_000_000},
		Conn: s.net.Open(simServer, simSession, 0), Gather: -1, // its test is in package server
	}
}

// serve starts a server; the result of its Run is sent once.
func (s *site) serve(ctx context.Context, cfg server.Config) (*server.Server, <-chan error) {
	s.t.Helper()
	srv, err := server.Open(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	result := make(chan error, 1)
	go func() { result <- srv.Run(ctx) }()
	return srv, result
}

func (s *site) clientConfig(n int, loss float64, sink client.Sink) client.Config {
	addr := netip.AddrFrom4([4]byte{10, 0, byte(n>>8) + 1, byte(n)})
	return client.Config{
		Address: simSession, Server: simServer, Raw: true, Sink: sink, Log: quiet,
		Conn: s.net.Open(addr, simSession, loss), Rand: rand.New(rand.NewPCG(uint64(n), 7)),
	}
}

// load starts a client and checks its content when it is done; wait for all.
func (s *site) load(n int, loss float64, then func(client.Result)) {
	var m memory
	cfg := s.clientConfig(n, loss, client.RawSink{W: &m})
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

// TestSiteQuietAbort: a client whose power is cut says nothing, one that is
// stopped says that it leaves.
func TestSiteQuietAbort(t *testing.T) {
	t.Parallel()
	for _, quietly := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, 4<<20)
			ctx, stop := context.WithCancel(s.ctx)
			srv, result := s.serve(ctx, s.serverConfig())
			load, cut := context.WithCancel(s.ctx)
			cfg := s.clientConfig(1, 0, client.RawSink{W: &memory{}})
			cfg.QuietAbort = quietly
			s.all.Go(func() {
				if _, err := client.Run(load, cfg); !errors.Is(err, context.Canceled) {
					t.Errorf("client: %v", err)
				}
			})
			time.Sleep(20 * time.Millisecond) // virtual
			cut()
			s.all.Wait()
			synctest.Wait()
			if left := srv.Stats().Leaves; left != 0 == quietly {
				t.Errorf("quietly %v: the server heard %d leave", quietly, left)
			}
			stop()
			<-result
		})
	}
}

func TestSiteLoss(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		clients int
		loss    float64
		// Bounds on the blocks sent per block of the image, and on the time
		// over that of the blocks sent at the full rate.
		sentMax, timeMax float64
		chunks           int
	}{
		{1, 0, 1.001, 1.1, 12},
		{1, 0.01, 1.02, 1.15, 12},
		{1, 0.05, 1.08, 1.15, 12},
		{4, 0, 1.01, 1.2, 8},
		{4, 0.01, 1.08, 1.2, 8},
		{16, 0.01, 1.20, 1.3, 6},
	} {
		t.Run(fmt.Sprintf("%d clients, loss %v", c.clients, c.loss), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, c.chunks<<20)
				ctx, cancel := context.WithCancel(s.ctx)
				srv, result := s.serve(ctx, s.serverConfig())
				start := time.Now()
				// A client whose JOIN is lost comes late, which is another test.
				s.net.LossFrom = start.Add(5 * time.Millisecond)
				for n := range c.clients {
					s.load(n, c.loss, nil)
				}
				s.all.Wait()
				took := time.Since(start) - 20*time.Millisecond // for the LEAVEs
				cancel()
				if err := <-result; !errors.Is(err, context.Canceled) {
					t.Errorf("server: %v", err)
				}
				st := srv.Stats()
				blocks := float64(len(s.want) / wire.BlockBytes)
				sent := float64(st.BlocksSent) / blocks
				ideal := float64(st.BlocksSent) * server.WireBitsPerBlock / 400e6
				if over := took.Seconds() / ideal; sent > c.sentMax || over > c.timeMax {
					t.Errorf("sent %.3f blocks per block (want %.3f), in %v, %.3f of the time these take (want %.3f)",
						sent, c.sentMax, took, over, c.timeMax)
				}
			})
		})
	}
}
