package multicast

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"hyzer/bench/netns"
)

// The network: the bridge is the switch, its first port is the server's.
const (
	prefixBits = 16
	// queueBytes of the server's link hold all that a socket buffer may hold,
	// so that a sender waits rather than loses.
	queueBytes = 16 << 20
	burstBytes = 64 << 10
)

func switchAddr() netip.Addr        { return netip.AddrFrom4([4]byte{10, 97, 255, 254}) }
func serverAddr() netip.Addr        { return netip.AddrFrom4([4]byte{10, 97, 0, 1}) }
func clientAddr(n int) netip.Addr   { return netip.AddrFrom4([4]byte{10, 97, byte(1 + n>>8), byte(n)}) }
func uftpID(addr netip.Addr) string { return fmt.Sprintf("0x%x", addr.As4()) }

// network is a switch with a server and its clients.
type network struct {
	*netns.Network
	server  *netns.Namespace
	clients []*netns.Namespace
}

func newNetwork(clients, mbit int) (*network, error) {
	o := netns.Options{Server: netip.PrefixFrom(switchAddr(), prefixBits)}
	for i := range clients + 1 {
		o.MACs = append(o.MACs, [6]byte{2, 0x48, 0x59, 1, byte(i >> 8), byte(i)})
	}
	nw, err := netns.NewNetwork(o)
	if err != nil {
		return nil, err
	}
	n := &network{Network: nw, server: nw.Nodes[0], clients: nw.Nodes[1:]}
	if err := n.setUp(mbit); err != nil {
		return nil, errors.Join(err, nw.Close())
	}
	return n, nil
}

func (n *network) setUp(mbit int) error {
	if err := address(n.server, serverAddr()); err != nil {
		return err
	}
	for i, ns := range n.Nodes {
		err := errors.Join(
			ns.Do(func() error { return asOnWire(netns.Link) }),
			n.Server.Do(func() error { return asOnWire(n.Port(i)) }))
		if err != nil {
			return err
		}
	}
	if err := n.Server.Do(func() error { return errors.Join(noFilters(), ownThread(n.Port(0))) }); err != nil {
		return err
	}
	for i, c := range n.clients {
		if err := address(c, clientAddr(i)); err != nil {
			return err
		}
	}
	// One packet a frame, cut by the kernel as for hardware that cannot.
	if err := n.server.Command("", "ip", "link", "set", "dev", netns.Link, "gso_max_segs", "1"); err != nil {
		return err
	}
	if mbit == 0 {
		return nil
	}
	err := n.server.Command("", "tc", "qdisc", "replace", "dev", netns.Link, "root", "tbf",
		"rate", strconv.Itoa(mbit)+"mbit", "overhead", strconv.Itoa(frameExtra), "burst", strconv.Itoa(burstBytes), "limit", strconv.Itoa(queueBytes))
	if err != nil {
		return fmt.Errorf("limiting the link to %d Mbit/s, -mbit 0 is without: %w", mbit, err)
	}
	return nil
}

// noFilters keeps what the bridge forwards away from the filters for routed
// packets, where the kernel has that.
func noFilters() error {
	err := os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-iptables", []byte("0"), 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func address(ns *netns.Namespace, addr netip.Addr) error {
	script := fmt.Sprintf("address add %v/%d brd + dev %s\nroute add 224.0.0.0/4 dev %s\n", addr, prefixBits, netns.Link, netns.Link)
	return ns.Command(script, "ip", "-batch", "-")
}

// frameExtra are the bytes on the wire of Ethernet that the kernel does not
// count: preamble 8, checksum 4, gap 12.
const frameExtra = 24

// lossParts is the grain of losses.
const lossParts = 10_000

// lose drops that share of the frames at every port where they leave the
// switch. If it is 0 the lots are drawn, too: with 16 ports they take a twentieth
// of two processors, which is not to be taken for the cost of a loss.
func (n *network) lose(share float64) error {
	if _, err := exec.LookPath("nft"); err != nil && share == 0 {
		return nil
	}
	rules := fmt.Sprintf(`add table bridge hyzer
delete table bridge hyzer
table bridge hyzer {
	chain out {
		type filter hook postrouting priority 0
		ether type ip numgen random mod %d < %d drop
	}
}
`, lossParts, int(share*lossParts+0.5))
	return n.Server.Command(rules, "nft", "-f", "-")
}

// counts are what the server's link sent so far.
type counts struct{ bytes, packets int64 }

func (n *network) sent() (c counts, err error) {
	err = n.server.Do(func() error {
		text, err := os.ReadFile("/proc/thread-self/net/dev")
		if err != nil {
			return err
		}
		c, err = parseDev(string(text), netns.Link)
		return err
	})
	return c, err
}

// parseDev reads the sent bytes and packets of a link from /proc/net/dev.
func parseDev(text, link string) (c counts, err error) {
	for _, line := range strings.Split(text, "\n") {
		name, rest, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(name) != link {
			continue
		}
		const sentBytes, sentPackets = 8, 9
		fields := strings.Fields(rest)
		if len(fields) <= sentPackets {
			break
		}
		var errBytes, errPackets error
		c.bytes, errBytes = strconv.ParseInt(fields[sentBytes], 10, 64)
		c.packets, errPackets = strconv.ParseInt(fields[sentPackets], 10, 64)
		return c, errors.Join(errBytes, errPackets)
	}
	return c, fmt.Errorf("no counts of link %s in /proc/net/dev", link)
}

// overflows are the datagrams that found no room in the clients' sockets, of
// all so far. They were not lost on the way.
func (n *network) overflows() (sum int64, err error) {
	for _, c := range n.clients {
		err := c.Do(func() error {
			text, err := os.ReadFile("/proc/thread-self/net/snmp")
			if err != nil {
				return err
			}
			count, err := parseSNMP(string(text), "Udp", "RcvbufErrors")
			sum += count
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	return sum, nil
}

// parseSNMP reads a count of /proc/net/snmp, which has a line of names and one
// of values for each protocol.
func parseSNMP(text, protocol, name string) (int64, error) {
	var names []string
	for _, line := range strings.Split(text, "\n") {
		title, rest, ok := strings.Cut(line, ":")
		if !ok || title != protocol {
			continue
		}
		fields := strings.Fields(rest)
		if i := slices.Index(names, name); i >= 0 && i < len(fields) {
			return strconv.ParseInt(fields[i], 10, 64)
		}
		names = fields
	}
	return 0, fmt.Errorf("no count %s of %s in /proc/net/snmp", name, protocol)
}

// listening says whether a port is bound in the namespace.
func listening(ns *netns.Namespace, port int) (found bool, err error) {
	want := fmt.Sprintf(":%04X", port)
	err = ns.Do(func() error {
		for _, table := range []string{"udp", "tcp", "tcp6"} {
			text, err := os.ReadFile("/proc/thread-self/net/" + table)
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			for _, line := range strings.Split(string(text), "\n") {
				if f := strings.Fields(line); len(f) > 1 && strings.HasSuffix(f[1], want) {
					found = true
				}
			}
		}
		return nil
	})
	return found, err
}
