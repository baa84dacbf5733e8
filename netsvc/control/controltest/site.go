// Package controltest runs a control server on a small site in memory, with
// the real store, registry, state machine and load manager, and machines that
// play their part in a script. It is for the tests of control and of
// cmd/hyzer.
package controltest

import (
	"bytes"
	"context"
	_ "embed" // the site file
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"hyzer/netsvc/control"
	"hyzer/netsvc/lifecycle/load"
	"hyzer/netsvc/lifecycle/stated"
	"hyzer/netsvc/lifecycle/states"
	"hyzer/storage/bloblog"
	"hyzer/storage/kv/pebblekv"
	"hyzer/storage/registry"
)

//go:embed site.yaml
var siteYAML []byte

// Site is a running control server and what is below it.
type Site struct {
	FS       *vfs.MemFS
	Registry *registry.Registry
	Runner   *stated.Runner
	Machines *Machines
	ImageDir string
	Address  string // for control.Dial
	Client   *control.Client

	logs     *bloblog.Logs
	stop     context.CancelFunc
	stopped  chan error
	progress sync.Map // node -> control.Progress
}

// New serves on a unix socket in a folder of the test.
func New(tb testing.TB) *Site { return NewOn(tb, "unix", filepath.Join(tb.TempDir(), "control.sock")) }

// NewOn serves on an address of a network, "unix" or "tcp".
func NewOn(tb testing.TB, network, address string) *Site {
	tb.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		tb.Fatal(err)
	}
	s := &Site{FS: vfs.NewMem(), Address: listener.Addr().String(), ImageDir: tb.TempDir()}
	if err := s.openRegistry(tb); err != nil {
		tb.Fatal(err)
	}
	s.Machines = &Machines{site: s, script: map[string][]string{}}
	s.Runner = stated.New(stated.Config{Registry: s.Registry, Actor: s.Machines, Log: quiet()})
	loads := load.New(s.Registry, s.Runner, quiet())
	run(tb, s.Runner.Run)
	run(tb, loads.Run)
	s.serve(tb, listener, loads)
	s.Client = control.Dial(s.Address)
	tb.Cleanup(s.Client.Close)
	return s
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// openRegistry opens the store in memory with the site in it; both are closed
// when the test ends, after what is begun later.
func (s *Site) openRegistry(tb testing.TB) error {
	store, err := pebblekv.Open("/db", pebblekv.Options{FS: s.FS, Logger: quiet()})
	if err != nil {
		return err
	}
	tb.Cleanup(func() {
		if err := store.Close(); err != nil {
			tb.Error(err)
		}
	})
	s.logs = bloblog.New(store, bloblog.DefaultLimits(), nil)
	if s.Registry, err = registry.Open(tb.Context(), store, quiet()); err != nil {
		return err
	}
	tb.Cleanup(s.Registry.Close)
	if err := s.Registry.EnsureHoldings(tb.Context()); err != nil {
		return err
	}
	file, err := registry.ParseSiteFile(bytes.NewReader(siteYAML))
	if err != nil {
		return err
	}
	return s.Registry.Import(tb.Context(), file)
}

// run runs what is below the server until the test ends.
func run(tb testing.TB, what func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- what(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			tb.Error(err)
		}
	})
}

func (s *Site) serve(tb testing.TB, listener net.Listener, loads *load.Manager) {
	server := control.New(control.Config{
		Listener: listener, Registry: s.Registry, Runner: s.Runner, Loads: loads, BootLogs: bootLogs{s.logs}, WantLog: watching, Order: s.Machines.Order,
		Explain: explain, Progress: s.newest, Status: s.status, ImageDir: s.ImageDir, Log: quiet(),
	})
	ctx, cancel := context.WithCancel(context.Background())
	s.stop, s.stopped = cancel, make(chan error, 1)
	go func() { s.stopped <- server.Run(ctx) }()
	tb.Cleanup(func() {
		if err := s.Stop(); err != nil {
			tb.Error(err)
		}
	})
}

// Stop stops the server, not what is below it, and returns what Run returned.
func (s *Site) Stop() error {
	s.stop()
	err := <-s.stopped
	s.stopped <- err
	return err
}

// SetProgress sets a loader's newest report.
func (s *Site) SetProgress(node string, p control.Progress) { s.progress.Store(node, p) }

func (s *Site) newest() map[string]control.Progress {
	out := map[string]control.Progress{}
	s.progress.Range(func(node, p any) bool {
		out[node.(string)] = p.(control.Progress)
		return true
	})
	return out
}

func (s *Site) status() control.Status {
	snap := s.Registry.Snapshot()
	return control.Status{
		Version: "test", Started: time.Now(), Revision: snap.Revision(), Nodes: snap.NodeCount(),
		Services: []control.Service{{Name: "tftp", Addr: "127.0.0.1:69"}}, Counts: map[string]int64{"tftp.files": 3},
	}
}

// StoreBootLog stores a node's boot log.
func (s *Site) StoreBootLog(tb testing.TB, node, text string) {
	tb.Helper()
	if err := s.logs.Store(context.Background(), node, strings.NewReader(text)); err != nil {
		tb.Fatal(err)
	}
}

func explain(s control.Subject) []control.Section {
	return []control.Section{{Service: "dhcp", Text: fmt.Sprintf("mac %s ip %s\n", s.MAC, s.IP)}}
}

type bootLogs struct{ logs *bloblog.Logs }

func (b bootLogs) List(ctx context.Context, node string) (out []control.BootLog, err error) {
	logs, err := b.logs.List(ctx, node)
	for _, l := range logs {
		out = append(out, control.BootLog{ID: strconv.FormatUint(l.Boot, 10), Began: l.Started, Bytes: l.Bytes, Closed: l.Closed})
	}
	return out, err
}

func (b bootLogs) Copy(ctx context.Context, node, id string, w io.Writer) error {
	boot, _ := strconv.ParseUint(id, 10, 64)
	return b.logs.WriteTo(ctx, w, node, boot, 0)
}

// Machines implements stated.Actor: a machine that is rebooted reports what
// its script says, or what a good machine would.
type Machines struct {
	site *Site

	mu     sync.Mutex
	script map[string][]string
	orders []string
}

// Script makes a node report these states after every reboot.
func (m *Machines) Script(node string, states ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.script[node] = states
}

// Orders lists "node method" of what was ordered so far.
func (m *Machines) Orders() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.orders...)
}

// Order stands for control.Config.Order: it notes orders to nodes that wait.
func (m *Machines) Order(_ context.Context, node string, order states.LoaderOrder, force bool) error {
	if state := states.State(m.site.Registry.Snapshot().State(node).State); !force && !state.TakesOrders() {
		return fmt.Errorf("node %s does not wait for orders (state %s)", node, state)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.orders = append(m.orders, node+" order "+string(order))
	return nil
}

// Reboot implements stated.Actor.
func (m *Machines) Reboot(ctx context.Context, node string, method states.Method) error {
	m.mu.Lock()
	m.orders = append(m.orders, node+" "+string(method))
	script, fixed := m.script[node]
	m.mu.Unlock()
	if !fixed {
		script = []string{"SHUTDOWN", "PXEBOOTING", "BOOTING", "TBSETUP", "ISUP"}
		if m.site.Registry.Snapshot().Load(node) != nil {
			script = []string{"SHUTDOWN", "PXEBOOTING", "BOOTING", "RELOADSETUP", "RELOADING", "RELOADDONEV2"}
		}
	}
	for _, state := range script {
		if err := m.site.Runner.Report(ctx, node, "client", state); err != nil {
			return err
		}
	}
	return nil
}

// PingUp implements stated.Actor.
func (*Machines) PingUp(context.Context, string) bool { return true }

// RunScript implements stated.Actor.
func (*Machines) RunScript(context.Context, string, string) error { return nil }

// watching has pc1 watch, and no other node.
func watching(node string) int {
	if node == "pc1" {
		return 1
	}
	return 0
}
