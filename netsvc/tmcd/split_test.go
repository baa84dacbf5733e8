package tmcd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"hyzer/storage/registry"
)

// segments is a connection whose client has sent these pieces and half-closed:
// each Read returns what is left of one piece.
type segments struct {
	pieces [][]byte
	reply  bytes.Buffer
}

func (c *segments) Read(b []byte) (int, error) {
	for len(c.pieces) > 0 && len(c.pieces[0]) == 0 {
		c.pieces = c.pieces[1:]
	}
	if len(c.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(b, c.pieces[0])
	c.pieces[0] = c.pieces[0][n:]
	return n, nil
}

func (c *segments) Write(b []byte) (int, error)      { return c.reply.Write(b) }
func (c *segments) Close() error                     { return nil }
func (c *segments) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *segments) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *segments) SetDeadline(time.Time) error      { return nil }
func (c *segments) SetReadDeadline(time.Time) error  { return nil }
func (c *segments) SetWriteDeadline(time.Time) error { return nil }

// witness is an Effects that writes down what it was to do.
type witness struct{ did strings.Builder }

func (w *witness) note(what ...any) error {
	fmt.Fprintln(&w.did, what...)
	return nil
}

func (w *witness) Report(_ context.Context, node, source string, states ...string) error {
	return w.note(node, source, states)
}
func (w *witness) Expect(node, source string) recordAnswer    { return reportOf(w, node, source) }
func (w *witness) Reset(_ context.Context, node string) error { return w.note(node, "reset") }
func (w *witness) BootErrno(_ context.Context, node string, errno int) error {
	return w.note(node, "errno", errno)
}
func (w *witness) BootLog(_ context.Context, node string, text io.Reader) error {
	all, err := io.ReadAll(text)
	_ = w.note(node, "log", string(all), err)
	return err
}
func (w *witness) StartStatus(_ context.Context, node string, status int) error {
	return w.note(node, "startstatus", status)
}
func (w *witness) Ready(_ context.Context, node string) error { return w.note(node, "ready") }
func (w *witness) Alive(_ context.Context, node string) error { return w.note(node, "alive") }
func (w *witness) AccountsFetched(_ context.Context, node string) error {
	return w.note(node, "accounts")
}
func (w *witness) HostReport(_ context.Context, r HostReport) error   { return w.note(r) }
func (w *witness) UsageReport(_ context.Context, r UsageReport) error { return w.note(r) }
func (w *witness) BatteryReport(_ context.Context, r BatteryReport) error {
	return w.note(r)
}
func (w *witness) RegisterPort(_ context.Context, p PortRegistration) error { return w.note(p) }
func (w *witness) RootPassword(_ context.Context, p RootPassword) error     { return w.note(p) }
func (w *witness) ConsoleAt(_ context.Context, c ConsoleReport) error       { return w.note(c) }

// whole is a server on a site that does not change, asked without sockets.
type whole struct {
	*Server
	saw *witness
}

func newWhole(tb testing.TB, site *registry.SiteFile, change func(*Config)) *whole {
	tb.Helper()
	snapshot, saw := registry.NewSnapshot(site), &witness{}
	s, _ := startServer(tb, func(c *Config) {
		c.Snapshot, c.Effects = func() *registry.Snapshot { return snapshot }, saw
		if change != nil {
			change(c)
		}
	})
	s.handler.Random = func(b []byte) { clear(b) }
	return &whole{s, saw}
}

// ask gives the server a connection whose client sent these pieces, and
// returns the reply and what was done.
func (w *whole) ask(from netip.Addr, pieces ...string) (reply, did string, err error) {
	conn := &segments{}
	for _, p := range pieces {
		conn.pieces = append(conn.pieces, []byte(p))
	}
	w.saw.did.Reset()
	err = w.serveConn(conn, from)
	return conn.reply.String(), w.saw.did.String(), err
}

// TestGoldenSplits cuts every golden request in two at every place, and into
// single bytes. The answer and the effects are those of the whole. The race
// detector sees every 16th cut: nothing here is concurrent.
func TestGoldenSplits(t *testing.T) {
	t.Parallel()
	w := newWhole(t, goldenSite(t), nil)
	step, cuts := 1, 0
	if raceDetector {
		step = 16
	}
	seen := map[string]bool{}
	for _, x := range goldenExchanges(t) {
		key := x.Src.String() + " " + x.Request
		if x.Transport != "tcp" || seen[key] {
			continue
		}
		seen[key] = true
		reply, did, err := w.ask(x.Src, x.Request)
		if err != nil {
			t.Fatalf("%s: %v", x.ID, err)
		}
		for at := len(x.ID) % step; at <= len(x.Request); at += step {
			w.same(t, x.ID, reply, did, x.Src, x.Request[:at], x.Request[at:])
			cuts++
		}
		w.same(t, x.ID, reply, did, x.Src, strings.Split(x.Request, "")...)
	}
	t.Logf("%d requests, %d cuts", len(seen), cuts)
	if len(seen) < 1130 || step == 1 && cuts < 40_000 {
		t.Error("there have been more")
	}
}

func (w *whole) same(t *testing.T, id, reply, did string, from netip.Addr, pieces ...string) {
	t.Helper()
	gotReply, gotDid, err := w.ask(from, pieces...)
	if err != nil || gotReply != reply || gotDid != did {
		t.Fatalf("%s cut into %d pieces, first %.80q:\n got %q, %q, %v\nwant %q, %q", id, len(pieces), pieces[0], gotReply, gotDid, err, reply, did)
	}
}
