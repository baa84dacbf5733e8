package mfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"hyzer/netsvc/tmcd"
	"hyzer/storage/bloblog"
	"hyzer/storage/registry"
)

// server is a tmcd that notes what is told and how much of the log was there
// then. Logs that are sent whole are noted as "log".
type server struct {
	tmcd.Effects
	mu     sync.Mutex
	did    []string
	text   []byte
	logs   int
	closed bool
}

func (s *server) note(format string, args ...any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.did = append(s.did, fmt.Sprintf(format, args...)+fmt.Sprintf(" after %d closed %t", len(s.text), s.closed))
	return nil
}

func (s *server) Report(_ context.Context, node, _ string, states ...string) error {
	return s.note("%s %s", node, strings.Join(states, ","))
}

func (s *server) BootErrno(_ context.Context, node string, errno int) error {
	return s.note("%s errno %d", node, errno)
}

func (s *server) Alive(context.Context, string) error { return nil }

func (s *server) BootLog(_ context.Context, _ string, text io.Reader) error {
	all, err := io.ReadAll(text)
	s.mu.Lock()
	s.text, s.closed, s.logs = all, true, s.logs+1
	s.mu.Unlock()
	return err
}

// growing is a server that takes logs while they grow.
type growing struct{ *server }

func (g growing) LiveLogs() tmcd.LiveLogs { return g }

func (g growing) Begin(context.Context, string) (uint64, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.logs++
	return uint64(g.logs), nil
}

func (g growing) Get(context.Context, string, uint64) (*bloblog.Log, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return &bloblog.Log{Bytes: int64(len(g.text)), Closed: g.closed}, nil
}

func (g growing) Append(_ context.Context, _ string, _ uint64, offset int64, text []byte) (int64, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if offset != int64(len(g.text)) {
		return int64(len(g.text)), bloblog.ErrGap
	}
	g.text = append(g.text, text...)
	return int64(len(g.text)), nil
}

func (g growing) Close(context.Context, string, uint64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	return nil
}

// serve runs a server for node n1 at 127.0.1.1.
func serve(t *testing.T, effects tmcd.Effects) (port uint16) {
	t.Helper()
	snapshot := registry.NewSnapshot(&registry.SiteFile{
		Site:  &registry.Site{Domain: "example.org", BossName: "boss", BossIP: netip.MustParseAddr("127.0.0.1")},
		Types: []registry.NodeType{{Name: "t", Class: "pc"}},
		Nodes: []registry.Node{{ID: "n1", Type: "t", Interfaces: []registry.Interface{{Name: "eth0", Role: registry.InterfaceControl, IP: netip.MustParseAddr("127.0.1.1")}}}},
	})
	s, err := tmcd.New(tmcd.Config{Addrs: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}, Snapshot: func() *registry.Snapshot { return snapshot },
		Effects: effects, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s.Addrs()[0].Port()
}

// TestBootLogIsAlwaysSent: whatever the machine does, the server has all that
// was printed before it hears how it went, and once; a server that takes logs
// while they grow has it before the end.
func TestBootLogIsAlwaysSent(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		do   func(m *machine, ctx context.Context) error
		want string // LOG is the log's length
	}{
		{"a loaded disk", func(m *machine, ctx context.Context) error {
			_, err := m.askAsLoader(ctx, "state RELOADING")
			if err == nil {
				_, err = m.askAsLoader(ctx, "state RELOADDONEV2")
			}
			return err
		}, "n1 RELOADDONEV2 after LOG closed true"},
		{"a system", (*machine).setUp, "n1 ISUP after LOG closed true"},
		{"a failure", func(m *machine, ctx context.Context) error { return m.failed(ctx, errors.New("no disk")) },
			"n1 errno 1 after LOG closed true; n1 TBFAILED after LOG closed true"},
	} {
		for _, live := range []bool{true, false} {
			t.Run(fmt.Sprint(tc.name, ", live ", live), func(t *testing.T) {
				t.Parallel()
				s := &server{}
				effects := tmcd.Effects(s)
				if live {
					effects = growing{s}
				}
				var console bytes.Buffer
				m := newMachine(&console)
				m.ports = []uint16{serve(t, effects)}
				m.net.lease.IP, m.net.lease.Next = netip.MustParseAddr("127.0.1.1"), netip.MustParseAddr("127.0.0.1")
				m.log.Info("before the network")
				m.openLog(t.Context())
				defer m.dropLog()
				m.log.Info("loading")
				if live {
					if err := m.sending.Flush(t.Context()); err != nil {
						t.Fatal(err)
					}
					s.mu.Lock()
					if text := string(s.text); !strings.Contains(text, "before the network") || !strings.Contains(text, "loading") || s.closed {
						t.Errorf("while it grows: %q, closed %t", text, s.closed)
					}
					s.mu.Unlock()
				}
				if err := tc.do(m, t.Context()); err != nil {
					t.Fatal(err)
				}
				s.mu.Lock()
				defer s.mu.Unlock()
				told := strings.Join(s.did, "; ")
				if want := strings.ReplaceAll(tc.want, "LOG", fmt.Sprint(len(s.text))); !strings.HasSuffix(told, want) || s.logs != 1 {
					t.Errorf("told %s in %d logs, want %s", told, s.logs, want)
				}
				if !strings.HasPrefix(console.String(), string(s.text)) || !strings.Contains(string(s.text), "loading") {
					t.Errorf("log is %q, console %q", s.text, &console)
				}
			})
		}
	}
}

// TestBootGoesOnWithoutItsLog: a server that is not there costs a moment.
func TestBootGoesOnWithoutItsLog(t *testing.T) {
	t.Parallel()
	var console bytes.Buffer
	m := newMachine(&console)
	m.ports = []uint16{1} // nobody listens there
	m.net.lease.IP, m.net.lease.Next = netip.MustParseAddr("127.0.1.1"), netip.MustParseAddr("127.0.0.1")
	m.openLog(t.Context())
	if err := m.endLog(t.Context(), 200*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	m.logBefore(ended, "the system's kernel")
	if !strings.Contains(console.String(), "the log is not stored") {
		t.Errorf("console %q", &console)
	}
}
