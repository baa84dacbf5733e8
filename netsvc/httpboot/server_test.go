package httpboot

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hyzer/netsvc/bootfiles"
)

type site struct {
	server *Server
	url    string
	root   string
	done   chan Transfer
	stop   func()
}

func startSite(tb testing.TB, cfg Config, files map[string]string) *site {
	tb.Helper()
	s := &site{root: tb.TempDir(), done: make(chan Transfer, 4096)}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(s.root, name), []byte(text), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	dir, err := bootfiles.OpenDir(s.root)
	if err != nil {
		tb.Fatal(err)
	}
	cfg.Files, cfg.Addr = dir, netip.MustParseAddrPort("127.0.0.1:0")
	cfg.Log = slog.New(slog.DiscardHandler)
	if cfg.OnDone == nil {
		cfg.OnDone = func(t Transfer) { s.done <- t }
	}
	s.server = New(cfg)
	s.server.grace = 10 * time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- s.server.Run(ctx) }()
	select {
	case <-s.server.Ready():
	case err := <-stopped:
		tb.Fatal(err)
	}
	s.url = "http://" + s.server.Addr().String() + "/"
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-stopped; err != nil {
			tb.Errorf("Run: %v", err)
		}
		dir.Close()
	})
	tb.Cleanup(s.stop)
	return s
}

// client keeps its connections to itself, so that tests do not share them.
func client(tb testing.TB) *http.Client {
	transport := &http.Transport{}
	tb.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestRequests(t *testing.T) {
	t.Parallel()
	s := startSite(t, Config{}, map[string]string{
		"ipxe.efi": "0123456789", "boot.iso": "iso", "disk.IMG": "img", "vmlinuz": "<html>", "empty": "",
	})
	c := client(t)
	for _, x := range []struct {
		method, path, ranges string
		status               int
		length               int64
		kind, body           string
	}{
		{"HEAD", "ipxe.efi", "", 200, 10, "application/efi", ""},
		{"GET", "ipxe.efi", "", 200, 10, "application/efi", "0123456789"},
		{"GET", "tftpboot/ipxe.efi", "", 200, 10, "application/efi", "0123456789"},
		{"GET", "ipxe.efi", "bytes=2-4", 206, 3, "application/efi", "234"},
		{"GET", "ipxe.efi", "bytes=-3", 206, 3, "application/efi", "789"},
		{"GET", "ipxe.efi", "bytes=20-", 416, -2, "text/plain; charset=utf-8", ""},
		{"GET", "boot.iso", "", 200, 3, "application/vnd.efi-iso", "iso"},
		{"GET", "disk.IMG", "", 200, 3, "application/vnd.efi-img", "img"},
		{"GET", "vmlinuz", "", 200, 6, "application/octet-stream", "<html>"},
		{"HEAD", "empty", "", 200, 0, "application/octet-stream", ""},
		{"GET", "absent", "", 404, -2, "text/plain; charset=utf-8", "Not Found\n"},
		{"GET", "", "", 403, -2, "text/plain; charset=utf-8", "Forbidden\n"},
		{"GET", "%2e%2e/secret", "", 403, -2, "text/plain; charset=utf-8", "Forbidden\n"},
		{"GET", "a%00b", "", 403, -2, "text/plain; charset=utf-8", "Forbidden\n"},
		{"GET", "a%5cb", "", 403, -2, "text/plain; charset=utf-8", "Forbidden\n"},
		{"POST", "ipxe.efi", "", 405, -2, "text/plain; charset=utf-8", "Method Not Allowed\n"},
		{"DELETE", "ipxe.efi", "", 405, -2, "text/plain; charset=utf-8", "Method Not Allowed\n"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), x.method, s.url+x.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if x.ranges != "" {
			r.Header.Set("Range", x.ranges)
		}
		got, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(got.Body)
		got.Body.Close()
		name := x.method + " " + x.path + " " + x.ranges
		if err != nil || got.StatusCode != x.status || got.Header.Get("Content-Type") != x.kind {
			t.Errorf("%s: %d %q %v, want %d %q", name, got.StatusCode, got.Header.Get("Content-Type"), err, x.status, x.kind)
		}
		if x.length >= 0 && got.ContentLength != x.length {
			t.Errorf("%s: Content-Length %d, want %d", name, got.ContentLength, x.length)
		}
		if x.status != 416 && string(body) != x.body || strings.Contains(string(body), s.root) {
			t.Errorf("%s: body %q, want %q", name, body, x.body)
		}
		if d := <-s.done; d.Status != x.status || d.Method != x.method {
			t.Errorf("%s: reported %+v", name, d)
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	want := strings.Repeat("0123456789abcdef", 20_000)
	s := startSite(t, Config{ConnectionsPerClientMax: 200}, map[string]string{"mfs": want})
	c := client(t)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			got, err := c.Get(s.url + "mfs")
			if err != nil {
				t.Error(err)
				return
			}
			defer got.Body.Close()
			if body, err := io.ReadAll(got.Body); err != nil || string(body) != want {
				t.Errorf("%d bytes, %v", len(body), err)
			}
		})
	}
	wg.Wait()
	for range 100 {
		<-s.done
	}
	s.stop()
	if st := s.server.Stats(); st.Requests != 100 || st.Failures != 0 || st.Bytes != int64(100*len(want)) || st.Active != 0 {
		t.Errorf("%+v", st)
	}
}

// TestFileShrinks: the body breaks off, it does not end.
func TestFileShrinks(t *testing.T) {
	t.Parallel()
	s := startSite(t, Config{}, map[string]string{"f": strings.Repeat("x", 64<<20)})
	got, err := client(t).Get(s.url + "f") // more than the socket buffers hold
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	if err := os.Truncate(filepath.Join(s.root, "f"), 1); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, got.Body); err == nil {
		t.Errorf("%d of %d bytes came without an error", n, got.ContentLength)
	}
	if d := <-s.done; d.Err == nil || d.Bytes >= d.Size {
		t.Errorf("%+v", d)
	}
}

func TestConnectionLimit(t *testing.T) {
	t.Parallel()
	s := startSite(t, Config{ConnectionsPerClientMax: 2}, map[string]string{"f": "x"})
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", s.server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	ask := func(conn net.Conn) error {
		fmt.Fprintf(conn, "GET /f HTTP/1.1\r\nHost: a\r\n\r\n")
		_, err := http.ReadResponse(bufio.NewReader(conn), nil)
		return err
	}
	first, second := dial(), dial()
	for _, conn := range []net.Conn{first, second} {
		if err := ask(conn); err != nil {
			t.Error(err)
		}
	}
	if err := ask(dial()); err == nil {
		t.Error("a third connection was served")
	}
	if err := ask(first); err != nil {
		t.Errorf("those inside suffer: %v", err)
	}
	if st := s.server.Stats(); st.Dropped != 1 || st.Active != 2 {
		t.Errorf("%+v", st)
	}
}

func TestHeaderLimit(t *testing.T) {
	t.Parallel()
	s := startSite(t, Config{}, nil)
	r, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"f", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Long", strings.Repeat("x", 4*headerBytesMax))
	got, err := client(t).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	got.Body.Close()
	if got.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d", got.StatusCode)
	}
}

// TestShutdown: Run returns although a client does not read its body.
func TestShutdown(t *testing.T) {
	t.Parallel()
	s := startSite(t, Config{}, map[string]string{"f": strings.Repeat("x", 64<<20)})
	got, err := client(t).Get(s.url + "f")
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	s.stop()
	if d := <-s.done; d.Err == nil {
		t.Errorf("%+v", d)
	}
}

func BenchmarkGet(b *testing.B) {
	want := bytes.Repeat([]byte{'x'}, 14<<20) // a kernel
	s := startSite(b, Config{OnDone: func(Transfer) {}}, map[string]string{"vmlinuz": string(want)})
	c := client(b)
	b.ReportAllocs()
	b.SetBytes(int64(len(want)))
	for b.Loop() {
		got, err := c.Get(s.url + "vmlinuz")
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, got.Body); err != nil || n != int64(len(want)) {
			b.Fatalf("%d bytes, %v", n, err)
		}
		got.Body.Close()
	}
}
