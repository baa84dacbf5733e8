package noderun

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"hyzer/netsvc/lifecycle/stated"
	"hyzer/netsvc/lifecycle/stated/statedtest"
	"hyzer/netsvc/tmcd"
	"hyzer/storage/bloblog"
	"hyzer/storage/kv/pebblekv"
	"hyzer/storage/registry"
)

// nodeAddr is the address of n1, which hosts the virtual node vm1.
const nodeAddr = "127.0.1.1"

// site is an appliance as far as these tests need it.
type site struct {
	tb    testing.TB
	reg   *registry.Registry
	logs  *bloblog.Logs
	order *ordered
	addr  string
	// server is the one that was begun last.
	server *tmcd.Server
}

// ordered notes the effects in the order in which they became durable.
type ordered struct {
	tmcd.Effects
	mu     sync.Mutex
	done   []string
	logged chan struct{} // holds one when a whole log has come
}

func (o *ordered) note(err error, format string, args ...any) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err == nil {
		o.done = append(o.done, fmt.Sprintf(format, args...))
	}
	return err
}

// live is ordered on a server that takes logs while they grow. It notes how
// much of the newest log was durable at each effect.
type live struct {
	*ordered
	logs *bloblog.Logs
}

func (l *live) LiveLogs() tmcd.LiveLogs { return l.logs }

func (l *live) Report(ctx context.Context, node, source string, states ...string) error {
	return l.note(l.Effects.Report(ctx, node, source, states...), "%s state %s after %s", node, strings.Join(states, ","), l.size(node))
}

func (l *live) BootErrno(ctx context.Context, node string, errno int) error {
	return l.note(l.Effects.BootErrno(ctx, node, errno), "%s errno %d after %s", node, errno, l.size(node))
}

func (l *live) size(node string) string {
	log, err := l.logs.Get(context.Background(), node, 0)
	if err != nil {
		return "no log"
	}
	return fmt.Sprint(log.Bytes)
}

func (o *ordered) Report(ctx context.Context, node, source string, states ...string) error {
	return o.note(o.Effects.Report(ctx, node, source, states...), "%s state %s", node, strings.Join(states, ","))
}

func (o *ordered) BootErrno(ctx context.Context, node string, errno int) error {
	return o.note(o.Effects.BootErrno(ctx, node, errno), "%s errno %d", node, errno)
}

func (o *ordered) BootLog(ctx context.Context, node string, text io.Reader) error {
	defer token(o.logged)
	return o.note(o.Effects.BootLog(ctx, node, text), "%s log", node)
}

func (o *ordered) HostReport(ctx context.Context, h tmcd.HostReport) error {
	return o.note(o.Effects.HostReport(ctx, h), "%s host", h.Node)
}

func (o *ordered) UsageReport(ctx context.Context, u tmcd.UsageReport) error {
	return o.note(o.Effects.UsageReport(ctx, u), "%s usage", u.Node)
}

func (o *ordered) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(o.done, "\n")
}

const siteText = `
site: {domain: example.org, boss_name: boss, boss_ip: 127.0.0.1, vars: {watchdog/interval: "60", watchdog/isalive/local: "3", watchdog/rusage: "5", watchdog/ntpdrift: "240", watchdog/hostkeys: "999999"}}
projects: [{id: p}]
experiments: [{project: p, id: e}]
types: [{name: pc, class: pc}, {name: pcvm, class: pcvm}]
nodes:
- {id: n1, type: pc, interfaces: [{name: eth0, role: ctrl, ip: 127.0.1.1}]}
- {id: vm1, type: pcvm, host: n1, jailed: true}
reservations: [{node: n1, experiment: p/e, vname: nodea}, {node: vm1, experiment: p/e, vname: nodeb}]
`

type nodeStates struct{ *stated.Runner }

func (nodeStates) Reset(context.Context, string) error { return nil }

func newSite(tb testing.TB) *site {
	tb.Helper()
	quiet := slog.New(slog.DiscardHandler)
	store, err := pebblekv.Open("db", pebblekv.Options{FS: vfs.NewMem(), Logger: quiet})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { store.Close() })
	reg, err := registry.Open(tb.Context(), store, quiet)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(reg.Close)
	file, err := registry.ParseSiteFile(strings.NewReader(siteText))
	if err == nil {
		err = reg.Import(tb.Context(), file)
	}
	if err != nil {
		tb.Fatal(err)
	}
	s := &site{tb: tb, reg: reg, logs: bloblog.New(store, bloblog.DefaultLimits(), nil)}
	runner := stated.New(stated.Config{Registry: reg, Actor: &statedtest.Actor{}, Log: quiet})
	s.order = &ordered{logged: make(chan struct{}, 1), Effects: &tmcd.Recorder{States: nodeStates{runner}, Registry: reg, Logs: s.logs, Now: time.Now}}
	s.serve(s.order)
	return s
}

// takeLive changes to a server that takes logs while they grow.
func (s *site) takeLive() { s.serve(&live{s.order, s.logs}) }

func (s *site) serve(effects tmcd.Effects) {
	server, err := tmcd.New(tmcd.Config{
		Addrs: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}, Snapshot: s.reg.Snapshot, Moved: s.reg.Moved, Effects: effects,
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		s.tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	s.tb.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.tb.Error(err)
		}
	})
	s.addr, s.server = server.Addrs()[0].String(), server
}

// env is n1's environment.
func (s *site) env(key string) string {
	return map[string]string{"BOSSNAME": s.addr, "HYZER_BIND": nodeAddr}[key]
}

// log is a node's newest boot log.
func (s *site) log(node string) string {
	s.tb.Helper()
	var b bytes.Buffer
	if err := s.logs.WriteTo(s.tb.Context(), &b, node, 0, 0); err != nil {
		s.tb.Fatal(err)
	}
	return b.String()
}

// script writes a shell script and returns its path.
func script(tb testing.TB, dir, name, text string) string {
	tb.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		tb.Fatal(err)
	}
	return path
}

// fakeBoss answers by a function and keeps what it was asked.
type fakeBoss struct {
	answer func(n int, c Call) (string, error) // n counts calls from 0
	mu     sync.Mutex
	calls  []string
	files  []string // what their files held
}

func (b *fakeBoss) Ask(_ context.Context, c Call) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := c.String()
	if c.VNode != "" {
		text = "-n " + c.VNode + " " + text
	}
	if c.UDP {
		text = "udp " + text
	}
	if c.File != "" {
		file, err := os.ReadFile(c.File)
		if err != nil {
			return "", err
		}
		b.files = append(b.files, string(file))
	}
	b.calls = append(b.calls, text)
	if b.answer == nil {
		return "", nil
	}
	return b.answer(len(b.calls)-1, c)
}

func (b *fakeBoss) asked() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.calls)
}

// contextEnded is a context that has ended already if it should.
func contextEnded(tb testing.TB, ended bool) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(tb.Context())
	if ended {
		cancel()
	}
	return ctx, cancel
}
