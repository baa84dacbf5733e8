package tmcd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hyzer/storage/bloblog"
	"hyzer/storage/kv/pebblekv"
	"hyzer/storage/registry"
)

// crowd opens connections on which nothing, or not much, is said.
func crowd(tb testing.TB, s *Server, idle, slow int) {
	tb.Helper()
	for i := range idle + slow {
		conn := dial(tb, s, loadAddr(i).String())
		if i >= idle {
			if _, err := io.WriteString(conn, "VERS"); err != nil {
				tb.Fatal(err)
			}
		}
	}
}

// TestNobodyBlocksAnother: with idle clients and clients that stop in a tag,
// whose time never ends, every other request is answered.
func TestNobodyBlocksAnother(t *testing.T) {
	t.Parallel()
	snapshot := registry.NewSnapshot(loadSite())
	s, _ := startServer(t, func(c *Config) {
		c.Snapshot = func() *registry.Snapshot { return snapshot }
		c.Timeouts = Timeouts{Head: time.Hour, Quiet: time.Hour}
	})
	crowd(t, s, 200, 100)
	for i := range 50 {
		reply, err := ask(t, dial(t, s, loadAddr(i).String()), true, "VERSION=44 nodeid ")
		if want := fmt.Sprintf("load%d\n", i); err != nil || reply != want {
			t.Fatalf("request %d: %q, %v", i, reply, err)
		}
	}
}

// BenchmarkCrowd compares the 99th percentile of requests with 1000 idle and
// 100 slow clients beside them to that without.
func BenchmarkCrowd(b *testing.B) {
	snapshot := registry.NewSnapshot(loadSite())
	s, _ := startServer(b, func(c *Config) {
		c.Snapshot = func() *registry.Snapshot { return snapshot }
		c.Timeouts = Timeouts{Head: time.Hour, Quiet: time.Hour}
	})
	p99 := func() time.Duration {
		load := newLoadgen(s, "VERSION=44 status ", 8)
		if err := load.run(max(b.N, 1000)); err != nil {
			b.Fatal(err)
		}
		slices.Sort(load.latency)
		return load.latency[len(load.latency)*99/100]
	}
	alone := p99()
	crowd(b, s, 1000, 100)
	b.ResetTimer()
	beside := p99()
	b.ReportMetric(float64(alone.Microseconds()), "alone-p99-us")
	b.ReportMetric(float64(beside.Microseconds()), "beside-p99-us")
	b.ReportMetric(float64(beside)/float64(alone), "ratio")
}

// manyLogs sends one log from each node at once and returns when all are told
// that theirs is stored.
func manyLogs(tb testing.TB, s *Server, text string) {
	tb.Helper()
	var work sync.WaitGroup
	for i := range crowdNodes {
		work.Go(func() {
			conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: crowdAddr(i).AsSlice()}}).Dial("tcp", s.Addrs()[0].String())
			if err != nil {
				tb.Error(err)
				return
			}
			defer conn.Close()
			_, err = io.WriteString(conn, "VERSION=44 bootlog "+text)
			err = errors.Join(err, conn.(*net.TCPConn).CloseWrite())
			reply, readErr := io.ReadAll(conn)
			if err := errors.Join(err, readErr); err != nil || len(reply) != 0 {
				tb.Errorf("log %d: %q, %v", i, reply, err)
			}
		})
	}
	work.Wait()
}

const crowdNodes = 500

func crowdAddr(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, 0, byte(3 + i/250), byte(1 + i%250)})
}

func crowdSite() *registry.SiteFile {
	site := loadSite()
	for i := range crowdNodes {
		site.Nodes = append(site.Nodes, registry.Node{ID: fmt.Sprint("crowd", i), Type: "t",
			Interfaces: []registry.Interface{{Name: "eth0", Role: registry.InterfaceControl, IP: crowdAddr(i)}}})
	}
	return site
}

// countedLogs checks and counts logs, and keeps none.
type countedLogs struct {
	Effects
	text string
	mu   sync.Mutex
	got  map[string]int
}

func (c *countedLogs) BootLog(_ context.Context, node string, text io.Reader) error {
	n, err := io.Copy(io.Discard, text)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil && n == int64(len(c.text)) {
		c.got[node]++
	}
	return err
}

// TestManyLogsAtOnce: 500 nodes send a long log at once, more than are stored at
// a time; each comes whole, once.
func TestManyLogsAtOnce(t *testing.T) {
	t.Parallel()
	snapshot := registry.NewSnapshot(crowdSite())
	size := 256 << 10
	if raceDetector || testing.Short() {
		size = 64 << 10
	}
	logs := &countedLogs{text: strings.Repeat("x", size), got: map[string]int{}}
	s, _ := startServer(t, func(c *Config) {
		c.Snapshot, c.Effects = func() *registry.Snapshot { return snapshot }, logs
		c.Timeouts.Effects = time.Minute // of a test on a busy machine
	})
	manyLogs(t, s, logs.text)
	logs.mu.Lock()
	defer logs.mu.Unlock()
	for i := range crowdNodes {
		if n := logs.got[fmt.Sprint("crowd", i)]; n != 1 {
			t.Errorf("log %d came %d times", i, n)
		}
	}
}

// storedLogs keeps boot logs and does nothing else.
type storedLogs struct {
	Effects
	*bloblog.Logs
}

func (s storedLogs) BootLog(ctx context.Context, node string, text io.Reader) error {
	return s.Store(ctx, node, text)
}

// BenchmarkManyLogs has 500 nodes send 1 MiB of boot log each, to a store on a
// disk, and measures what other requests wait meanwhile.
func BenchmarkManyLogs(b *testing.B) {
	snapshot := registry.NewSnapshot(crowdSite())
	store, err := pebblekv.Open(b.TempDir()+"/db", pebblekv.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { store.Close() })
	s, _ := startServer(b, func(c *Config) {
		c.Snapshot = func() *registry.Snapshot { return snapshot }
		c.Effects = storedLogs{Logs: bloblog.New(store, bloblog.DefaultLimits(), nil)}
		c.Timeouts.Effects = 10 * time.Minute
	})
	text := strings.Repeat("a line of a boot log, as long as they are\n", 1<<20/42)
	var latency []time.Duration
	b.ResetTimer()
	for range b.N {
		done := make(chan struct{})
		go func() {
			defer close(done)
			manyLogs(b, s, text)
		}()
		for running := true; running; {
			load := newLoadgen(s, "VERSION=44 status ", 2)
			if err := load.run(100); err != nil {
				b.Fatal(err)
			}
			latency = append(latency, load.latency...)
			select {
			case <-done:
				running = false
			default:
			}
		}
	}
	b.StopTimer()
	slices.Sort(latency)
	b.SetBytes(int64(crowdNodes * len(text)))
	b.ReportMetric(float64(latency[len(latency)*99/100].Microseconds()), "p99-us")
	b.ReportMetric(float64(len(latency))/float64(b.N), "requests/op")
}
