package netns_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/bench/netns"
)

var server = netip.MustParsePrefix("10.99.7.1/24")

// network makes a network of n nodes, or skips with what is missing.
func network(t *testing.T, n int) *netns.Network {
	t.Helper()
	o := netns.Options{Server: server}
	for i := range n {
		o.MACs = append(o.MACs, [6]byte{2, 0x48, 0x59, 0, 1, byte(i)})
	}
	nw, err := netns.NewNetwork(o)
	if errors.Is(err, netns.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := nw.Close(); err != nil {
			t.Error(err)
		}
	})
	return nw
}

func links(t *testing.T) string {
	t.Helper()
	list, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range list {
		names = append(names, l.Name)
	}
	return strings.Join(names, " ")
}

// TestNetwork sends a datagram from each node to the server and back, and
// checks that nothing of the network shows outside.
func TestNetwork(t *testing.T) {
	nw := network(t, 3)
	var listener net.PacketConn
	err := nw.Server.Do(func() (err error) {
		if got := links(t); strings.Count(got, "hyz-") != 4 {
			t.Errorf("links of the server: %s", got)
		}
		listener, err = net.ListenPacket("udp4", "10.99.7.1:7001")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for i, node := range nw.Nodes {
		ip := netip.AddrFrom4([4]byte{10, 99, 7, byte(10 + i)})
		if err := node.Do(func() error { return echo(t, i, ip, listener) }); err != nil {
			t.Errorf("node %d: %v", i, err)
		}
	}
	if outside := links(t); strings.Contains(outside, "hyz-") {
		t.Errorf("links outside: %s", outside)
	}
}

// echo runs on a node: it takes an address, sends, and is answered.
func echo(t *testing.T, i int, ip netip.Addr, listener net.PacketConn) error {
	eth, err := net.InterfaceByName(netns.Link)
	if err != nil {
		return err
	}
	if want := fmt.Sprintf("02:48:59:00:01:%02x", i); eth.HardwareAddr.String() != want {
		t.Errorf("node %d has MAC %v, want %s", i, eth.HardwareAddr, want)
	}
	if err := setAddr(ip); err != nil {
		return err
	}
	conn, err := net.Dial("udp4", "10.99.7.1:7001")
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(conn, "node %d", i); err != nil {
		return err
	}
	buf := make([]byte, 100)
	n, from, err := listener.ReadFrom(buf)
	if err != nil {
		return err
	}
	if got := from.(*net.UDPAddr).AddrPort().Addr(); got != ip || string(buf[:n]) != fmt.Sprintf("node %d", i) {
		t.Errorf("the server heard %q from %v", buf[:n], got)
	}
	if _, err := listener.WriteTo([]byte("answer"), from); err != nil {
		return err
	}
	if n, err = conn.Read(buf); string(buf[:n]) != "answer" {
		t.Errorf("node %d heard %q", i, buf[:n])
	}
	return err
}

func setAddr(ip netip.Addr) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq(netns.Link)
	if err != nil {
		return err
	}
	for code, addr := range map[uint]netip.Addr{unix.SIOCSIFADDR: ip} {
		if err := ifr.SetInet4Addr(addr.AsSlice()); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(fd, code, ifr); err != nil {
			return err
		}
	}
	if err := ifr.SetInet4Addr([]byte{255, 255, 255, 0}); err != nil {
		return err
	}
	return unix.IoctlIfreq(fd, unix.SIOCSIFNETMASK, ifr)
}

// TestProcess runs a program inside.
func TestProcess(t *testing.T) {
	t.Parallel()
	nw := network(t, 1)
	var out bytes.Buffer
	cmd := exec.Command("cat", "/proc/net/dev")
	cmd.Stdout = &out
	if err := nw.Nodes[0].Start(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), netns.Link+":") || strings.Contains(out.String(), "hyz-") {
		t.Errorf("a process on the node sees\n%s", out.String())
	}
}

const dieEnv = "HYZER_NETNS_TEST_DIE"

// TestDeath lets a process with a network panic, and looks whether the names of
// its links, or its namespaces, are left anywhere.
func TestDeath(t *testing.T) {
	if os.Getenv(dieEnv) != "" {
		nw := network(t, 2)
		fmt.Println("made", nw.Bridge)
		panic("as the test wants")
	}
	network(t, 0) // skips where there are no namespaces
	cmd := exec.Command(os.Args[0], "-test.run=^TestDeath$")
	cmd.Env = append(os.Environ(), dieEnv+"=1")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "made hyz-") {
		t.Fatalf("the process ended with %v: %s", err, out)
	}
	if got := links(t); strings.Contains(got, "hyz-") {
		t.Errorf("links left behind: %s", got)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), "hyz-") {
		t.Error("a namespace is left mounted")
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for _, o := range []netns.Options{
		{Server: netip.MustParsePrefix("8.8.8.8/24")},
		{Server: netip.MustParsePrefix("127.0.0.1/8")},
		{Server: server, MACs: make([][6]byte, 1000)},
	} {
		if nw, err := netns.NewNetwork(o); err == nil {
			nw.Close()
			t.Errorf("a network of %v with %d nodes was made", o.Server, len(o.MACs))
		}
	}
}
