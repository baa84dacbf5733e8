package tftp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"

	pin "github.com/pin/tftp/v3"

	"hyzer/netsvc/bootfiles"
)

// content is a file no block of which equals another.
func content(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(uint64(n), 7))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// site is a running server over a folder with the given files.
type site struct {
	server *Server
	addr   netip.AddrPort
	root   string
	done   chan Transfer
}

func startSite(tb testing.TB, cfg Config, files map[string][]byte) *site {
	tb.Helper()
	s := &site{root: tb.TempDir(), done: make(chan Transfer, 4096)}
	for name, data := range files {
		path := filepath.Join(s.root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, 0o644)); err != nil {
			tb.Fatal(err)
		}
	}
	dir, err := bootfiles.OpenDir(s.root)
	if err != nil {
		tb.Fatal(err)
	}
	if cfg.Files == nil {
		cfg.Files = dir
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if !cfg.Addr.IsValid() && cfg.Conn == nil {
		cfg.Addr = netip.MustParseAddrPort("127.0.0.1:0")
	}
	if cfg.OnDone == nil {
		cfg.OnDone = func(t Transfer) { s.done <- t }
	}
	s.server = New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- s.server.Run(ctx) }()
	select {
	case <-s.server.Ready():
	case err := <-stopped:
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		cancel()
		if err := <-stopped; err != nil {
			tb.Errorf("Run: %v", err)
		}
		dir.Close()
	})
	s.addr = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), s.server.Addr().Port())
	return s
}

func TestServerGet(t *testing.T) {
	t.Parallel()
	sizes := []int{0, 1, 511, 512, 513, 1432, 1432 * 64, 1432*64 + 1, 300_000}
	files := map[string][]byte{}
	for _, n := range sizes {
		files[fmt.Sprintf("f%d", n)] = content(n)
	}
	s := startSite(t, Config{}, files)
	for _, c := range []Client{
		{}, {NoSize: true}, {BlockBytes: 1432}, {BlockBytes: 1468, Window: 4}, {BlockBytes: 1432, Window: 16, NoSize: true},
		{BlockBytes: 1432, Window: 64}, {BlockBytes: 8192, Window: 65535}, {BlockBytes: 65464, Window: 2}, {Window: 3},
	} {
		c.Server = s.addr
		for name, want := range files {
			var got bytes.Buffer
			n, err := c.Get(t.Context(), name, &got)
			if err != nil || n != int64(len(want)) || !bytes.Equal(got.Bytes(), want) {
				t.Errorf("block %d window %d %s: %d bytes, equal %v, error %v",
					c.BlockBytes, c.Window, name, n, bytes.Equal(got.Bytes(), want), err)
			}
		}
	}
}

func TestServerManyAtOnce(t *testing.T) {
	t.Parallel()
	want := content(200_000)
	s := startSite(t, Config{}, map[string][]byte{"mfs": want})
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			c := Client{Server: s.addr, BlockBytes: 1432, Window: 1 + i%32, Local: loopback(byte(1 + i))}
			var got bytes.Buffer
			if _, err := c.Get(t.Context(), "/tftpboot/mfs", &got); err != nil || !bytes.Equal(got.Bytes(), want) {
				t.Errorf("client %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	for range 200 {
		if d := <-s.done; d.Err != nil || d.Bytes != int64(len(want)) {
			t.Errorf("%v: %d bytes, %v", d.Client, d.Bytes, d.Err)
		}
	}
	if st := s.server.Stats(); st.Transfers != 200 || st.Active != 0 || st.Bytes != int64(200*len(want)) {
		t.Errorf("%+v", st)
	}
}

func loopback(host byte) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 1, host}), 0)
}

func TestPinClient(t *testing.T) {
	t.Parallel()
	want := content(100_001)
	s := startSite(t, Config{}, map[string][]byte{"f": want})
	for _, block := range []int{512, 1432, 9000} {
		c, err := pin.NewClient(s.addr.String())
		if err != nil {
			t.Fatal(err)
		}
		c.SetBlockSize(block)
		c.RequestTSize(true)
		from, err := c.Receive("f", "octet")
		if err != nil {
			t.Fatal(err)
		}
		if size, ok := from.(pin.IncomingTransfer).Size(); !ok || size != int64(len(want)) {
			t.Errorf("tsize %d %v", size, ok)
		}
		var got bytes.Buffer
		if _, err := from.WriteTo(&got); err != nil || !bytes.Equal(got.Bytes(), want) {
			t.Errorf("block %d: %d bytes, %v", block, got.Len(), err)
		}
		if _, err := c.Receive("absent", "octet"); err == nil {
			t.Error("an absent file was received")
		}
		if _, err := c.Send("f", "octet"); err == nil {
			t.Error("a write request was granted")
		}
	}
}

func TestPinServer(t *testing.T) {
	t.Parallel()
	want := content(100_001)
	addr := startPin(t, map[string][]byte{"f": want})
	for _, c := range []Client{{}, {BlockBytes: 1432}, {BlockBytes: 1432, Window: 8}} {
		c.Server = addr
		var got bytes.Buffer
		if _, err := c.Get(t.Context(), "f", &got); err != nil || !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func startPin(tb testing.TB, files map[string][]byte) netip.AddrPort {
	tb.Helper()
	server := pin.NewServer(func(name string, rf io.ReaderFrom) error {
		data, ok := files[name]
		if !ok {
			return os.ErrNotExist
		}
		rf.(pin.OutgoingTransfer).SetSize(int64(len(data)))
		_, err := rf.ReadFrom(bytes.NewReader(data))
		return err
	}, nil)
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		tb.Fatal(err)
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		server.Serve(conn)
	}()
	tb.Cleanup(func() {
		server.Shutdown()
		conn.Close()
		<-stopped
	})
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}
