package framed_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"hyzer/netsvc/tmc2"
	"hyzer/netsvc/tmcc/framed"
	"hyzer/netsvc/tmcd"
	"hyzer/storage/registry"
)

// relay passes datagrams on between a client and the server, each as often and
// in the order that its functions say. It asks from the node's address.
type relay struct {
	there func(n int, data []byte) [][]byte // to the server; n counts from 0
	back  func(n int, data []byte) [][]byte
	addr  netip.AddrPort
}

// as it came.
func faithful(_ int, data []byte) [][]byte { return [][]byte{data} }

func (r *relay) run(t *testing.T, server netip.AddrPort) {
	t.Helper()
	in, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	out, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.1.1:0")), net.UDPAddrFromAddrPort(server))
	if err != nil {
		t.Fatal(err)
	}
	r.addr = in.LocalAddr().(*net.UDPAddr).AddrPort()
	client := make(chan netip.AddrPort, 1)
	var work sync.WaitGroup
	work.Go(func() {
		buf := make([]byte, 2048)
		for n := 0; ; n++ {
			size, peer, err := in.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			if n == 0 {
				client <- peer
			}
			for _, data := range r.there(n, slices.Clone(buf[:size])) {
				_, _ = out.Write(data)
			}
		}
	})
	work.Go(func() {
		buf := make([]byte, 2048)
		var peer netip.AddrPort
		for n := 0; ; n++ {
			size, err := out.Read(buf)
			if err != nil {
				return
			}
			if n == 0 {
				peer = <-client
			}
			for _, data := range r.back(n, slices.Clone(buf[:size])) {
				_, _ = in.WriteToUDPAddrPort(data, peer)
			}
		}
	})
	t.Cleanup(func() {
		in.Close()
		out.Close()
		work.Wait()
	})
}

// largeSite has a node whose userenv is so long, and one whose is too long for
// UDP.
func largeSite(bytes int) *registry.Snapshot {
	file := &registry.SiteFile{
		Site:     &registry.Site{Domain: "example.org", BossName: "boss", BossIP: netip.MustParseAddr("127.0.0.1")},
		Projects: []registry.Project{{ID: "p"}},
		Types:    []registry.NodeType{{Name: "t", Class: "pc"}},
		Nodes: []registry.Node{{ID: "n1", Type: "t", Interfaces: []registry.Interface{
			{Name: "eth0", Role: registry.InterfaceControl, IP: netip.MustParseAddr("127.0.1.1")}}}},
		Experiments:  []registry.Experiment{{Project: "p", ID: "e"}},
		Reservations: []registry.Reservation{{Node: "n1", Experiment: "p/e", VName: "a"}},
	}
	for len(file.Experiments[0].Environment)*100 < bytes {
		file.Experiments[0].Environment = append(file.Experiments[0].Environment,
			registry.Setting{Name: fmt.Sprintf("V%08d", len(file.Experiments[0].Environment)), Value: strings.Repeat("x", 89)})
	}
	return registry.NewSnapshot(file)
}

// TestLossyNetwork asks the real server over sockets on which datagrams are
// lost, repeated and reordered: what has effects has them once.
func TestLossyNetwork(t *testing.T) {
	t.Parallel()
	lose := func(first int) func(int, []byte) [][]byte {
		return func(n int, data []byte) [][]byte {
			if n < first {
				return nil
			}
			return [][]byte{data}
		}
	}
	often := func(_ int, data []byte) [][]byte { return [][]byte{data, data, data} }
	var held [][]byte
	backwards := func(_ int, data []byte) [][]byte { // the server sends four fragments
		if held = append(held, data); len(held)%4 != 0 {
			return nil
		}
		out := slices.Clone(held[len(held)-4:])
		slices.Reverse(out)
		return append(out, out...)
	}
	for _, tc := range []struct {
		name        string
		there, back func(int, []byte) [][]byte
		words       string
		bytes       int
		want        string // code and size of the reply
		effects     int
	}{
		{"nothing happens", faithful, faithful, "state ISUP", 0, "1 0", 1},
		{"the request is lost", lose(1), faithful, "state ISUP", 0, "1 0", 1},
		{"the answer is lost", faithful, lose(1), "state ISUP", 0, "1 0", 1},
		{"all comes three times", often, often, "state ISUP", 0, "1 0", 1},
		{"fragments come backwards and twice", faithful, backwards, "userenv", 4000, "0 4000", 0},
		{"some fragments are lost", faithful, lose(3), "userenv", 4000, "0 4000", 0},
		{"too long for UDP", faithful, faithful, "userenv", 9000, "15 0", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			snapshot := largeSite(tc.bytes)
			told := &counted{}
			server, stop := serve(t, tmcd.Config{Addrs: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")},
				Snapshot: func() *registry.Snapshot { return snapshot }, Effects: told, Log: slog.New(slog.DiscardHandler)})
			t.Cleanup(stop)
			r := relay{there: tc.there, back: tc.back}
			r.run(t, server)
			words := strings.Fields(tc.words)
			reply, status, err := (&framed.Datagrams{Addr: r.addr}).Do(t.Context(), words[0], words[1:])
			if got := fmt.Sprintf("%d %d", status.Code, len(reply)); err != nil || got != tc.want {
				t.Errorf("%s, %v, want %s", got, err, tc.want)
			}
			if n := told.count(); n != tc.effects {
				t.Errorf("executed %d times, want %d", n, tc.effects)
			}
		})
	}
}

// TestProofs: a client that proves who it is does not show its key, but where
// the server would not know it otherwise.
func TestProofs(t *testing.T) {
	t.Parallel()
	const key = "0123456789abcdef0123456789abcdef"
	file := &registry.SiteFile{
		Site: &registry.Site{Domain: "example.org", BossName: "boss", BossIP: netip.MustParseAddr("127.0.0.1")},
		Types: []registry.NodeType{{Name: "t", Class: "pc", Attributes: map[string]string{tmcd.AttributePolicy: "auth-always"}},
			{Name: "far", Class: "pc", Remote: true}},
		Nodes: []registry.Node{{ID: "n1", Type: "t", WideAreaKey: key, Interfaces: []registry.Interface{
			{Name: "eth0", Role: registry.InterfaceControl, IP: netip.MustParseAddr("127.0.1.1")}}},
			{ID: "v1", Type: "t", Host: "n1", JailIP: netip.MustParseAddr("127.0.1.11")},
			{ID: "far", Type: "far", WideAreaKey: key + key}},
	}
	snapshot := registry.NewSnapshot(file)
	server, stop := serve(t, tmcd.Config{Addrs: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")},
		Snapshot: func() *registry.Snapshot { return snapshot }, Effects: &counted{}, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(stop)
	for _, tc := range []struct {
		name, from string
		client     *framed.Client
		want       string
		shown      bool // the key went over the network
	}{
		{"without a key", "127.0.1.1", &framed.Client{}, "23 ", false},
		{"with its key", "127.0.1.1", &framed.Client{PrivKey: key, Key: framed.Key{Text: key}}, "0 n1\n", false},
		{"with another's", "127.0.1.1", &framed.Client{PrivKey: key + key, Key: framed.Key{Text: key + key}}, "23 ", false},
		{"a virtual node", "127.0.1.11", &framed.Client{VNode: "v1", Key: framed.Key{Text: tmc2.VNodeKey(key, "v1"), VNode: "v1"}}, "0 v1\n", false},
		{"a remote node", "127.0.1.99", &framed.Client{PrivKey: key + key, Key: framed.Key{Text: key + key}}, "0 far\n", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := tc.client
			var sent tap
			c.Addrs, c.Bind, c.BootID = []netip.AddrPort{server}, netip.MustParseAddr(tc.from), framed.NewBootID()
			c.Secure = sent.on
			defer c.Close()
			if got := mustDo(t, c, "nodeid"); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
			if shown := sent.has(key); shown != tc.shown {
				t.Errorf("the key was sent: %t, want %t", shown, tc.shown)
			}
		})
	}
}

// tap listens to what a client sends.
type tap struct {
	net.Conn
	mu   sync.Mutex
	sent []byte
}

// on wraps a connection, in place of TLS.
func (p *tap) on(_ context.Context, conn net.Conn) (net.Conn, error) {
	p.Conn = conn
	return p, nil
}

func (p *tap) Write(b []byte) (int, error) {
	p.mu.Lock()
	p.sent = append(p.sent, b...)
	p.mu.Unlock()
	return p.Conn.Write(b)
}

func (p *tap) has(text string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Contains(string(p.sent), text)
}

// counted counts states.
type counted struct {
	tmcd.Effects
	mu sync.Mutex
	n  int
}

func (c *counted) Report(context.Context, string, string, ...string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return nil
}

func (c *counted) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}
