package framed_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"hyzer/netsvc/tmcc/framed"
	"hyzer/netsvc/tmcd"
	"hyzer/storage/kv/pebblekv"
	"hyzer/storage/registry"
)

// watched is a server on a registry that can be changed.
type watched struct {
	t    *testing.T
	reg  *registry.Registry
	addr netip.AddrPort
	stop func()
}

const watchedSite = `
site: {domain: example.org, boss_name: boss, boss_ip: 127.0.0.1}
projects: [{id: p}]
types: [{name: t, class: pc}]
nodes: [{id: n1, type: t, interfaces: [{name: eth0, role: ctrl, ip: 127.0.1.1}]}]
experiments: [{project: p, id: e, state: active}]
`

func newWatched(t *testing.T) *watched {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	store, err := pebblekv.Open("db", pebblekv.Options{FS: vfs.NewMem(), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	reg, err := registry.Open(t.Context(), store, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(reg.Close)
	file, err := registry.ParseSiteFile(strings.NewReader(watchedSite))
	if err == nil {
		err = reg.Import(t.Context(), file)
	}
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{t: t, reg: reg, addr: netip.MustParseAddrPort("127.0.0.1:0")}
	w.open(reg.Moved)
	t.Cleanup(func() { w.stop() })
	return w
}

// open begins to serve; without moved nobody can watch.
func (w *watched) open(moved func() <-chan struct{}) {
	w.t.Helper()
	w.addr, w.stop = serve(w.t, tmcd.Config{Addrs: []netip.AddrPort{w.addr}, Snapshot: w.reg.Snapshot, Moved: moved,
		Effects: &effects{}, Log: slog.New(slog.DiscardHandler)})
}

func (w *watched) put(change func(tx *registry.Tx) error) {
	w.t.Helper()
	if _, err := w.reg.Update(context.Background(), change); err != nil {
		w.t.Fatal(err)
	}
}

func (w *watched) order(generation uint64) {
	w.t.Helper()
	w.put(func(tx *registry.Tx) error {
		return registry.Put(tx, &registry.Command{Node: "n1", Kind: "REBOOT", Generation: generation})
	})
}

func (w *watched) client(from string) *framed.Client {
	c := &framed.Client{Addrs: []netip.AddrPort{w.addr}, Bind: netip.MustParseAddr(from), RetryPause: 5 * time.Millisecond}
	w.t.Cleanup(func() { c.Close() })
	return c
}

// TestWatch hears of changes and orders, also of those made while the server
// was away, and of none twice.
func TestWatch(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	heard := make(chan string, 16)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	c := w.client("127.0.1.1")
	go func() {
		ended <- c.Watch(ctx, framed.Notices{Changed: func() { heard <- "changed" }, Ordered: func(n uint64) { heard <- fmt.Sprint("order ", n) },
			LogWanted: func(uint64) { heard <- "log" }})
	}()
	hear := func(want string) {
		t.Helper()
		select {
		case got := <-heard:
			if got != want {
				t.Fatalf("heard %q, want %q", got, want)
			}
		case <-time.After(2 * time.Minute):
			t.Fatalf("heard nothing, want %q", want)
		}
	}
	reserve := func(tx *registry.Tx) error {
		return registry.Put(tx, &registry.Reservation{Node: "n1", Experiment: "p/e", Role: "node"})
	}
	hear("changed") // at the beginning
	w.put(reserve)
	hear("changed")
	w.order(7)
	hear("order 7")
	w.stop()
	w.put(func(tx *registry.Tx) error { return registry.Delete[registry.Reservation](tx, "n1") })
	w.open(w.reg.Moved)
	hear("changed")
	w.stop()
	w.order(8)
	w.open(w.reg.Moved)
	hear("order 8")
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	if len(heard) > 0 {
		t.Errorf("heard %q besides", <-heard)
	}
}

// TestNoWatch: a caller is told when a server will never let it watch.
func TestNoWatch(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	nothing := framed.Notices{Changed: func() { t.Error("told of a change") }, Ordered: func(uint64) { t.Error("told of an order") },
		LogWanted: func(uint64) { t.Error("told of a wish") }}
	if err := w.client("127.0.1.9").Watch(t.Context(), nothing); err == nil || !strings.Contains(err.Error(), "unknown node") {
		t.Errorf("a stranger: %v", err)
	}
	w.stop()
	w.open(nil)
	if err := w.client("127.0.1.1").Watch(t.Context(), nothing); err == nil || !strings.Contains(err.Error(), "unknown command") {
		t.Errorf("a server without watches: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if conn, err := l.Accept(); err == nil {
			_, _ = io.WriteString(conn, "WHAT?\n")
			_, _ = io.Copy(io.Discard, conn)
			conn.Close()
		}
	}()
	legacy := &framed.Client{Addrs: []netip.AddrPort{l.Addr().(*net.TCPAddr).AddrPort()}}
	if err := legacy.Watch(t.Context(), nothing); !errors.Is(err, framed.ErrLegacy) {
		t.Errorf("a server that speaks in text: %v", err)
	}
}
