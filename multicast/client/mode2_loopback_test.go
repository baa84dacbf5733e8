package client_test

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"hyzer/multicast/client"
	"hyzer/multicast/internal/sock"
	"hyzer/multicast/internal/sock/socktest"
	"hyzer/multicast/server"
	"hyzer/multicast/wire"
)

// mode2Config is clientConfig for a client of mode 2, which loses parity blocks
// as it loses others.
func mode2Config(tb testing.TB, n int, at netip.AddrPort, loss float64, sink client.Sink) client.Config {
	tb.Helper()
	cfg := clientConfig(tb, n, at, loss, sink)
	cfg.Mode2 = true
	if loss > 0 {
		cfg.OpenParity = func(at netip.AddrPort) (sock.Conn, error) {
			c, _, err := sock.Open(sock.Config{Session: at, Iface: cfg.Iface, Client: true, ShareHost: true})
			if err != nil {
				return nil, err
			}
			return socktest.NewLossy(c, loss, uint64(n)+100), nil
		}
	}
	return cfg
}

// TestLoopbackMode2 loads on real sockets: clients of both modes from one
// session, with losses in both directions.
func TestLoopbackMode2(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		bytes, mode2, legacy int
		loss                 float64
	}{
		"no loss":   {3*wire.ChunkBytes + 5, 3, 0, 0},
		"mode 2":    {5*wire.ChunkBytes + 12345, 6, 0, 0.05},
		"mixed":     {5*wire.ChunkBytes + 12345, 4, 4, 0.05},
		"one short": {100, 1, 1, 0.05},
	} {
		t.Run(name, func(t *testing.T) {
			path, want := imageFile(t, c.bytes)
			at := group(t)
			cfg := serverConfig(t, path, at)
			cfg.Mode2 = true
			stop := serve(t, cfg)
			ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
			defer cancel()
			var all sync.WaitGroup
			for n := range c.mode2 + c.legacy {
				var m memory
				cfg := clientConfig(t, n, at, c.loss, client.RawSink{W: &m})
				if n < c.mode2 {
					cfg = mode2Config(t, n, at, c.loss, client.RawSink{W: &m})
				}
				all.Go(func() {
					if _, err := client.Run(ctx, cfg); err != nil || !bytes.Equal(m.data, want) {
						t.Errorf("client %d: %v, content equal %v", n, err, bytes.Equal(m.data, want))
					}
				})
			}
			all.Wait()
			st, _ := stop()
			if c.loss > 0 && c.bytes > wire.ChunkBytes && st.ParitySent == 0 {
				t.Errorf("server: %+v", st)
			}
		})
	}
}

// TestLoopbackMode2Unicast: mode 2 needs no group.
func TestLoopbackMode2Unicast(t *testing.T) {
	t.Parallel()
	path, want := imageFile(t, 2*wire.ChunkBytes+5)
	port := group(t).Port()
	cfg := serverConfig(t, path, netip.AddrPortFrom(clientAddr(0), port))
	cfg.Mode2 = true
	stop := serve(t, cfg)
	var m memory
	clientCfg := mode2Config(t, 0, netip.AddrPortFrom(serverAddr, port), 0.05, client.RawSink{W: &m})
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	if _, err := client.Run(ctx, clientCfg); err != nil || !bytes.Equal(m.data, want) {
		t.Errorf("error %v, content equal %v", err, bytes.Equal(m.data, want))
	}
	if st, _ := stop(); st.ParitySent > 0 || st.BlocksRepeated == 0 { // it is alone
		t.Errorf("server: %+v", st)
	}
}

// TestLoopbackMode2Restart: a server is killed in mid-load on real sockets. One
// of the same file takes over and the clients go on; one of another file of the
// same size takes over and they stop without a byte of it.
func TestLoopbackMode2Restart(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]error{"same file": nil, "another file": client.ErrImageChanged} {
		t.Run(name, func(t *testing.T) {
			path, data := imageFile(t, 8*wire.ChunkBytes)
			at := group(t)
			cfg := serverConfig(t, path, at)
			cfg.Mode2, cfg.Pace = true, server.Pace{BitsPerSec: 200_000_000}
			stop := serve(t, cfg)
			started := make(chan struct{})
			var once sync.Once
			var chunks atomic.Int64
			ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
			defer cancel()
			var all sync.WaitGroup
			for n := range 3 {
				clientCfg := mode2Config(t, n, at, 0.05, sinkFunc(func(_ context.Context, index int, got []byte) error {
					if !bytes.Equal(got, data[index*wire.ChunkBytes:][:len(got)]) {
						t.Errorf("client %d: chunk %d is of another version", n, index)
					}
					chunks.Add(1)
					once.Do(func() { close(started) })
					return nil
				}))
				all.Go(func() {
					if _, err := client.Run(ctx, clientCfg); !errors.Is(err, want) {
						t.Errorf("client %d: got %v, want %v", n, err, want)
					}
				})
			}
			select {
			case <-started:
			case <-ctx.Done():
				t.Fatal("no client got anything")
			}
			stop()
			if want != nil {
				path = filepath.Join(t.TempDir(), "other")
				if err := os.WriteFile(path, bytes.Repeat([]byte{0xee}, len(data)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			cfg = serverConfig(t, path, at)
			cfg.Mode2 = true
			serve(t, cfg)
			all.Wait()
			if n := chunks.Load(); want == nil && n != 3*8 {
				t.Errorf("%d chunks written, want each once", n)
			}
		})
	}
}
