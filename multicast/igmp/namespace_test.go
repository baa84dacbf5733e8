package igmp

import (
	"net/netip"
	"testing"

	"hyzer/bench/netns"
	"hyzer/bench/netns/netnstest"
)

// TestInterfaceAnew: a querier goes on when its interface has gone and come back,
// which is another one to the kernel.
func TestInterfaceAnew(t *testing.T) {
	t.Parallel()
	const link = "link add d0 type veth peer name d1\nlink set d1 up\nlink set d0 up\naddress add 10.95.3.1/24 dev d0\n"
	n := netnstest.New(t, netns.Options{Server: netip.MustParsePrefix("10.95.4.1/24"), MACs: [][6]byte{{2, 0x48, 0x59, 0, 6, 1}}})
	in := n.Nodes[0]
	netnstest.Command(t, in, link, "ip", "-batch", "-")
	var c *Conn
	if err := in.Do(func() (err error) { c, err = OpenSender(netip.MustParseAddr("10.95.3.1")); return err }); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, away := range []string{"", "link delete d0\n"} {
		if away != "" {
			netnstest.Command(t, in, away+link, "ip", "-batch", "-")
		}
		if err := c.Query(); err != nil {
			t.Errorf("after %q: %v", away, err)
		}
	}
}
