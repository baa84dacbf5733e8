package framed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"hyzer/netsvc/tmc2"
	"hyzer/netsvc/tmcc/framed"
	"hyzer/netsvc/tmcd"
	"hyzer/storage/bloblog"
	"hyzer/storage/kv/pebblekv"
	"hyzer/storage/registry"
)

// site is two nodes on loopback addresses.
func site() *registry.Snapshot {
	control := func(ip string) []registry.Interface {
		return []registry.Interface{{Name: "eth0", Role: registry.InterfaceControl, IP: netip.MustParseAddr(ip)}}
	}
	return registry.NewSnapshot(&registry.SiteFile{
		Site:  &registry.Site{Domain: "example.org", BossName: "boss", BossIP: netip.MustParseAddr("127.0.0.1")},
		Types: []registry.NodeType{{Name: "t", Class: "pc"}},
		Nodes: []registry.Node{{ID: "n1", Type: "t", Interfaces: control("127.0.1.1")}, {ID: "n2", Type: "t", Interfaces: control("127.0.1.2")}},
	})
}

// effects remembers in which order things happened, and how much of the newest
// log was durable then.
type effects struct {
	tmcd.Effects
	logs *bloblog.Logs
	mu   sync.Mutex
	did  []string
}

func (e *effects) LiveLogs() tmcd.LiveLogs { return e.logs }

func (e *effects) note(node, what string) error {
	bytes := int64(-1)
	if log, err := e.logs.Get(context.Background(), node, 0); err == nil {
		bytes = log.Bytes
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.did = append(e.did, fmt.Sprintf("%s %s at %d", node, what, bytes))
	return nil
}

func (e *effects) Report(_ context.Context, node, _ string, states ...string) error {
	return e.note(node, strings.Join(states, ","))
}

func (e *effects) BootErrno(_ context.Context, node string, errno int) error {
	return e.note(node, fmt.Sprint("errno ", errno))
}

func (e *effects) BootLog(ctx context.Context, node string, text io.Reader) error {
	return e.logs.Store(ctx, node, text)
}

// boss is a server that can be closed and opened again on the same store.
type boss struct {
	t       *testing.T
	effects *effects
	addr    netip.AddrPort
	stop    func()
}

func newBoss(t *testing.T) *boss {
	store, err := pebblekv.Open("db", pebblekv.Options{FS: vfs.NewMem(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	b := &boss{t: t, effects: &effects{logs: bloblog.New(store, bloblog.DefaultLimits(), nil)}, addr: netip.MustParseAddrPort("127.0.0.1:0")}
	b.open()
	t.Cleanup(func() {
		b.stop()
		store.Close()
	})
	return b
}

func (b *boss) open() {
	b.t.Helper()
	snapshot := site()
	b.addr, b.stop = serve(b.t, tmcd.Config{Addrs: []netip.AddrPort{b.addr}, Snapshot: func() *registry.Snapshot { return snapshot },
		Effects: b.effects, Log: slog.New(slog.DiscardHandler)})
}

// serve runs a server until stop.
func serve(t *testing.T, cfg tmcd.Config) (addr netip.AddrPort, stop func()) {
	t.Helper()
	s, err := tmcd.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return s.Addrs()[0], func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func (b *boss) client(from string) *framed.Client {
	c := &framed.Client{Addrs: []netip.AddrPort{b.addr}, Bind: netip.MustParseAddr(from), BootID: framed.NewBootID(), RetryPause: 5 * time.Millisecond}
	b.t.Cleanup(func() { c.Close() })
	return c
}

// text is the newest log of a node.
func (b *boss) text(node string) string {
	var out bytes.Buffer
	if err := b.effects.logs.WriteTo(context.Background(), &out, node, 0, 0); err != nil {
		b.t.Error(err)
	}
	return out.String()
}

func mustDo(t *testing.T, c *framed.Client, command string, args ...string) string {
	t.Helper()
	reply, status, err := c.Do(t.Context(), command, args, nil)
	if err != nil {
		t.Error(err)
	}
	return fmt.Sprintf("%d %s", status.Code, reply)
}

func TestDo(t *testing.T) {
	t.Parallel()
	b := newBoss(t)
	c := b.client("127.0.1.1")
	for _, tc := range []struct{ words, want string }{
		{"status", "0 FREE\n"}, {"nodeid", "0 n1\n"}, {"nonsense", "10 "}, {"ifconfig", "21 "}, {"state ISUP", "1 "}, {"state", "11 "},
	} {
		words := strings.Fields(tc.words)
		if got := mustDo(t, c, words[0], words[1:]...); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.words, got, tc.want)
		}
	}
	long := []byte(strings.Repeat("0123456789abcdef", 1<<17)) // 2 MiB, eight windows
	if _, status, err := c.Do(t.Context(), "bootlog", nil, long); err != nil || status.Code != tmc2.CodeEmpty {
		t.Error(status, err)
	}
	if got := b.text("n1"); got != string(long) {
		t.Errorf("stored %d bytes of %d", len(got), len(long))
	}
	reply, first, err := c.DoETag(t.Context(), "nodeid", nil, 0)
	_, second, err2 := c.DoETag(t.Context(), "nodeid", nil, first.ETag)
	if err != nil || err2 != nil || string(reply) != "n1\n" || second.Code != tmc2.CodeNotModified {
		t.Error(reply, first, second, err, err2)
	}
}

// TestReconnect asks before and after the server was away.
func TestReconnect(t *testing.T) {
	t.Parallel()
	b := newBoss(t)
	c := b.client("127.0.1.1")
	if got := mustDo(t, c, "nodeid"); got != "0 n1\n" {
		t.Error(got)
	}
	b.stop()
	b.open()
	if got := mustDo(t, c, "nodeid"); got != "0 n1\n" {
		t.Error(got)
	}
}

// TestLiveLog: what is reported after a part of the log finds that part durable.
func TestLiveLog(t *testing.T) {
	t.Parallel()
	b := newBoss(t)
	c := b.client("127.0.1.1")
	w := c.NewLog()
	io.WriteString(w, "starting\nfailing\n")
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustDo(t, c, "booterrno", "5")
	mustDo(t, c, "state", "TBFAILED")
	io.WriteString(w, "the end\n")
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := "n1 errno 5 at 17; n1 TBFAILED at 17"
	if got := strings.Join(b.effects.did, "; "); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := b.text("n1"); got != "starting\nfailing\nthe end\n" {
		t.Errorf("%q", got)
	}
	if log, err := b.effects.logs.Get(t.Context(), "n1", 0); err != nil || !log.Closed {
		t.Error(log, err)
	}
}

// TestLogOverRestarts closes the server in the middle of a log, several times.
func TestLogOverRestarts(t *testing.T) {
	t.Parallel()
	b := newBoss(t)
	w := b.client("127.0.1.1").NewLog()
	var want strings.Builder
	want.WriteString("a new boot\n")
	io.WriteString(w, want.String())
	if err := w.Flush(t.Context()); err != nil { // the log has a number
		t.Fatal(err)
	}
	for round := range 3 {
		for i := range 2000 {
			line := fmt.Sprintf("round %d line %d\n", round, i)
			want.WriteString(line)
			io.WriteString(w, line)
			if i == 1000 {
				b.stop() // what is on its way is cut off
			}
		}
		b.open()
		if err := w.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := b.text("n1"); got != want.String() {
		t.Errorf("stored %d bytes, want %d", len(got), want.Len())
	}
	if logs, err := b.effects.logs.List(t.Context(), "n1"); err != nil || len(logs) != 1 {
		t.Errorf("%d logs, %v", len(logs), err)
	}
}

// TestTwoBoots at once are two logs, also of one node.
func TestTwoBoots(t *testing.T) {
	t.Parallel()
	b := newBoss(t)
	one, two, same := b.client("127.0.1.1").NewLog(), b.client("127.0.1.2").NewLog(), b.client("127.0.1.1").NewLog()
	for i := range 500 {
		fmt.Fprintln(one, "one", i)
		fmt.Fprintln(two, "two", i)
		fmt.Fprintln(same, "same", i)
	}
	for _, w := range []*framed.LogWriter{one, two, same} {
		if err := w.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if got := b.text("n2"); strings.Count(got, "two") != 500 || strings.Count(got, "\n") != 500 {
		t.Errorf("%d bytes", len(got))
	}
	logs, err := b.effects.logs.List(t.Context(), "n1")
	if err != nil || len(logs) != 2 || logs[0].Bytes+logs[1].Bytes != 3890+4390 {
		t.Errorf("%+v, %v", logs, err)
	}
}

// TestLogNeverWaits: without a server the writer keeps head and tail and says
// how much it cut.
func TestLogNeverWaits(t *testing.T) {
	t.Parallel()
	b := newBoss(t)
	b.stop()
	w := b.client("127.0.1.1").NewLog()
	line := strings.Repeat("x", 99) + "\n"
	for range 30_000 { // 3 MB
		io.WriteString(w, line)
	}
	io.WriteString(w, "last words\n")
	b.open()
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := b.text("n1")
	var cut int
	_, after, found := strings.Cut(got, "\n[")
	if _, err := fmt.Sscanf(after, "%d bytes cut]", &cut); !found || err != nil {
		t.Fatalf("nothing cut from %d bytes", len(got))
	}
	note := len(fmt.Sprintf("\n[%d bytes cut]\n", cut))
	if len(got)-note+cut != 3_000_011 || !strings.HasSuffix(got, "last words\n") || len(got) > 2<<20 {
		t.Errorf("kept %d, cut %d", len(got), cut)
	}
}

// TestLegacyServers end the connection, say something else, reset, or say
// nothing until the client gives up.
func TestLegacyServers(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		answer func(net.Conn)
		want   error
	}{
		{"ends", func(c net.Conn) {
			io.ReadFull(c, make([]byte, 4))
			c.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, c)
		}, framed.ErrLegacy},
		{"text", func(c net.Conn) { io.WriteString(c, "WHAT?\n"); io.Copy(io.Discard, c) }, framed.ErrLegacy},
		{"reset", func(c net.Conn) { io.ReadFull(c, make([]byte, 4)); c.(*net.TCPConn).SetLinger(0) }, framed.ErrNoAnswer},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				if conn, err := l.Accept(); err == nil {
					tc.answer(conn)
					conn.Close()
				}
			}()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			c := &framed.Client{Addrs: []netip.AddrPort{l.Addr().(*net.TCPAddr).AddrPort()}}
			defer c.Close()
			if _, _, err := c.Do(ctx, "status", nil, nil); !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			}
		})
	}
}

// BenchmarkDo is one goroutine of one client, which waits for each answer.
func BenchmarkDo(b *testing.B) {
	snapshot := site()
	s, err := tmcd.New(tmcd.Config{Addrs: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")},
		Snapshot: func() *registry.Snapshot { return snapshot }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { _ = s.Run(ctx) })
	defer work.Wait()
	defer cancel()
	c := &framed.Client{Addrs: []netip.AddrPort{s.Addrs()[0]}, Bind: netip.MustParseAddr("127.0.1.1")}
	defer c.Close()
	b.ReportAllocs()
	for b.Loop() {
		if _, status, err := c.Do(ctx, "status", nil, nil); err != nil || !status.Code.Good() {
			b.Fatal(status, err)
		}
	}
}
