package tmcd

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"hyzer/netsvc/lifecycle/stated"
	"hyzer/netsvc/lifecycle/stated/statedtest"
	"hyzer/netsvc/lifecycle/states"
	"hyzer/storage/bloblog"
	"hyzer/storage/registry"
)

// boss is a server on everything that stands behind it in the appliance: the
// registry, the state machine and the boot logs, on a disk that can lose power.
// Its nodes are pc0 and up, at 127.0.1.1 and up.
type boss struct {
	*statedtest.Site
	server *Server
	addr   netip.AddrPort
	said   *lines
	change func(*Config)
	stop   func()
}

// machineStates are the state machine as the appliance gives it to tmcd.
type machineStates struct{ *stated.Runner }

func (m machineStates) Reset(ctx context.Context, node string) error {
	return m.Control(ctx, node, sourceName, states.ControlReset)
}

// lines is a log that is read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func newBoss(t *testing.T, nodes int, change func(*Config)) *boss {
	t.Helper()
	b := &boss{Site: statedtest.New(t, nodes), said: &lines{}, change: change, addr: netip.MustParseAddrPort("127.0.0.1:0")}
	b.Update(func(tx *registry.Tx) error {
		for i := range nodes {
			node := registry.Node{ID: "pc" + string(rune('0'+i)), Type: "pc", Interfaces: []registry.Interface{
				{Name: "eth0", Role: registry.InterfaceControl, IP: nodeAddr(i)}}}
			if i == 0 {
				node.WideAreaKey = strings.Repeat("a", keyBytesMax)
			}
			if err := registry.Put(tx, &node); err != nil {
				return err
			}
			if err := registry.Put(tx, &registry.NodeState{Node: node.ID, Mode: "NORMALv2", State: "SHUTDOWN"}); err != nil {
				return err
			}
		}
		return nil
	})
	b.Run()
	b.serve()
	t.Cleanup(func() {
		b.stop()
		b.Close()
	})
	return b
}

func nodeAddr(i int) netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 1, byte(1 + i)}) }

// serve runs a server at the address of the one before.
func (b *boss) serve() {
	b.TB.Helper()
	cfg := Config{
		Addrs: []netip.AddrPort{b.addr}, Snapshot: b.Reg.Snapshot,
		Effects: &Recorder{States: machineStates{b.Runner}, Registry: b.Reg, Logs: b.logs(), Now: time.Now},
		Log:     slog.New(slog.NewTextHandler(b.said, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if b.change != nil {
		b.change(&cfg)
	}
	var err error
	if b.server, err = New(cfg); err != nil {
		b.TB.Fatal(err)
	}
	b.addr = b.server.Addrs()[0]
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.server.Run(ctx) }()
	b.stop = func() {
		cancel()
		if err := <-done; err != nil {
			b.TB.Error(err)
		}
	}
}

// crash is a loss of power in the middle of what is being done: from this
// moment nobody is told anything, and what is on the disk is all that is left.
// Then the appliance starts again.
func (b *boss) crash() {
	b.TB.Helper()
	b.server.gate.closeAll()
	left := b.FS.CrashClone(vfs.CrashCloneCfg{})
	b.stop()
	b.Close()
	b.FS = left
	b.Open()
	b.Run()
	b.serve()
}

func (b *boss) logs() *bloblog.Logs { return bloblog.New(b.Store, bloblog.DefaultLimits(), nil) }

// logText is a node's newest boot log.
func (b *boss) logText(node string) string {
	b.TB.Helper()
	var out bytes.Buffer
	if err := b.logs().WriteTo(context.Background(), &out, node, 0, 0); err != nil {
		b.TB.Error(err)
	}
	return out.String()
}

// ask sends a request from a node, half-closes and returns the reply.
func (b *boss) ask(from, request string) (string, error) {
	b.TB.Helper()
	conn := dial(b.TB, b.server, from)
	defer conn.Close()
	return ask(b.TB, conn, true, request)
}

// want asks and compares.
func (b *boss) want(from, request, reply string) {
	b.TB.Helper()
	if got, err := b.ask(from, request); err != nil || got != reply {
		b.TB.Errorf("%.60q from %s: %q, %v, want %q", request, from, got, err, reply)
	}
}
