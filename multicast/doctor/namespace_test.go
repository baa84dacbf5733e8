package doctor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"hyzer/bench/netns"
	"hyzer/bench/netns/netnstest"
	"hyzer/multicast/doctor"
	"hyzer/multicast/igmp"
	"hyzer/multicast/server"
	"hyzer/multicast/wire"
)

// The tests of this file run on real interfaces, in namespaces.

var (
	bridgeAddr = netip.MustParsePrefix("10.97.7.1/24")
	nodeAddr   = netip.MustParseAddr("10.97.7.10")
)

// lan is an appliance at a bridge with one node.
func lan(t *testing.T) *netns.Network {
	t.Helper()
	n := netnstest.New(t, netns.Options{Server: bridgeAddr, MACs: [][6]byte{{2, 0x48, 0x59, 0, 3, 1}}})
	netnstest.Command(t, n.Nodes[0], fmt.Sprintf("address add %v/24 dev %s\nlink add spare type bridge\naddress add 10.96.7.1/24 dev spare\nlink set dev spare up multicast on\n",
		nodeAddr, netns.Link), "ip", "-batch", "-")
	return n
}

const drop = `table inet t { chain in { type filter hook input priority 0; %s; }; }`

// TestNetworks breaks a network in one way each, and asks the doctor.
func TestNetworks(t *testing.T) {
	for _, c := range []struct {
		name       string
		breakIt    func(*testing.T, *netns.Network)
		listenOn   string // address; "": the node's; "-": nobody listens
		what, does string // "": nothing is found
		warning    bool
	}{
		{name: "well", breakIt: func(*testing.T, *netns.Network) {}},
		{name: "nobody listens", listenOn: "-", breakIt: func(*testing.T, *netns.Network) {}, what: "answers nothing", does: "hyzer-node doctor"},
		{name: "MTU of the node", breakIt: func(t *testing.T, n *netns.Network) {
			netnstest.Command(t, n.Nodes[0], "link set dev "+netns.Link+" mtu 1000\n", "ip", "-batch", "-")
		}, what: "is 1000 bytes", does: "mtu 1500"},
		{name: "MTU here", breakIt: func(t *testing.T, n *netns.Network) {
			netnstest.Command(t, n.Server, "link set dev "+n.Bridge+" mtu 1000\n", "ip", "-batch", "-")
		}, what: "this machine's interface " + "hyz-", does: "mtu 1500"},
		{name: "wrong interface of the node", listenOn: "10.96.7.1", breakIt: func(*testing.T, *netns.Network) {}, what: "joined on spare", does: "wrong interface"},
		{name: "group dropped", breakIt: func(t *testing.T, n *netns.Network) {
			netnstest.Command(t, n.Nodes[0], fmt.Sprintf(drop, "ip daddr 224.0.0.0/4 drop"), "nft", "-f", "-")
		}, what: "answers what is sent to it alone", does: "firewall"},
		{name: "all dropped", breakIt: func(t *testing.T, n *netns.Network) {
			netnstest.Command(t, n.Nodes[0], fmt.Sprintf(drop, "meta l4proto udp drop"), "nft", "-f", "-")
		}, what: "answers nothing", does: "firewall"},
		{name: "TTL", breakIt: func(t *testing.T, n *netns.Network) {
			netnstest.Command(t, n.Nodes[0], fmt.Sprintf(drop, "ip daddr 224.0.0.0/4 ip ttl < 10 drop"), "nft", "-f", "-")
		}, what: "with a higher one", does: "TTL too low"},
		{name: "snooping without querier", breakIt: func(t *testing.T, n *netns.Network) {
			netnstest.Command(t, n.Server, "link set dev "+n.Bridge+" type bridge mcast_snooping 1 mcast_querier 0\n", "ip", "-batch", "-")
		}, what: "snoops, and has no querier", does: "mcast_querier 1", warning: true},
		{name: "snooping with querier", breakIt: func(t *testing.T, n *netns.Network) {
			netnstest.Command(t, n.Server, "link set dev "+n.Bridge+" type bridge mcast_snooping 1 mcast_querier 1\n", "ip", "-batch", "-")
		}},
		{name: "no route", breakIt: func(t *testing.T, n *netns.Network) {
			netnstest.Command(t, n.Server, "route del 10.97.7.0/24\n", "ip", "-batch", "-")
		}, what: "no route", does: "add the route"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n := lan(t)
			c.breakIt(t, n)
			at := nodeAddr
			if c.listenOn != "" && c.listenOn != "-" {
				at = netip.MustParseAddr(c.listenOn)
			}
			if c.listenOn != "-" {
				listen(t, n.Nodes[0], at)
			}
			var found []doctor.Finding
			err := n.Server.Do(func() error {
				f, err := doctor.Examine(t.Context(), doctor.Config{Iface: bridgeAddr.Addr(), Node: nodeAddr})
				found = doctor.Diagnose(f)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if c.what == "" {
				if len(found) > 0 {
					t.Errorf("%+v", found)
				}
				return
			}
			if len(found) == 0 || !strings.Contains(found[0].What, c.what) || !strings.Contains(found[0].Do, c.does) || found[0].Warning != c.warning {
				t.Errorf("%+v", found)
			}
		})
	}
}

// listen runs the node's side until the test is over. Probes are repeated, so
// that it may start late.
func listen(t *testing.T, node *netns.Namespace, at netip.Addr) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- node.Do(func() error {
			return doctor.Listen(ctx, at, netip.AddrPortFrom(doctor.Group(), doctor.PortDefault))
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestKeepalive: an idle session announces its group by IGMPv2 reports, and the
// querier asks; both are heard at the node.
func TestKeepalive(t *testing.T) {
	t.Parallel()
	n := lan(t)
	group := netip.MustParseAddrPort("239.192.1.9:7100")
	listenTo(t, n.Nodes[0], group)
	var heard *igmp.Conn
	if err := n.Nodes[0].Do(func() (err error) { heard, err = igmp.Open(nodeAddr); return err }); err != nil {
		t.Fatal(err)
	}
	defer heard.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var srv *server.Server
	err := n.Server.Do(func() (err error) {
		srv, err = server.Open(server.Config{Image: image{}, Address: group, Iface: bridgeAddr.Addr(), Keepalive: 50 * time.Millisecond, Log: slog.New(slog.DiscardHandler)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 2)
	go func() { ended <- n.Server.Do(func() error { return srv.Run(ctx) }) }()
	expect := func(kind uint8, want netip.Addr) {
		t.Helper()
		for until := time.Now().Add(time.Minute); ; {
			m, from, err := heard.Read(until)
			if err != nil {
				t.Fatalf("no message of type %#x: %v", kind, err)
			}
			if m.Type == kind && from == bridgeAddr.Addr() && m.Group == want {
				return
			}
		}
	}
	// One report may be an answer to a query of the node's kernel, two are not.
	expect(igmp.ReportV2, group.Addr())
	expect(igmp.ReportV2, group.Addr())
	go func() {
		ended <- n.Server.Do(func() error { return igmp.RunQuerier(ctx, bridgeAddr.Addr(), time.Hour, slog.Default()) })
	}()
	expect(igmp.Query, netip.IPv4Unspecified())
	cancel()
	for range 2 {
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}

// listenTo joins a group on a node until the test is over.
func listenTo(t *testing.T, node *netns.Namespace, group netip.AddrPort) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- node.Do(func() error { return doctor.Listen(ctx, nodeAddr, group) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// image is one block of nothing.
type image struct{}

func (image) Name() string                          { return "nothing" }
func (image) Size() int64                           { return wire.BlockBytes }
func (image) Close() error                          { return nil }
func (image) Check() error                          { return nil }
func (image) Prefetch(int64, int64)                 {}
func (image) ReadAt(p []byte, _ int64) (int, error) { return len(p), nil }
