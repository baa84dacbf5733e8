package netns

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
)

// portsMax is how many nodes a network can have: a bridge has 1023 ports, and
// link names 15 characters.
const portsMax = 999

// Link is the name of each node's interface.
const Link = "eth0"

// Options of a network.
type Options struct {
	// Server is the bridge's address with the length of its network. It must
	// be a private one.
	Server netip.Prefix
	// MACs are the hardware addresses of the nodes, one for each.
	MACs [][6]byte
}

// Network is a bridge with nodes behind it.
type Network struct {
	// Server is where the bridge is, and its address.
	Server *Namespace
	// Nodes each have an interface Link, up and without address.
	Nodes []*Namespace
	// Bridge is the name of the bridge in Server.
	Bridge string
}

// NewNetwork makes the namespaces and connects them. IGMP snooping is off: a
// bridge without a querier forgets who wants what.
func NewNetwork(o Options) (*Network, error) {
	if !o.Server.Addr().Is4() || !o.Server.Addr().IsPrivate() {
		return nil, fmt.Errorf("network %v: want a private IPv4 address", o.Server)
	}
	if len(o.MACs) > portsMax {
		return nil, fmt.Errorf("network of %d nodes, at most %d", len(o.MACs), portsMax)
	}
	ip, err := exec.LookPath("ip")
	if err != nil {
		return nil, fmt.Errorf("%w: the ip command is missing (package iproute2)", ErrUnavailable)
	}
	n := &Network{Bridge: linkName("br")}
	if err := n.build(ip, o); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// Port is the name of the bridge's port to a node, in Server.
func (n *Network) Port(node int) string { return linkName(strconv.Itoa(node)) }

// linkName is unique to the process.
func linkName(what string) string { return "hyz-" + strconv.Itoa(os.Getpid()) + "-" + what }

func (n *Network) build(ip string, o Options) (err error) {
	if n.Server, err = New(); err != nil {
		return err
	}
	for range o.MACs {
		node, err := New()
		if err != nil {
			return err
		}
		n.Nodes = append(n.Nodes, node)
	}
	if err := n.Server.Do(func() error { return n.connect(ip, o) }); err != nil {
		return err
	}
	for i, node := range n.Nodes {
		if err := node.Do(prepareNode); err != nil {
			return fmt.Errorf("node %d: %w", i, err)
		}
	}
	return nil
}

// connect makes bridge and links in one call of ip, which gets the nodes'
// namespaces as descriptors from 3 up.
func (n *Network) connect(ip string, o Options) error {
	var script bytes.Buffer
	fmt.Fprintf(&script, "link add name %s type bridge mcast_snooping 0 forward_delay 0\n", n.Bridge)
	fmt.Fprintf(&script, "address add %v dev %s\nlink set dev %s up\n", o.Server, n.Bridge, n.Bridge)
	cmd := exec.Command(ip, "-batch", "-")
	for i, mac := range o.MACs {
		port := n.Port(i)
		fmt.Fprintf(&script, "link add name %s type veth peer name %s address %v netns /proc/self/fd/%d\n", port, Link, net.HardwareAddr(mac[:]), 3+i)
		fmt.Fprintf(&script, "link set dev %s master %s up\n", port, n.Bridge)
		cmd.ExtraFiles = append(cmd.ExtraFiles, n.Nodes[i].f)
	}
	cmd.Stdin = &script
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip -batch: %w: %.400s", err, out)
	}
	return nil
}

// prepareNode turns a node's interface on. Without an address it must hear
// broadcasts whatever their source, as firmware does.
func prepareNode() error {
	for _, conf := range []string{"all", Link} {
		if err := os.WriteFile("/proc/sys/net/ipv4/conf/"+conf+"/rp_filter", []byte("0"), 0); err != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	return LinkUp(Link)
}

// Close takes everything away. Sockets and processes that are still open keep
// their namespace until they end.
func (n *Network) Close() error {
	var errs []error
	if n.Server != nil {
		errs = append(errs, n.Server.Close())
	}
	for _, node := range n.Nodes {
		errs = append(errs, node.Close())
	}
	return errors.Join(errs...)
}
