package client_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"hyzer/multicast/client"
	"hyzer/multicast/internal/sock"
	"hyzer/multicast/internal/sock/socktest"
	"hyzer/multicast/server"
	"hyzer/multicast/wire"
)

// testTimeout bounds every wait of the tests on real sockets.
const testTimeout = 2 * time.Minute

var (
	serverAddr = netip.MustParseAddr("127.0.0.1")
	quiet      = slog.New(slog.NewTextHandler(io.Discard, nil))
)

// group returns a session address of its own for a test: the port is free now,
// and the last octets come from it.
func group(tb testing.TB) netip.AddrPort {
	tb.Helper()
	c, addr, err := sock.Open(sock.Config{Session: netip.MustParseAddrPort("239.192.11.1:0"), Iface: serverAddr})
	if err != nil {
		tb.Fatal(err)
	}
	c.Close()
	p := addr.Port()
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{239, 195, byte(p >> 8), byte(p)}), p)
}

// imageFile writes n repeatable random bytes and returns path and content.
func imageFile(tb testing.TB, n int) (string, []byte) {
	tb.Helper()
	data := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n)}).Read(data)
	path := filepath.Join(tb.TempDir(), "image")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		tb.Fatal(err)
	}
	return path, data
}

// memory is a file in memory.
type memory struct {
	lock sync.Mutex
	data []byte
}

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	m.lock.Lock()
	defer m.lock.Unlock()
	if need := int(off) + len(p); need > len(m.data) {
		m.data = append(m.data, make([]byte, need-len(m.data))...)
	}
	return copy(m.data[off:], p), nil
}

func (m *memory) bytes() int {
	m.lock.Lock()
	defer m.lock.Unlock()
	return len(m.data)
}

func serverConfig(tb testing.TB, path string, at netip.AddrPort) server.Config {
	tb.Helper()
	image, err := server.OpenFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return server.Config{
		Image: image, Address: at, Iface: serverAddr, ShareHost: true, Log: quiet,
		Pace: server.Pace{BitsPerSec: 400_000_000},
	}
}

// serve runs a server until the test is over or stop is called, which returns
// what Run said and the statistics.
func serve(tb testing.TB, cfg server.Config) (stop func() (server.Stats, error)) {
	tb.Helper()
	s, err := server.Open(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- s.Run(ctx) }()
	var once sync.Once
	stop = func() (st server.Stats, err error) {
		once.Do(func() { cancel(); err = <-result })
		return s.Stats(), err
	}
	tb.Cleanup(func() { stop() })
	return stop
}

func clientAddr(n int) netip.Addr { return netip.AddrFrom4([4]byte{127, 7, byte(n >> 8), byte(n) + 1}) }

// clientConfig is client n of a session, losing packets at the given rate.
func clientConfig(tb testing.TB, n int, at netip.AddrPort, loss float64, sink client.Sink) client.Config {
	tb.Helper()
	cfg := client.Config{
		Address: at, Server: serverAddr, Iface: clientAddr(n), ShareHost: true, Raw: true, Sink: sink,
		Log: quiet, Rand: rand.New(rand.NewPCG(uint64(n), 1)), JoinTimeout: testTimeout, IdleTimeout: testTimeout,
	}
	if loss > 0 {
		c, _, err := sock.Open(sock.Config{Session: at, Iface: cfg.Iface, Client: true, ShareHost: true})
		if err != nil {
			tb.Fatal(err)
		}
		cfg.Conn = socktest.NewLossy(c, loss, uint64(n))
	}
	return cfg
}

// load runs clients, one per config and sink, and checks what they wrote.
func load(tb testing.TB, want []byte, at netip.AddrPort, clients int, loss float64) []client.Result {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	results := make([]client.Result, clients)
	var all sync.WaitGroup
	for n := range clients {
		var m memory
		cfg := clientConfig(tb, n, at, loss, client.RawSink{W: &m})
		all.Go(func() {
			r, err := client.Run(ctx, cfg)
			results[n] = r
			if err != nil {
				tb.Errorf("client %d: %v", n, err)
			} else if !bytes.Equal(m.data, want) {
				tb.Errorf("client %d: content differs: %x, want %x", n, sha256.Sum256(m.data), sha256.Sum256(want))
			}
		})
	}
	all.Wait()
	return results
}

func TestLoopback(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		clients int
		bytes   int
		loss    float64
	}{
		{1, 1, 0},
		{1, wire.ChunkBytes, 0},
		{1, 1536 << 10, 0}, // the C client loses the last kilobyte of this one
		{1, 5*wire.ChunkBytes + 700, 0.01},
		{8, 4*wire.ChunkBytes + 12345, 0},
		{8, 4*wire.ChunkBytes + 12345, 0.02},
	} {
		t.Run(fmt.Sprintf("%dx%d loss %v", c.clients, c.bytes, c.loss), func(t *testing.T) {
			path, want := imageFile(t, c.bytes)
			at := group(t)
			cfg := serverConfig(t, path, at)
			left := make(chan struct{}, c.clients)
			cfg.OnEvent = func(e server.Event) {
				if e.Kind == server.ClientLeft {
					left <- struct{}{}
				}
			}
			stop := serve(t, cfg)
			for _, r := range load(t, want, at, c.clients, c.loss) {
				if r.FileBytes != int64(c.bytes) || r.Server != serverAddr {
					t.Errorf("result %+v", r)
				}
			}
			if c.loss == 0 { // every client's word that it left arrives
				for range c.clients {
					select {
					case <-left:
					case <-time.After(testTimeout):
						t.Fatalf("server did not hear of %d clients leaving: %+v", c.clients, func() any { st, _ := stop(); return st }())
					}
				}
			}
			if st, err := stop(); !errors.Is(err, context.Canceled) {
				t.Errorf("server: %v, %+v", err, st)
			}
		})
	}
}

// TestLoopbackTwoImages loads two images at once, as one node with two disks
// of different images does, and as two groups of nodes do.
func TestLoopbackTwoImages(t *testing.T) {
	t.Parallel()
	var both sync.WaitGroup
	for _, bytes := range []int{3*wire.ChunkBytes + 1, 2 * wire.ChunkBytes} {
		path, want := imageFile(t, bytes)
		at := group(t)
		serve(t, serverConfig(t, path, at))
		both.Go(func() { load(t, want, at, 3, 0.01) })
	}
	both.Wait()
}

// TestLoopbackUnicastAndBroadcast loads by the other two methods.
func TestLoopbackUnicastAndBroadcast(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ serverTo, clientTo netip.Addr }{
		"unicast":   {clientAddr(0), serverAddr},
		"broadcast": {netip.MustParseAddr("127.255.255.255"), netip.MustParseAddr("127.255.255.255")},
	} {
		t.Run(name, func(t *testing.T) {
			path, want := imageFile(t, wire.ChunkBytes+5)
			port := group(t).Port()
			cfg := serverConfig(t, path, netip.AddrPortFrom(c.serverTo, port))
			cfg.Broadcast = name == "broadcast"
			stop := serve(t, cfg)
			var m memory
			clientCfg := clientConfig(t, 0, netip.AddrPortFrom(c.clientTo, port), 0, client.RawSink{W: &m})
			clientCfg.Broadcast = cfg.Broadcast
			ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
			defer cancel()
			if _, err := client.Run(ctx, clientCfg); err != nil || !bytes.Equal(m.data, want) {
				t.Errorf("error %v, content equal %v", err, bytes.Equal(m.data, want))
			}
			// A broadcast comes back to its sender, who must not answer himself:
			// the C server's storm is of tens of thousands. A busy machine
			// makes a client join or ask some times.
			if st, _ := stop(); st.Joins > 1000 || st.DatagramsOut > 10*uint64(wire.ChunkBlocks) {
				t.Errorf("server: %+v", st)
			}
		})
	}
}

// TestLoopbackImageTruncated: the session ends with a clear error, and no
// client gets bytes of two versions.
func TestLoopbackImageTruncated(t *testing.T) {
	t.Parallel()
	bitsPerSec := int64(100_000_000)
	for !truncated(t, bitsPerSec) { // all was sent before the cut
		if bitsPerSec /= 4; bitsPerSec < 100_000 {
			t.Fatal("the server sent all of an image that was cut")
		}
	}
}

// truncated cuts an image when its first chunk is on the disk, and tells
// whether the server still had to read it then.
func truncated(t *testing.T, bitsPerSec int64) bool {
	path, want := imageFile(t, 8*wire.ChunkBytes)
	at := group(t)
	cfg := serverConfig(t, path, at)
	cfg.Pace = server.Pace{BitsPerSec: bitsPerSec}
	s, err := server.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- s.Run(ctx) }()
	var once sync.Once
	sink := sinkFunc(func(_ context.Context, index int, data []byte) error {
		if !bytes.Equal(data, want[index*wire.ChunkBytes:][:len(data)]) {
			t.Errorf("chunk %d is of another version", index)
		}
		once.Do(func() {
			if err := os.WriteFile(path, bytes.Repeat([]byte{1}, 6*wire.ChunkBytes), 0o600); err != nil {
				t.Error(err)
			}
		})
		return nil
	})
	loaded := make(chan error, 1)
	go func() {
		_, err := client.Run(ctx, clientConfig(t, 0, at, 0, sink))
		loaded <- err
	}()
	select {
	case err := <-loaded:
		cancel()
		<-result
		if err != nil {
			t.Errorf("client: %v", err)
		}
		return err != nil
	case err := <-result:
		if !errors.Is(err, server.ErrImageChanged) {
			t.Errorf("server: %v", err)
		}
	}
	cancel() // the client would wait for the server as long as it may (TestSiteClientErrors)
	if err := <-loaded; err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("client: %v", err)
	}
	return true
}
