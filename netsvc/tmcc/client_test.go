package tmcc

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hyzer/bench/shared"
	"hyzer/bench/tools"
	"hyzer/netsvc/tmcd"
	"hyzer/storage/registry"
)

// sink records one request and answers "SINK", like the one that the golden
// captures were made with.
func sink(tb testing.TB, network string) (port uint16, got func() []byte) {
	tb.Helper()
	received := make(chan []byte, 1)
	if network == "udp" {
		conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { conn.Close() })
		go func() {
			buf := make([]byte, 64<<10)
			n, peer, err := conn.ReadFromUDP(buf)
			if err == nil {
				received <- buf[:n]
				_, _ = conn.WriteTo([]byte("SINK\n"), peer)
			}
		}()
		return conn.LocalAddr().(*net.UDPAddr).AddrPort().Port(), func() []byte { return <-received }
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		all, _ := io.ReadAll(conn)
		received <- all
		_, _ = io.WriteString(conn, "SINK\n")
	}()
	return l.Addr().(*net.TCPAddr).AddrPort().Port(), func() []byte { return <-received }
}

// capturedRequest is what the real client sent in a golden capture.
func capturedRequest(tb testing.TB, name string) []byte {
	tb.Helper()
	data := shared.ReadFile(tb, "vectors/tmcd/pcap/"+name+".pcap")
	var request []byte
	for at := 24; at+16 <= len(data); {
		size := int(binary.LittleEndian.Uint32(data[at+8:]))
		packet := data[at+16+14 : at+16+size] // past the Ethernet header
		at += 16 + size
		header := int(packet[0]&15) * 4
		total := int(binary.BigEndian.Uint16(packet[2:]))
		payload := packet[header+8 : total]
		if packet[9] == 6 {
			payload = packet[header+int(packet[header+12]>>4)*4 : total]
		}
		if toServer := binary.BigEndian.Uint16(packet[header+2:]) == 17777; toServer {
			request = append(request, payload...)
		}
	}
	return request
}

// TestRequestsAreThoseOfC compares bytes with golden captures.
func TestRequestsAreThoseOfC(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	if err := os.WriteFile(key, []byte("0123456789abcdef0123456789abcdef\nmore\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(dir, "log")
	if err := os.WriteFile(log, bytes.TrimPrefix(capturedRequest(t, "tcp-bootlog-5k"), []byte("VERSION=44 bootlog ")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		capture string
		args    []string
	}{
		{"tcp-status", []string{"-i", "status"}},
		{"tcp-key", []string{"-i", "-k", key, "nodeid"}},
		{"tcp-idkey", []string{"-i", "IDKEY=abc123", "status"}},
		{"tcp-booterrno-neg", []string{"-i", "booterrno", "--", "-1"}},
		{"tcp-multiword", []string{"-i", "state", "A B", "c"}},
		{"tcp-vnode-args", []string{"-i", "-n", "pcvm6-1", "portregister", "web", "80"}},
		{"tcp-bootlog-5k", []string{"-i", "-f", log, "bootlog"}},
		{"udp-status", []string{"-u", "status"}},
		{"udp-isalive-v30", []string{"-uv30", "isalive"}},
	} {
		t.Run(tc.capture, func(t *testing.T) {
			t.Parallel()
			port, got := sink(t, tc.capture[:3])
			var stdout, stderr bytes.Buffer
			args := append([]string{"--legacy", "-s", "127.0.0.1", "-p", strconv.Itoa(int(port))}, tc.args...)
			n := node{root: dir, env: func(string) string { return "" }}
			if status := n.main(context.Background(), args, &stdout, &stderr); status != 0 || stdout.String() != "SINK\n" {
				t.Errorf("exit %d, stdout %q, stderr %q", status, &stdout, &stderr)
			}
			if request, want := got(), capturedRequest(t, tc.capture); !bytes.Equal(request, want) {
				t.Errorf("sent %.200q\nwant %.200q", request, want)
			}
		})
	}
}

// TestProxyForwardsAsC compares a forwarded datagram with the golden one.
func TestProxyForwardsAsC(t *testing.T) {
	t.Parallel()
	p := &proxy{vnode: "pcvm6-1"}
	for _, tc := range []struct {
		text, want string
		udp        bool
	}{
		{"VERSION=44 isalive ", "PROXYFOR=pcvm6-1 VERSION=44 isalive  ", false},
		{"USEUDP=1 VERSION=44 isalive ", "PROXYFOR=pcvm6-1 VERSION=44 isalive  ", true},
		{"VNODEID=other PRIVKEY=0123456789abcdef VERSION=44 status ", "PROXYFOR=pcvm6-1 VERSION=44 status  ", false},
	} {
		got, udp := p.rewrite([]byte(tc.text))
		if string(got) != tc.want || udp != tc.udp {
			t.Errorf("%q: %q udp %v, want %q", tc.text, got, udp, tc.want)
		}
	}
	if want := capturedRequest(t, "proxy-inet-udp"); string(want) != "PROXYFOR=pcvm6-1 VERSION=44 isalive  " {
		t.Errorf("capture holds %q", want)
	}
}

// TestExitStatus runs the command line's errors.
func TestExitStatus(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ args, message string }{
		{"", "usage"},
		{"-s 127.0.0.1 a b c d e f", "usage"},
		{"-s 127.0.0.1 -q status", "invalid option -- 'q'"},
		{"-s 127.0.0.1 -v x status", "want a number"},
		{"-s 127.0.0.1 -u -f " + empty + " bootlog", "exclude"},
		{"-s 127.0.0.1 -f " + empty + " bootlog", "is empty"},
		{"-s 127.0.0.1 -f " + empty + "x bootlog", "no such file"},
		{"-s 127.0.0.1 -k " + empty + "x status", "key file"},
		{"-l /nonexistent status", "no such file"},
		{"status", "no server"},
	} {
		var stdout, stderr bytes.Buffer
		n := node{root: t.TempDir(), env: func(string) string { return "" }}
		status := n.main(context.Background(), strings.Fields(tc.args), &stdout, &stderr)
		if status != 255 || !strings.Contains(stderr.String(), tc.message) {
			t.Errorf("tmcc %s: exit %d, %q, want %q", tc.args, status, &stderr, tc.message)
		}
	}
}

// TestServerIsFound looks in every place in order.
func TestServerIsFound(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write := func(path, text string) {
		if err := os.MkdirAll(filepath.Dir(root+path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(root+path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("/etc/resolv.conf", "search x\nnameserver 192.0.2.9\n")
	env := map[string]string{}
	n := node{root: root, env: func(key string) string { return env[key] }}
	expect := func(o options, want string, port uint16) {
		t.Helper()
		if got, p, err := n.server(&o); err != nil || got != want || p != port {
			t.Errorf("server %q port %d, %v, want %q port %d", got, p, err, want, port)
		}
	}
	write("/usr/local/etc/emulab/bossnode", "late\n")
	expect(options{}, "late", 0)
	write("/etc/emulab/bossnode", "boss.example.org:8777\n")
	expect(options{}, "boss.example.org", 8777)
	env["BOSSNAME"] = "other:99"
	expect(options{}, "other", 99)
	expect(options{server: "given"}, "given", 0)
	expect(options{server: "given", port: 5}, "given", 5)
}

// sinkEffects keeps boot logs.
type sinkEffects struct {
	tmcd.Effects
	mu     sync.Mutex
	log    string
	states []string
}

func (s *sinkEffects) BootLog(_ context.Context, _ string, text io.Reader) error {
	all, err := io.ReadAll(text)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = string(all)
	return err
}

// startServer runs a real server with one node at 127.0.1.1.
func startServer(tb testing.TB) (port uint16, effects *sinkEffects) {
	tb.Helper()
	return startServerWith(tb, func(*tmcd.Config, *registry.SiteFile) {})
}

func startServerWith(tb testing.TB, change func(*tmcd.Config, *registry.SiteFile)) (port uint16, effects *sinkEffects) {
	tb.Helper()
	site := &registry.SiteFile{
		Types: []registry.NodeType{{Name: "t", Class: "pc"}},
		Nodes: []registry.Node{{ID: "n1", Type: "t", Interfaces: []registry.Interface{
			{Name: "eth0", Role: registry.InterfaceControl, IP: netip.MustParseAddr("127.0.1.1")}}}},
	}
	effects = &sinkEffects{}
	var snapshot *registry.Snapshot
	config := tmcd.Config{
		Addrs:    []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")},
		Snapshot: func() *registry.Snapshot { return snapshot }, Effects: effects, Log: slog.New(slog.DiscardHandler),
	}
	change(&config, site)
	snapshot = registry.NewSnapshot(site)
	server, err := tmcd.New(config)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Error(err)
		}
	})
	return server.Addrs()[0].Port(), effects
}

// TestAgainstServer runs the command against the real server.
func TestAgainstServer(t *testing.T) {
	t.Parallel()
	port, effects := startServer(t)
	env := map[string]string{"BOSSNAME": "127.0.0.1:" + strconv.Itoa(int(port)), "HYZER_BIND": "127.0.1.1"}
	n := node{root: t.TempDir(), env: func(key string) string { return env[key] }}
	run := func(args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if status := n.main(context.Background(), args, &stdout, &stderr); status != 0 {
			t.Errorf("tmcc %v: exit %d: %s", args, status, &stderr)
		}
		return stdout.String()
	}
	if got := run("status"); got != "FREE\n" {
		t.Errorf("status: %q", got)
	}
	if got := run("-u", "-t", "5", "nodeid"); got != "n1\n" {
		t.Errorf("nodeid over UDP: %q", got)
	}
	if got := run("bossinfo"); got != "127.0.0.1 127.0.0.1\n" {
		t.Errorf("bossinfo: %q", got)
	}
	log := strings.Repeat("a line of a boot log\n", 10000)
	file := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(file, []byte(log), 0o644); err != nil {
		t.Fatal(err)
	}
	run("-t", "5", "-f", file, "bootlog")
	effects.mu.Lock()
	defer effects.mu.Unlock()
	if effects.log != log {
		t.Errorf("boot log of %d bytes came as %d", len(log), len(effects.log))
	}
}

// TestLegacyServerGetsHeadAndTail: a server that takes 32767 bytes and resets
// is asked again with less.
func TestLegacyServerGetsHeadAndTail(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	requests := make(chan []byte, 2)
	go func() {
		for range 2 {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, legacyBytesMax)
			n, _ := io.ReadFull(conn, buf)
			requests <- buf[:n]
			conn.Close() // with unread bytes: a reset
		}
	}()
	port := l.Addr().(*net.TCPAddr).AddrPort().Port()
	data := []byte("FIRST" + strings.Repeat(".", 8<<20) + "LAST")
	c := Client{Server: "127.0.0.1", Ports: []uint16{port}, Once: true}
	if err := c.Do(context.Background(), Request{Words: []string{"bootlog"}, Data: data}, io.Discard); err != nil {
		t.Fatal(err)
	}
	<-requests
	got := <-requests
	if !bytes.HasPrefix(got, []byte("VERSION=44 bootlog FIRST")) || !bytes.HasSuffix(got, []byte("LAST")) {
		t.Errorf("sent %.40q ... %.40q", got, got[len(got)-40:])
	}
	note := []byte(" bytes cut]\n")
	if len(got) > legacyBytesMax || !bytes.Contains(got, note) {
		t.Errorf("sent %d bytes, note %v", len(got), bytes.Contains(got, note))
	}
}

// TestShortened: what is cut is what the note says.
func TestShortened(t *testing.T) {
	t.Parallel()
	data := make([]byte, 100000)
	for i := range data {
		data[i] = 'a' + byte(i%26)
	}
	r := Request{Words: []string{"bootlog"}, Data: data}
	short, ok := r.Shortened()
	if !ok {
		t.Fatal("fits")
	}
	text := short[len(r.head()):]
	head, rest, _ := bytes.Cut(text, []byte("\n["))
	number, tail, _ := bytes.Cut(rest, []byte(" bytes cut]\n"))
	cut, err := strconv.Atoi(string(number))
	if err != nil || len(head)+cut+len(tail) != len(data) || !bytes.HasPrefix(data, head) || !bytes.HasSuffix(data, tail) {
		t.Errorf("head %d, cut %d, tail %d of %d: %v", len(head), cut, len(tail), len(data), err)
	}
	r.Data = data[:legacyBytesMax-len(r.head())]
	if _, ok := r.Shortened(); ok {
		t.Error("a request that fits was shortened")
	}
}

// TestRedirect follows a reply to another server, with a new name.
func TestRedirect(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).AddrPort().Port()
	requests := make(chan string, redirectsMax+1)
	serve := func(reply string) {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		all, _ := io.ReadAll(conn)
		requests <- string(all)
		_, _ = io.WriteString(conn, reply)
	}
	go func() {
		serve("REDIRECT=127.0.0.1:vm7\n")
		serve("here\n")
	}()
	c := Client{Server: "localhost", Ports: []uint16{port}, Once: true}
	var out bytes.Buffer
	if err := c.Do(context.Background(), Request{Words: []string{"nodeid"}}, &out); err != nil || out.String() != "here\n" {
		t.Fatalf("%q, %v", &out, err)
	}
	if first, second := <-requests, <-requests; first != "VERSION=44 nodeid " || second != "VNODEID=vm7 VERSION=44 nodeid " {
		t.Errorf("asked %q, then %q", first, second)
	}
	go func() {
		for range redirectsMax + 1 {
			serve("REDIRECT=127.0.0.1\n")
		}
	}()
	if err := c.Do(context.Background(), Request{Words: []string{"nodeid"}}, &out); !errors.Is(err, errRedirectLoop) {
		t.Errorf("%v, want a refused loop", err)
	}
}

// TestTimeout: a server that says nothing ends the call with C's message.
func TestTimeout(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := Client{Server: "127.0.0.1", Ports: []uint16{l.Addr().(*net.TCPAddr).AddrPort().Port()}, Timeout: 20 * time.Millisecond}
	if err := c.Do(context.Background(), Request{Words: []string{"status"}}, io.Discard); !errors.Is(err, ErrTimeout) {
		t.Errorf("%v, want %v", err, ErrTimeout)
	}
}

// TestRetriesForEver: without -t the client waits for its server.
func TestRetriesForEver(t *testing.T) {
	t.Parallel()
	c := Client{Server: "127.0.0.1", Ports: []uint16{tools.Ports(t, 1)}, Once: true} // where nobody listens
	if err := c.Do(context.Background(), Request{Words: []string{"status"}}, io.Discard); err == nil || !worthRetrying(err) {
		t.Errorf("%v, want a refused connection", err)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		start := time.Now()
		time.AfterFunc(25*time.Second, cancel)
		if err := sleep(ctx, retryPause); err != nil || time.Since(start) != retryPause {
			t.Errorf("first pause: %v after %v", err, time.Since(start))
		}
		_ = sleep(ctx, time.Hour)
		if time.Since(start) != 25*time.Second {
			t.Errorf("a cancelled pause went on to %v", time.Since(start))
		}
	})
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
