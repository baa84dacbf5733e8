package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hyzer/multicast/client"
	"hyzer/multicast/server"
	"hyzer/multicast/wire"
)

// TestBroadcastUnsaid: a broadcast address without the option is an error at
// once, at the client and at the server, as it was for the C programs; nothing
// could ever be sent.
func TestBroadcastUnsaid(t *testing.T) {
	t.Parallel()
	at := netip.AddrPortFrom(netip.MustParseAddr("127.255.255.255"), group(t).Port())
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	cfg := clientConfig(t, 0, at, 0, client.RawSink{W: &memory{}})
	if _, err := client.Run(ctx, cfg); !errors.Is(err, unix.EACCES) {
		t.Errorf("client: %v", err)
	}

	path, _ := imageFile(t, wire.BlockBytes)
	s, err := server.Open(serverConfig(t, path, at))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	cfg.Address = netip.AddrPortFrom(serverAddr, at.Port()) // whence the JOIN comes
	loading, stop := context.WithCancel(ctx)
	loaded := make(chan error, 1)
	go func() { _, err := client.Run(loading, cfg); loaded <- err }()
	if err := <-ended; !errors.Is(err, unix.EACCES) {
		t.Errorf("server: %v", err)
	}
	stop()
	if err := <-loaded; !errors.Is(err, context.Canceled) {
		t.Errorf("client of that server: %v", err)
	}
}

// TestMainNoMaster: that nobody answers where the master server should be has
// the exit status of what it refuses, for -F and for -Q.
func TestMainNoMaster(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	for _, args := range [][]string{{"-F", "a", filepath.Join(t.TempDir(), "out")}, {"-Q", "a"}} {
		status, out, errs := frisbee(append([]string{"-S", "127.0.0.1", "-p", port}, args...)...)
		if status != 255 || out != "" || !strings.Contains(errs, "no answer from the master server") || !strings.Contains(errs, "connection refused") {
			t.Errorf("%s: status %d, %q, %q", args[0], status, out, errs)
		}
	}
}

// stopsAt is a Sink that ends the load when it gets its first chunk.
type stopsAt struct{ stop func() }

func (s stopsAt) Chunk(context.Context, int, []byte) error { s.stop(); return nil }

// TestLoopbackSameID: a client whose power was cut comes back with the id that
// it had, as those do whose random numbers begin alike, and loads the whole;
// then the server is without clients.
func TestLoopbackSameID(t *testing.T) {
	t.Parallel()
	for name, mode2 := range map[string]bool{"old": false, "mode 2": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, want := imageFile(t, 6*wire.ChunkBytes+77)
			at := group(t)
			served := serverConfig(t, path, at)
			served.Linger, served.Mode2 = server.LingerLastClient, mode2
			srv, err := server.Open(served)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- srv.Run(ctx) }()

			cut, stop := context.WithCancel(ctx)
			first := clientConfig(t, 0, at, 0, stopsAt{stop})
			first.QuietAbort, first.Mode2 = true, mode2
			before, err := client.Run(cut, first)
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			var m memory
			again := clientConfig(t, 0, at, 0, client.RawSink{W: &m})
			again.Mode2 = mode2
			after, err := client.Run(ctx, again)
			if err != nil || !bytes.Equal(m.data, want) || after.ID != before.ID {
				t.Errorf("client %d, then %d: %v, content equal %v", before.ID, after.ID, err, bytes.Equal(m.data, want))
			}
			if err := <-ended; err != nil {
				t.Errorf("server: %v", err)
			}
		})
	}
}

// TestMainInterrupted: a load that waits for its server ends at a signal, and
// says that this was why.
func TestMainInterrupted(t *testing.T) {
	at := group(t)
	out := filepath.Join(t.TempDir(), "out")
	type result struct {
		status int
		errs   string
	}
	ended := make(chan result, 1)
	go func() {
		status, _, errs := frisbee("-N", "-m", at.Addr().String(), "-p", fmt.Sprint(at.Port()), "-i", "127.0.0.1", out)
		ended <- result{status, errs}
	}()
	for t.Context().Err() == nil { // signals are caught from before that file is there
		if _, err := os.Stat(out); err == nil {
			break
		}
	}
	if err := unix.Kill(os.Getpid(), unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if r := <-ended; r.status != 1 || !strings.Contains(r.errs, "frisbee: terminated") {
		t.Errorf("status %d: %s", r.status, r.errs)
	}
}
