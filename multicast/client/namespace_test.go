package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"hyzer/bench/netns"
	"hyzer/bench/netns/netnstest"
	"hyzer/multicast/client"
	"hyzer/multicast/server"
	"hyzer/multicast/wire"
)

// The tests of this file run on real ports, in namespaces of their own: a
// server behind a bridge and a client behind each of its ports, which lose
// packets in both directions.

// oldProgramsEnv names a folder with the C programs. Where it is not set, our
// client without mode 2 stands for theirs.
const oldProgramsEnv = "HYZER_OLD_FRISBEE"

var (
	bridgeAddr = netip.MustParsePrefix("10.98.7.1/24")
	bridged    = netip.MustParseAddrPort("239.192.1.77:7077")

	bridgeAddr6 = netip.MustParsePrefix("fd98:7::1/64")
	bridged6    = netip.MustParseAddrPort("[ff15::77]:7076")
)

// bridge is a site in namespaces.
type bridge struct {
	*netns.Network
	t    *testing.T
	path string
	want []byte
}

func nodeAddr(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 98, 7, byte(n) + 10}) }

func nodeAddr6(n int) netip.Addr {
	a := bridgeAddr6.Addr().As16()
	a[15] = byte(n) + 10
	return netip.AddrFrom16(a)
}

// newBridge makes a site of that many nodes with an image, or skips with what
// is missing.
func newBridge(t *testing.T, nodes, imageBytes int, loss float64) *bridge {
	t.Helper()
	o := netns.Options{Server: bridgeAddr}
	for n := range nodes {
		o.MACs = append(o.MACs, [6]byte{2, 0x48, 0x59, 0, 2, byte(n)})
	}
	network := netnstest.New(t, o)
	b := &bridge{Network: network, t: t}
	netnstest.Command(b.t, b.Server, fmt.Sprintf("address add %v dev %s nodad\n", bridgeAddr6, b.Bridge), "ip", "-batch", "-")
	// Else a run of blocks crosses as one packet, and is lost as one.
	netnstest.Command(b.t, b.Server, fmt.Sprintf("link set dev %s gso_max_segs 1\n", b.Bridge), "ip", "-batch", "-")
	b.path, b.want = imageFile(t, imageBytes)
	for n, node := range b.Nodes {
		netnstest.Command(b.t, node, fmt.Sprintf("address add %v/24 dev %s\naddress add %v/64 dev %s nodad\n", nodeAddr(n), netns.Link, nodeAddr6(n), netns.Link), "ip", "-batch", "-")
	}
	b.lose(loss)
	return b
}

// lose drops that share of the datagrams that come to each node, each by itself,
// and of those that come from nodes. On a node itself a drop would be an error
// of the send.
func (b *bridge) lose(share float64) {
	b.t.Helper()
	if share == 0 {
		return
	}
	const scale = 10000
	drop := fmt.Sprintf("meta l4proto udp numgen random mod %d < %d drop", scale, int(share*scale))
	netnstest.Command(b.t, b.Server, fmt.Sprintf("table bridge loss {\n chain from { type filter hook prerouting priority 0; %s; }\n}", drop), "nft", "-f", "-")
	for _, node := range b.Nodes {
		netnstest.Command(b.t, node, fmt.Sprintf("table inet loss {\n chain to { type filter hook input priority 0; %s; }\n}", drop), "nft", "-f", "-")
	}
}

// serve runs a server of mode 2 behind the bridge until stop is called.
func (b *bridge) serve(change func(*server.Config)) (stop func() server.Stats) {
	b.t.Helper()
	image, err := server.OpenFile(b.path)
	if err != nil {
		b.t.Fatal(err)
	}
	cfg := server.Config{
		Image: image, Address: bridged, Iface: bridgeAddr.Addr(), Log: quiet, Mode2: true, Pace: server.Pace{BitsPerSec: 300_000_000},
	}
	if change != nil {
		change(&cfg)
	}
	var srv *server.Server
	if err := b.Server.Do(func() (err error) { srv, err = server.Open(cfg); return err }); err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- srv.Run(ctx) }()
	var once sync.Once
	stop = func() server.Stats {
		once.Do(func() { cancel(); <-result })
		return srv.Stats()
	}
	b.t.Cleanup(func() { stop() })
	return stop
}

// load runs our client on node n.
func (b *bridge) load(ctx context.Context, n int, mode2 bool) error {
	return b.loadWith(ctx, n, func(c *client.Config) { c.Mode2 = mode2 })
}

// loadWith is load with a config that is changed first.
func (b *bridge) loadWith(ctx context.Context, n int, change func(*client.Config)) error {
	var m memory
	cfg := client.Config{
		Address: bridged, Server: bridgeAddr.Addr(), Iface: nodeAddr(n), Raw: true,
		Sink: client.RawSink{W: &m}, Log: quiet, JoinTimeout: testTimeout, IdleTimeout: testTimeout,
	}
	change(&cfg)
	err := b.Nodes[n].Do(func() error {
		_, err := client.Run(ctx, cfg)
		return err
	})
	if err == nil && !bytes.Equal(m.data, b.want) {
		err = errors.New("content differs")
	}
	return err
}

// loadOld runs the C client on node n, or ours in its place.
func (b *bridge) loadOld(ctx context.Context, n int) error {
	programs := os.Getenv(oldProgramsEnv)
	if programs == "" {
		return b.load(ctx, n, false)
	}
	disk := filepath.Join(b.t.TempDir(), "disk")
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(programs, "frisbee"), "-N", "-i", nodeAddr(n).String(), "-S", bridgeAddr.Addr().String(),
		"-m", bridged.Addr().String(), "-p", fmt.Sprint(bridged.Port()), disk)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := b.Nodes[n].Start(cmd); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("C client: %w: %.2000s", err, out.String())
	}
	got, err := os.ReadFile(disk)
	if err == nil && !bytes.Equal(got, b.want) {
		err = errors.New("content differs")
	}
	const linesMax = 60 // those of an undisturbed load are about forty
	if lines := bytes.Count(out.Bytes(), []byte("\n")); lines > linesMax {
		err = errors.Join(err, fmt.Errorf("C client said %d lines: %.2000s", lines, out.String()))
	}
	return err
}

// TestNamespacesMixed: clients of both kinds load in one pass. With the C
// programs (HYZER_OLD_FRISBEE) the old ones are theirs. A client whose JOIN is
// lost comes when the pass is half over, and has the rest sent again; and on a
// busy machine sockets overrun. So how much is sent is told, and bounded in the
// simulation (TestSimulateMixed).
func TestNamespacesMixed(t *testing.T) {
	for _, loss := range []float64{0, 0.01, 0.05} {
		t.Run(fmt.Sprintf("loss %v", loss), func(t *testing.T) {
			const old, mode2 = 2, 2
			b := newBridge(t, old+mode2, 8*wire.ChunkBytes, loss)
			stop := b.serve(nil)
			ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
			defer cancel()
			var all sync.WaitGroup
			for n := range old + mode2 {
				all.Go(func() {
					load := b.loadOld
					if n >= old {
						load = func(ctx context.Context, n int) error { return b.load(ctx, n, true) }
					}
					if err := load(ctx, n); err != nil {
						t.Errorf("client %d: %v", n, err)
					}
				})
			}
			all.Wait()
			st := stop()
			sent := float64(st.BlocksSent+st.ParitySent) / float64(len(b.want)/wire.BlockBytes)
			t.Logf("%.3f datagrams sent per block; %d parity", sent, st.ParitySent)
			if sent < 1 || loss > 0 && st.ParitySent == 0 {
				t.Errorf("server: %+v", st)
			}
		})
	}
}

// TestNamespacesIPv6: a session in IPv6, to a group and to one client.
func TestNamespacesIPv6(t *testing.T) {
	for name, c := range map[string]struct {
		clients          int
		server, toServer netip.AddrPort
	}{
		"group":   {3, bridged6, bridged6},
		"unicast": {1, netip.AddrPortFrom(nodeAddr6(0), 7075), netip.AddrPortFrom(bridgeAddr6.Addr(), 7075)},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBridge(t, c.clients, 6*wire.ChunkBytes+5, 0.02)
			stop := b.serve(func(cfg *server.Config) {
				cfg.Address, cfg.Iface = c.server, bridgeAddr6.Addr()
				cfg.Key, cfg.Manifest, cfg.HeartbeatSeconds = siteKey(), signedManifest(t, b.want, nil), 1
			})
			ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
			defer cancel()
			var all sync.WaitGroup
			for n := range c.clients {
				all.Go(func() {
					err := b.loadWith(ctx, n, func(cfg *client.Config) {
						cfg.Address, cfg.Server, cfg.Iface, cfg.Key = c.toServer, bridgeAddr6.Addr(), nodeAddr6(n), siteKey()
					})
					if err != nil {
						t.Errorf("client %d: %v", n, err)
					}
				})
			}
			all.Wait()
			if st := stop(); c.clients > 1 && st.ParitySent == 0 || st.BlocksRepeated+st.ParitySent == 0 || st.ManifestSent == 0 {
				t.Errorf("server: %+v", st)
			}
		})
	}
}

// TestNamespacesTheory tells what mode 2 sends on real ports beside what the
// theory of the code says; by number it would be 1.04 and 1.15. It cannot be
// less. What a busy machine loses by itself adds to it, so the bound above is
// the simulation's (TestSimulateLoss).
func TestNamespacesTheory(t *testing.T) {
	for _, c := range []struct {
		clients int
		ideal   float64 // see theory
	}{{4, 1.013}, {16, 1.016}} {
		t.Run(fmt.Sprintf("%d clients", c.clients), func(t *testing.T) {
			b := newBridge(t, c.clients, 8*wire.ChunkBytes, 0.01)
			sent := b.sentInMode2(c.clients)
			t.Logf("%.3f datagrams per block, theory %.3f", sent, c.ideal)
			if sent < c.ideal-0.005 {
				t.Errorf("%.3f datagrams per block cannot be, theory %.3f", sent, c.ideal)
			}
		})
	}
}

// sentInMode2 loads at a rate that machine and namespaces can keep up with, and
// returns datagrams sent per block.
func (b *bridge) sentInMode2(clients int) float64 {
	stop := b.serve(func(cfg *server.Config) { cfg.Pace.BitsPerSec = 80_000_000 })
	ctx, cancel := context.WithTimeout(b.t.Context(), testTimeout)
	defer cancel()
	var all sync.WaitGroup
	for n := range clients {
		all.Go(func() {
			if err := b.load(ctx, n, true); err != nil {
				b.t.Errorf("client %d: %v", n, err)
			}
		})
	}
	all.Wait()
	st := stop()
	return float64(st.BlocksSent+st.ParitySent) / float64(len(b.want)/wire.BlockBytes)
}

// TestNamespacesOldServer: a client that offers mode 2 loads from the C server,
// which does not know of it. The captures of it (replay_test.go) stand for it
// where there is none.
func TestNamespacesOldServer(t *testing.T) {
	programs := os.Getenv(oldProgramsEnv)
	if programs == "" {
		t.Skip(oldProgramsEnv + " is not set: no C programs")
	}
	for _, loss := range []float64{0, 0.02} {
		t.Run(fmt.Sprintf("loss %v", loss), func(t *testing.T) {
			b := newBridge(t, 3, 6*wire.ChunkBytes, loss)
			var out bytes.Buffer
			ctx, stop := context.WithTimeout(t.Context(), testTimeout)
			defer stop()
			cmd := exec.CommandContext(ctx, filepath.Join(programs, "frisbeed"), "-d", "-W", "200000000", "-i", bridgeAddr.Addr().String(),
				"-m", bridged.Addr().String(), "-p", fmt.Sprint(bridged.Port()), b.path)
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := b.Server.Start(cmd); err != nil {
				t.Fatal(err)
			}
			var all sync.WaitGroup
			for n := range 3 {
				all.Go(func() {
					if err := b.load(ctx, n, n > 0); err != nil {
						t.Errorf("client %d: %v", n, err)
					}
				})
			}
			all.Wait()
			stop()
			_ = cmd.Wait() // it was killed
			if t.Failed() {
				t.Logf("C server: %.4000s", out.String())
			}
		})
	}
}
