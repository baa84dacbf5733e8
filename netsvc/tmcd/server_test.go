package tmcd

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/storage/kv"
	"hyzer/storage/registry"
)

// reportOf is an Expect of what has Report only.
func reportOf(to interface {
	Report(ctx context.Context, node, source string, states ...string) error
}, node, source string) recordAnswer {
	return func(ctx context.Context, _ kv.Revision, reached ...string) (*registry.NodeState, error) {
		return nil, to.Report(ctx, node, source, reached...)
	}
}

// loopSite is a site whose nodes have loopback addresses, small enough to be
// written here.
func loopSite() *registry.SiteFile {
	return &registry.SiteFile{
		Site:     &registry.Site{Domain: "example.org", BossName: "boss", BossIP: netip.MustParseAddr("127.0.0.1")},
		Projects: []registry.Project{{ID: "p"}},
		Types:    []registry.NodeType{{Name: "t", Class: "pc"}},
		Nodes: []registry.Node{
			{ID: "n1", Type: "t", Interfaces: []registry.Interface{{Name: "eth0", Role: registry.InterfaceControl, IP: netip.MustParseAddr("127.0.1.1")}}},
			{ID: "n2", Type: "t", Interfaces: []registry.Interface{{Name: "eth0", Role: registry.InterfaceControl, IP: netip.MustParseAddr("127.0.1.2")}}},
		},
		Experiments:  []registry.Experiment{{Project: "p", ID: "e", Creator: "c", Swapper: "s"}},
		Reservations: []registry.Reservation{{Node: "n1", Experiment: "p/e", VName: "a"}},
	}
}

// recording is an Effects that remembers, or fails.
type recording struct {
	Effects // those that no test here uses
	mu      sync.Mutex
	err     error
	did     []string
	logs    map[string]string
}

func (r *recording) note(s string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.did = append(r.did, s)
	}
	return r.err
}

func (r *recording) Report(_ context.Context, node, source string, states ...string) error {
	return r.note(node + " " + source + " " + strings.Join(states, ","))
}
func (r *recording) Expect(node, source string) recordAnswer {
	return reportOf(r, node, source)
}
func (r *recording) Reset(_ context.Context, node string) error { return r.note(node + " reset") }
func (r *recording) BootErrno(_ context.Context, node string, errno int) error {
	return r.note(node + " errno")
}
func (r *recording) BootLog(_ context.Context, node string, text io.Reader) error {
	all, err := io.ReadAll(text)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.logs[node] = string(all)
	return r.err
}
func (r *recording) StartStatus(_ context.Context, node string, status int) error {
	return r.note(node + " startstatus")
}
func (r *recording) Ready(_ context.Context, node string) error { return r.note(node + " ready") }
func (r *recording) Alive(_ context.Context, node string) error { return r.note(node + " alive") }
func (r *recording) AccountsFetched(_ context.Context, node string) error {
	return r.note(node + " accounts")
}

// fail makes all effects fail from now on; nil ends that.
func (r *recording) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

func (r *recording) taken() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	did := r.did
	r.did = nil
	return did
}

func (r *recording) log(node string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.logs[node]
}

// startServer runs a server on a loopback port until the test ends.
func startServer(tb testing.TB, change func(*Config)) (*Server, *recording) {
	tb.Helper()
	effects := &recording{logs: map[string]string{}}
	snapshot := registry.NewSnapshot(loopSite())
	cfg := Config{
		Addrs:    []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")},
		Snapshot: func() *registry.Snapshot { return snapshot },
		Effects:  effects,
		Log:      slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&cfg)
	}
	server, err := New(cfg)
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
	return server, effects
}

// dial connects from a node's address.
func dial(tb testing.TB, s *Server, from string) *net.TCPConn {
	tb.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.Dial("tcp", s.Addrs()[0].String())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	return conn.(*net.TCPConn)
}

// ask sends the parts of a request one by one and returns the reply.
func ask(tb testing.TB, conn *net.TCPConn, halfClose bool, parts ...string) (string, error) {
	tb.Helper()
	for _, part := range parts {
		if _, err := io.WriteString(conn, part); err != nil {
			return "", err
		}
		waitUntilSent(tb, conn)
	}
	if halfClose {
		if err := conn.CloseWrite(); err != nil {
			return "", err
		}
	}
	reply, err := io.ReadAll(conn)
	return string(reply), err
}

// waitUntilSent returns when the peer's kernel has acknowledged everything, so
// that what is written next goes in a segment of its own.
func waitUntilSent(tb testing.TB, conn *net.TCPConn) {
	tb.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		tb.Fatal(err)
	}
	for unsent := 1; unsent > 0; {
		_ = raw.Control(func(fd uintptr) {
			if unsent, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); err != nil {
				unsent = 0
			}
		})
	}
}

// TestRequestsOfAllKinds asks over real sockets.
func TestRequestsOfAllKinds(t *testing.T) {
	t.Parallel()
	s, effects := startServer(t, nil)
	for _, tc := range []struct {
		name, from, request, reply, effect string
		open                               bool // no half-close
	}{
		{name: "allocated", from: "127.0.1.1", request: "VERSION=44 status ", reply: "ALLOCATED=p/e NICKNAME=a\n"},
		{name: "free", from: "127.0.1.2", request: "VERSION=44 status ", reply: "FREE\n"},
		{name: "unknown", from: "127.0.1.3", request: "VERSION=44 status "},
		{name: "old version, open", from: "127.0.1.1", request: "VERSION=21 nodeid ", reply: "n1\n", open: true},
		{name: "no version, newline", from: "127.0.1.1", request: "nodeid\n", reply: "n1\n", open: true},
		{name: "trailing NUL", from: "127.0.1.1", request: "VERSION=2 nodeid\x00", reply: "n1\n", open: true},
		{name: "state", from: "127.0.1.1", request: "VERSION=44 state ISUP ", effect: "n1 tmcd ISUP"},
		{name: "redirect", from: "127.0.0.1", request: "REDIRECT=127.0.1.2 VERSION=44 nodeid ", reply: "n2\n"},
		{name: "stolen redirect", from: "127.0.1.1", request: "REDIRECT=127.0.1.2 VERSION=44 nodeid "},
		{name: "TLS not configured", from: "127.0.1.1", request: "ISPEAKSSL_TMCDV10\x16\x03\x01", open: true},
		{name: "garbage", from: "127.0.1.1", request: "\x00\x01\x02", open: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			reply, err := ask(t, dial(t, s, tc.from), !tc.open, tc.request)
			if err != nil && !errors.Is(err, unix.ECONNRESET) || reply != tc.reply {
				t.Errorf("reply %q, %v, want %q", reply, err, tc.reply)
			}
			if got := strings.Join(effects.taken(), "; "); got != tc.effect {
				t.Errorf("effects %q, want %q", got, tc.effect)
			}
		})
	}
}

// TestSplitRequests cuts requests in two at every place: however the segments
// fall, the answer is that of the whole.
func TestSplitRequests(t *testing.T) {
	t.Parallel()
	s, effects := startServer(t, nil)
	for _, tc := range []struct{ request, reply, effect string }{
		{"VERSION=44 status ", "ALLOCATED=p/e NICKNAME=a\n", ""},
		{"VERSION=21 nodeid ", "n1\n", ""},
		{"VNODEID=n1 VERSION=44 nodeid ", "n1\n", ""},
		{"VERSION=44 state TBSETUP ", "", "n1 tmcd TBSETUP"},
		{"VERSION=44 startstatus 3 ", "", "n1 startstatus"},
		{"VERSION=44 bootlog some text \n and more ", "", ""},
	} {
		for at := range len(tc.request) {
			conn := dial(t, s, "127.0.1.1")
			reply, err := ask(t, conn, true, tc.request[:at], tc.request[at:])
			conn.Close()
			if err != nil || reply != tc.reply {
				t.Errorf("%q cut at %d: reply %q, %v", tc.request, at, reply, err)
			}
			if got := strings.Join(effects.taken(), "; "); got != tc.effect {
				t.Errorf("%q cut at %d: effects %q", tc.request, at, got)
			}
		}
	}
	if got := effects.log("n1"); got != "some text \n and more " {
		t.Errorf("boot log %q", got)
	}
}

// TestFailedEffectIsNoAnswer: a clean end without a reply would tell the node
// that its state is recorded.
func TestFailedEffectIsNoAnswer(t *testing.T) {
	t.Parallel()
	s, effects := startServer(t, nil)
	effects.fail(errors.New("disk full"))
	if reply, err := ask(t, dial(t, s, "127.0.1.1"), true, "VERSION=44 state ISUP "); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("reply %q, %v, want a reset connection", reply, err)
	}
	if s.Counters().EffectsFailed.Load() != 1 {
		t.Error("failure not counted")
	}
}

// TestPanicIsContained sends a request whose effect panics.
func TestPanicIsContained(t *testing.T) {
	t.Parallel()
	s, _ := startServer(t, func(c *Config) { c.Effects = nil })
	if _, err := ask(t, dial(t, s, "127.0.1.1"), true, "VERSION=44 state ISUP "); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("%v, want a reset connection", err)
	}
	if reply, err := ask(t, dial(t, s, "127.0.1.1"), true, "VERSION=44 nodeid "); reply != "n1\n" {
		t.Errorf("next request: %q, %v", reply, err)
	}
	if s.Counters().Panics.Load() != 1 {
		t.Error("panic not counted")
	}
}

// TestLargeBootLog stores all of what C cut at 32 KB, and resets nobody.
func TestLargeBootLog(t *testing.T) {
	t.Parallel()
	s, effects := startServer(t, nil)
	text := strings.Repeat("0123456789abcdef", 1<<17) // 2 MiB
	conn := dial(t, s, "127.0.1.1")
	if reply, err := ask(t, conn, true, "VERSION=44 bootlog ", text); err != nil || reply != "" {
		t.Errorf("reply %q, %v", reply, err)
	}
	if got := effects.log("n1"); got != text {
		t.Errorf("stored %d bytes of %d", len(got), len(text))
	}
}

// TestBrokenBootLogIsNoAnswer: a sender whose log broke off is not told that it
// is stored.
func TestBrokenBootLogIsNoAnswer(t *testing.T) {
	t.Parallel()
	s, _ := startServer(t, func(c *Config) { c.Timeouts.Body = 50 * time.Millisecond })
	conn := dial(t, s, "127.0.1.1")
	reply, err := ask(t, conn, false, "VERSION=44 bootlog the beginning") // and then nothing
	if !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("reply %q, %v, want a reset connection", reply, err)
	}
	if s.Counters().EffectsFailed.Load() != 1 {
		t.Error("failure not counted")
	}
}

// TestOversizeRequestIsDrained: the tail of a request for another command is
// read and thrown away.
func TestOversizeRequestIsDrained(t *testing.T) {
	t.Parallel()
	s, _ := startServer(t, nil)
	reply, err := ask(t, dial(t, s, "127.0.1.1"), true, "VERSION=44 nodeid ", strings.Repeat("x", 4<<20))
	if err != nil || reply != "n1\n" {
		t.Errorf("reply %q, %v", reply, err)
	}
}

// TestOpenClientIsAnswered: a client that should half-close and does not is
// answered when it has been quiet for a while.
func TestOpenClientIsAnswered(t *testing.T) {
	t.Parallel()
	s, _ := startServer(t, func(c *Config) { c.Timeouts.Quiet = 20 * time.Millisecond })
	for _, request := range []string{"VERSION=44 nodeid ", "VERSION=44 nodeid"} {
		if reply, err := ask(t, dial(t, s, "127.0.1.1"), false, request); err != nil || reply != "n1\n" {
			t.Errorf("%q: reply %q, %v", request, reply, err)
		}
	}
}

// TestTimeouts runs the phases of one connection in virtual time.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		send  string // one byte per pause
		pause time.Duration
		want  time.Duration // until the request is decided or dropped
		err   error
	}{
		{"says nothing", "", 0, headTimeout, os.ErrDeadlineExceeded},
		{"a byte per second", strings.Repeat("V", 30), time.Second, headTimeout, os.ErrDeadlineExceeded},
		{"stops without a space", "nodeid", 0, quietTimeout, nil},
		{"stops in a tag", "VERSION=44 ", 0, quietTimeout, ErrMalformed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				var writer sync.WaitGroup
				writer.Go(func() {
					for i := range tc.send {
						time.Sleep(tc.pause)
						if _, err := client.Write([]byte{tc.send[i]}); err != nil {
							return
						}
					}
				})
				start := time.Now()
				in := &inbound{conn: server, until: start.Add(headTimeout), quiet: quietTimeout}
				_, _, err := in.head()
				if took := time.Since(start); took != tc.want || !errors.Is(err, tc.err) {
					t.Errorf("%v after %v, want %v after %v", err, took, tc.err, tc.want)
				}
				server.Close()
				writer.Wait()
			})
		})
	}
}

// TestConnectionsPerAddress: one address cannot have them all. Which of them is
// one too many is for the kernel to say: several sockets accept.
func TestConnectionsPerAddress(t *testing.T) {
	t.Parallel()
	s, _ := startServer(t, nil)
	ended := make(chan error, connectionsPerAddrMax+1)
	for range cap(ended) {
		conn := dial(t, s, "127.0.1.1")
		if _, err := conn.Write([]byte("V")); err != nil {
			ended <- err
			continue
		}
		go func() {
			_, err := io.ReadAll(conn)
			ended <- err
		}()
	}
	if err := <-ended; !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("one too many: %v, want a reset", err)
	}
	if reply, err := ask(t, dial(t, s, "127.0.1.2"), true, "VERSION=44 nodeid "); reply != "n2\n" {
		t.Errorf("another address: %q, %v", reply, err)
	}
}

// TestDatagrams asks over UDP.
func TestDatagrams(t *testing.T) {
	t.Parallel()
	s, effects := startServer(t, func(c *Config) { c.EmptyDatagrams = true })
	conn, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP("127.0.1.1")}, net.UDPAddrFromAddrPort(s.Addrs()[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, tc := range []struct{ request, reply, effect string }{
		{"VERSION=44 status ", "ALLOCATED=p/e NICKNAME=a\n", ""},
		{"VERSION=44 isalive ", "UPDATE=0\n", "n1 alive"},
		{"VERSION=44 state ISUP ", "", "n1 tmcd ISUP"},
		{"VERSION=44 accounts ", "", ""},
		{"VERSION=44 nosuch ", "", ""},
	} {
		if _, err := io.WriteString(conn, tc.request); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 2048)
		n, err := conn.Read(buf)
		if err != nil || !bytes.Equal(buf[:n], []byte(tc.reply)) {
			t.Errorf("%q: reply %q, %v", tc.request, buf[:n], err)
		}
		if got := strings.Join(effects.taken(), "; "); got != tc.effect {
			t.Errorf("%q: effects %q", tc.request, got)
		}
	}
}

// TestEmptyDatagramReplyIsSilence: by default nothing comes back, as from C. A
// second request whose answer comes first shows it.
func TestEmptyDatagramReplyIsSilence(t *testing.T) {
	t.Parallel()
	s, _ := startServer(t, nil)
	conn, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP("127.0.1.1")}, net.UDPAddrFromAddrPort(s.Addrs()[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, request := range []string{"VERSION=44 nosuch ", "VERSION=44 nodeid "} {
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
	}
	buf := make([]byte, 2048)
	if n, err := conn.Read(buf); err != nil || string(buf[:n]) != "n1\n" {
		t.Errorf("reply %q, %v", buf[:n], err)
	}
}

// TestStop: a server that stops closes what is idle and returns.
func TestStop(t *testing.T) {
	t.Parallel()
	snapshot := registry.NewSnapshot(loopSite())
	s, err := New(Config{Addrs: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")},
		Snapshot: func() *registry.Snapshot { return snapshot }, Log: slog.New(slog.DiscardHandler),
		Timeouts: Timeouts{Head: time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	conn := dial(t, s, "127.0.1.1")
	if _, err := conn.Write([]byte("VERSION")); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
