package client_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
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
