package sock

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"hyzer/bench/netns"
	"hyzer/bench/netns/netnstest"
)

// TestInterfaceAway: a session outlives that its interface loses its address for
// a moment, or is another one afterwards.
func TestInterfaceAway(t *testing.T) {
	const (
		link    = "link add d0 type veth peer name d1\nlink set d1 up\nlink set d0 up\n"
		address = "address add 10.95.1.1/24 dev d0\naddress add fd95::1/64 dev d0 nodad\n"
	)
	for name, commands := range map[string]string{
		"address": "address flush dev d0\n" + address,
		"link":    "link delete d0\n" + link + address,
	} {
		for group, iface := range map[string]string{"239.195.100.2:0": "10.95.1.1", "[ff15::95]:0": "fd95::1"} {
			t.Run(name+" "+iface, func(t *testing.T) {
				t.Parallel()
				n := netnstest.New(t, netns.Options{Server: netip.MustParsePrefix("10.95.2.1/24"), MACs: [][6]byte{{2, 0x48, 0x59, 0, 5, 1}}})
				in := n.Nodes[0]
				netnstest.Command(t, in, link+address, "ip", "-batch", "-")
				var server, client Conn
				var at netip.AddrPort
				err := in.Do(func() (err error) {
					c := Config{Session: netip.MustParseAddrPort(group), Iface: netip.MustParseAddr(iface), ShareHost: true}
					if server, at, err = Open(c); err != nil {
						return err
					}
					c.Session, c.Client = at, true
					client, _, err = Open(c)
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				defer server.Close()
				defer client.Close()
				hears(t, server, client, at, 1)
				netnstest.Command(t, in, commands, "ip", "-batch", "-")
				for _, round := range []byte{2, 3} { // the second time nothing is amiss
					if err := in.Do(func() error { return rejoin(server, client) }); err != nil {
						t.Fatal(err)
					}
					hears(t, server, client, at, round)
				}
				if !server.(*conn).segments {
					t.Error("datagrams go out one by one since then")
				}
			})
		}
	}
}

func rejoin(conns ...Conn) error {
	for _, c := range conns {
		if err := c.Rejoin(); err != nil {
			return err
		}
	}
	return nil
}

// hears sends to the group until that, and not what was sent before, is heard.
func hears(t *testing.T, server, client Conn, at netip.AddrPort, round byte) {
	t.Helper()
	if err := server.WriteSegments(bytes.Repeat([]byte{round}, 3000), 1000, at); err != nil {
		t.Fatal(err)
	}
	b := NewBatch(true)
	for until := time.Now().Add(20 * time.Second); ; {
		if err := client.ReadBatch(b, until); err != nil {
			t.Fatalf("round %d is not heard: %v", round, err)
		}
		for _, d := range b.Datagrams() {
			if d.Data[0] == round {
				return
			}
		}
	}
}
