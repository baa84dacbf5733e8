package tmcd

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/netsvc/tmc2"
	"hyzer/storage/registry"
	"hyzer/storage/registry/emulab/emulabtest"
)

// watchRequest is a watch of a client that knows nothing yet.
func watchRequest(stream uint32) []byte { return framedRequest(stream, uint64(stream), "watch") }

// placed says how many framed connections hold a place, and how many places of
// all connections are taken.
func (s *Server) placed() (framed, all int) {
	s.framed.mu.Lock()
	defer s.framed.mu.Unlock()
	return s.framed.placed, len(s.conns)
}

// until waits for a condition that other goroutines bring about.
func until(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for end := time.Now().Add(time.Minute); !ok(); runtime.Gosched() {
		if time.Now().After(end) {
			tb.Fatalf("%s: not so after a minute", what)
		}
	}
}

// TestWatchesTakeNoPlace: as many as may be watch, and are no connections to
// others; the next is told to come again, and gets in when one has gone.
func TestWatchesTakeNoPlace(t *testing.T) {
	t.Parallel()
	reg := emulabtest.Open(t, crowdSite())
	const most = 100
	s, _ := startServer(t, func(c *Config) { c.Snapshot, c.Moved, c.WatchesMax = reg.Snapshot, reg.Moved, most })
	var conns []*rawFramed
	for i := range most {
		c := dialFramed(t, s, crowdAddr(i).String(), 1)
		c.send(watchRequest(1))
		if f, err := c.next(); err != nil || f.Type != tmc2.TypeNotify {
			t.Fatalf("watch %d: %v, %v", i, f.Type, err)
		}
		conns = append(conns, c)
	}
	until(t, "all rest", func() bool { framed, all := s.placed(); return framed == 0 && all == 0 })
	late := dialFramed(t, s, crowdAddr(most).String(), 1)
	late.send(watchRequest(1))
	if got, want := late.answer(), fmt.Sprintf("1 %d ", tmc2.CodeBusy); got != want {
		t.Errorf("one more: %q, want %q", got, want)
	}
	conns[0].conn.Close()
	stream := uint32(3)
	until(t, "a watch has gone", func() bool {
		late.send(watchRequest(stream))
		f, err := late.next()
		stream += 2
		return err == nil && f.Type == tmc2.TypeNotify
	})
}

// TestRestingConnections ask, with a place or without: what changes nothing is
// answered in any case, all else only where there is room for it.
func TestRestingConnections(t *testing.T) {
	t.Parallel()
	reg := emulabtest.Open(t, loopSite())
	s, effects := startServer(t, func(c *Config) { c.Snapshot, c.Moved = reg.Snapshot, reg.Moved })
	watching := func(from string) *rawFramed {
		c := dialFramed(t, s, from, 1)
		c.send(watchRequest(1))
		if f, err := c.next(); err != nil || f.Type != tmc2.TypeNotify {
			t.Fatalf("watch: %v, %v", f.Type, err)
		}
		until(t, "it rests", func() bool { framed, _ := s.placed(); return framed == 0 })
		return c
	}
	c := watching("127.0.1.1")
	c.send(framedRequest(3, 3, "state", "ISUP"))
	if got := c.answer(); got != "3 1 " || len(effects.taken()) != 1 {
		t.Errorf("with room: %q", got)
	}
	until(t, "it rests again", func() bool { framed, all := s.placed(); return framed == 0 && all == 0 })

	s.framed.mu.Lock()
	s.framed.placed = framedConnectionsMax // as if that many others worked
	s.framed.mu.Unlock()
	c.send(framedRequest(5, 5, "nodeid"))
	c.send(framedRequest(7, 7, "state", "ISUP"))
	if got := c.answer(); got != "5 0 n1\n" {
		t.Errorf("nothing to change, no room: %q", got)
	}
	if got := c.answer(); got != fmt.Sprintf("7 %d ", tmc2.CodeBusy) || len(effects.taken()) != 0 {
		t.Errorf("no room: %q", got)
	}
	log := tmc2.Request{ID: 9, Command: []byte("nodeid"), Args: [][]byte{make([]byte, 2*framedBufferBytes)}}
	c.send(tmc2.AppendFrame(nil, tmc2.Frame{Type: tmc2.TypeRequest, Flags: tmc2.FlagEnd, Stream: 9, Payload: tmc2.AppendRequest(nil, &log)}))
	if got := c.answer(); got != fmt.Sprintf("1 %d ", tmc2.CodeGoingAway) {
		t.Errorf("a large frame, no room: %q", got)
	}
	if got := c.answer(); got != fmt.Sprintf("goaway %d", tmc2.CodeBusy) {
		t.Errorf("a large frame, no room: %q", got)
	}
	s.framed.mu.Lock()
	s.framed.placed = 0
	s.framed.mu.Unlock()

	// A connection whose watch was cancelled counts as any other.
	c = watching("127.0.1.2")
	c.send(tmc2.AppendFrame(nil, tmc2.Frame{Type: tmc2.TypeCancel, Stream: 1}))
	if got := c.answer(); got != fmt.Sprintf("1 %d ", tmc2.CodeCancelled) {
		t.Errorf("cancelled: %q", got)
	}
	until(t, "it has a place", func() bool { framed, all := s.placed(); return framed == 1 && all == 1 })
	c.conn.Close()
	until(t, "it has gone", func() bool { framed, all := s.placed(); return framed == 0 && all == 0 })
}

// TestWatchesWithin leaves files for others.
func TestWatchesWithin(t *testing.T) {
	t.Parallel()
	const others = connectionsMax + filesOther
	for _, tc := range []struct {
		max   int
		files uint64
		want  int
	}{{100, 1 << 40, 100}, {100, others + 100, 100}, {100, others + 99, 99}, {100, others, 0}, {100, 10, 0}, {20_000, unix.RLIM_INFINITY, 20_000}} {
		if got := watchesWithin(tc.max, tc.files); got != tc.want {
			t.Errorf("%d watches, %d files: %d, want %d", tc.max, tc.files, got, tc.want)
		}
	}
}

// TestWatchesThatEnd: a second watch of a node is refused, and one of a node
// that is no more ends with its connection.
func TestWatchesThatEnd(t *testing.T) {
	t.Parallel()
	site := loopSite()
	site.Nodes = append(site.Nodes, registry.Node{ID: "v1", Type: "t", Host: "n2"})
	reg := emulabtest.Open(t, site)
	s, _ := startServer(t, func(c *Config) { c.Snapshot, c.Moved = reg.Snapshot, reg.Moved })
	c := dialFramed(t, s, "127.0.1.2", 1)
	c.send(append(watchRequest(1), watchRequest(3)...))
	if got, want := c.answer(), fmt.Sprintf("3 %d ", tmc2.CodeBadArgument); got != want {
		t.Errorf("a second watch: %q, want %q", got, want)
	}
	c.send(asking(5, "v1", "watch"))
	if f, err := c.next(); err != nil || f.Type != tmc2.TypeNotify || f.Stream != 5 {
		t.Errorf("a virtual node's: %v on %d, %v", f.Type, f.Stream, err)
	}
	until(t, "it rests", func() bool { framed, _ := s.placed(); return framed == 0 })
	remove := func(node string) {
		t.Helper()
		_, err := reg.Update(t.Context(), func(tx *registry.Tx) error { return registry.Delete[registry.Node](tx, node) })
		if err != nil {
			t.Fatal(err)
		}
	}
	remove("v1")
	if got, want := c.answer(), fmt.Sprintf("5 %d ", tmc2.CodeStaleVNode); got != want {
		t.Errorf("the virtual node has gone: %q, want %q", got, want)
	}
	c.send(framedRequest(7, 7, "nodeid"))
	if got := c.answer(); got != "7 0 n2\n" {
		t.Errorf("the other watch goes on: %q", got)
	}
	remove("n2")
	for _, want := range []string{fmt.Sprintf("1 %d ", tmc2.CodeUnknownNode), fmt.Sprintf("goaway %d", tmc2.CodeGoingAway)} {
		if got := c.answer(); got != want {
			t.Errorf("the node has gone: %q, want %q", got, want)
		}
	}
}

// TestWantedLog asks the node that watches, and no other.
func TestWantedLog(t *testing.T) {
	t.Parallel()
	reg := emulabtest.Open(t, loopSite())
	s, _ := startServer(t, func(c *Config) { c.Snapshot, c.Moved = reg.Snapshot, reg.Moved })
	c, other := dialFramed(t, s, "127.0.1.1", 1), dialFramed(t, s, "127.0.1.2", 1)
	for _, c := range []*rawFramed{c, other} {
		c.send(watchRequest(1))
		if f, err := c.next(); err != nil || f.Type != tmc2.TypeNotify {
			t.Fatalf("watch: %v, %v", f.Type, err)
		}
	}
	last := uint64(0)
	for range 2 {
		if asked := s.WantLog("n1"); asked != 1 {
			t.Fatalf("asked %d", asked)
		}
		f, err := c.next()
		n, decodeErr := tmc2.DecodeNotify(f.Payload)
		if err != nil || decodeErr != nil || f.Stream != 1 || n.Notice != tmc2.NoticeLog || n.Generation <= last {
			t.Errorf("%+v, %v, %v, after wish %d", n, err, decodeErr, last)
		}
		last = n.Generation
	}
	if asked := s.WantLog("n3"); asked != 0 {
		t.Errorf("a node that does not watch was asked %d times", asked)
	}
	other.send(framedRequest(3, 3, "nodeid"))
	if got := other.answer(); got != "3 0 n2\n" {
		t.Errorf("the other node: %q", got)
	}
}

// BenchmarkIdleWatch opens b.N watches, in clear and over TLS, and says what
// memory of the server's process each takes.
func BenchmarkIdleWatch(b *testing.B) {
	b.Run("clear", func(b *testing.B) { idleWatches(b, nil) })
	b.Run("tls", func(b *testing.B) { idleWatches(b, newAuthority(b, "site")) })
}

func idleWatches(b *testing.B, authority *authority) {
	site := loadSite()
	for i := range b.N {
		site.Nodes = append(site.Nodes, registry.Node{ID: fmt.Sprint("watching", i), Type: "t",
			Interfaces: []registry.Interface{{Name: "eth0", Role: registry.InterfaceControl, IP: watchingAddr(i)}}})
	}
	snapshot, never := registry.NewSnapshot(site), make(chan struct{})
	var client *tls.Config
	s, _ := startServer(b, func(c *Config) {
		c.Snapshot, c.Moved = func() *registry.Snapshot { return snapshot }, func() <-chan struct{} { return never }
		if authority != nil {
			c.TLS = &tls.Config{Certificates: []tls.Certificate{authority.issue("boss", time.Hour)}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authority.pool()}
			client = &tls.Config{RootCAs: authority.pool(), ServerName: "boss", Certificates: []tls.Certificate{authority.issue("n1", time.Hour)}}
		}
	})
	heap, stacks := memory()
	b.ResetTimer()
	for i := range b.N {
		bareWatch(b, watchingAddr(i), s.Addrs()[0], client)
	}
	until(b, "all watch", func() bool { return len(s.framed.watches.list(nil)) == b.N })
	until(b, "all rest", func() bool { framed, _ := s.placed(); return framed == 0 })
	b.StopTimer()
	heapNow, stacksNow := memory()
	b.ReportMetric(float64(heapNow-heap)/float64(b.N), "heap-B/watch")
	b.ReportMetric(float64(stacksNow-stacks)/float64(b.N), "stack-B/watch")
	runtime.KeepAlive(site)
}

// memory is what is in use when nothing is left to collect.
func memory() (heap, stacks int64) {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc), int64(m.StackInuse)
}

// bareWatch watches on a socket that no Go connection is kept of, so that the
// server's memory alone is counted.
func bareWatch(b *testing.B, from netip.Addr, to netip.AddrPort, config *tls.Config) {
	b.Helper()
	say := append(opening(1), watchRequest(1)...)
	fd := bareSocket(b, from, to)
	b.Cleanup(func() { unix.Close(fd) })
	var err error
	if config == nil {
		_, err = unix.Write(fd, say)
	} else {
		copied, dupErr := unix.Dup(fd)
		if dupErr != nil {
			b.Fatal(dupErr)
		}
		conn, connErr := connOf(copied)
		if connErr != nil {
			b.Fatal(connErr)
		}
		defer conn.Close() // the socket stays
		_, err = tls.Client(conn, config).Write(say)
	}
	if err != nil {
		b.Fatal(err)
	}
}

func bareSocket(b *testing.B, from netip.Addr, to netip.AddrPort) (fd int) {
	b.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: from.As4()})
	}
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())})
	}
	if err != nil {
		b.Fatal(os.NewSyscallError("connecting", err))
	}
	return fd
}

func watchingAddr(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, 1, byte(i / 250), byte(1 + i%250)})
}

// BenchmarkWatchPass looks at 500 watches after something has changed that is no
// concern of theirs.
func BenchmarkWatchPass(b *testing.B) {
	const watching = 500
	reg := emulabtest.Open(b, crowdSite())
	s, _ := startServer(b, func(c *Config) {
		c.Snapshot, c.Moved = reg.Snapshot, func() <-chan struct{} { return nil } // the benchmark makes the passes
	})
	for i := range watching {
		bareWatch(b, crowdAddr(i), s.Addrs()[0], nil)
	}
	until(b, "all watch", func() bool { return len(s.framed.watches.list(nil)) == watching })
	all, p := s.framed.watches.list(nil), &passing{}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		b.StopTimer()
		_, err := reg.Update(b.Context(), func(tx *registry.Tx) error {
			return registry.Put(tx, &registry.Runtime{Node: "n2", UpdateAccounts: i})
		})
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		p.next(reg.Snapshot())
		for _, w := range all {
			w.look(p)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*watching), "ns/watch")
}
