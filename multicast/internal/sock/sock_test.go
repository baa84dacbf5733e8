package sock

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"
)

var loopback = netip.MustParseAddr("127.0.0.1")

// pair opens a server and a client of a multicast session on this machine.
func pair(t *testing.T) (server, client Conn, at netip.AddrPort) {
	t.Helper()
	server, at, err := Open(Config{Session: netip.MustParseAddrPort("239.195.100.1:0"), Iface: loopback, ShareHost: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	client, _, err = Open(Config{Session: at, Iface: netip.MustParseAddr("127.5.5.5"), Client: true, ShareHost: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return server, client, at
}

// TestSegments sends one buffer as many datagrams, cut by the kernel and, as
// on an interface that cannot, one by one.
func TestSegments(t *testing.T) {
	t.Parallel()
	for _, kernel := range []bool{true, false} {
		server, client, at := pair(t)
		server.(*conn).segments = kernel
		want := make([]byte, 3*100+7)
		for i := range want {
			want[i] = byte(i)
		}
		if err := server.WriteSegments(want, 100, at); err != nil {
			t.Fatal(err)
		}
		var got []byte
		b := NewBatch(true)
		for n := 0; n < 4; {
			if err := client.ReadBatch(b, time.Now().Add(time.Minute)); err != nil {
				t.Fatalf("kernel %v: after %d datagrams: %v", kernel, n, err)
			}
			for _, d := range b.Datagrams() {
				if d.From != server.Local() || (n < 3) != (len(d.Data) == 100) {
					t.Errorf("kernel %v: datagram %d of %d bytes from %v", kernel, n, len(d.Data), d.From)
				}
				got = append(got, d.Data...)
				n++
			}
		}
		if !bytes.Equal(got, want) {
			t.Errorf("kernel %v: content differs", kernel)
		}
	}
}

func TestWakeAndDeadlineAndClose(t *testing.T) {
	t.Parallel()
	_, client, _ := pair(t)
	ms := NewBatch(true)
	if err := client.ReadBatch(ms, time.Now().Add(-time.Second)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("past deadline: %v", err)
	}
	client.Wake()
	if err := client.ReadBatch(ms, time.Now().Add(time.Minute)); !errors.Is(err, ErrWoken) {
		t.Errorf("woken before: %v", err)
	}
	result := make(chan error)
	go func() {
		result <- client.ReadBatch(ms, time.Now().Add(time.Minute))
	}()
	client.Wake()
	if err := <-result; !errors.Is(err, ErrWoken) {
		t.Errorf("woken: %v", err)
	}
	if err := client.Rejoin(); err != nil {
		t.Errorf("joining again: %v", err)
	}
	client.Close()
	if err := client.ReadBatch(ms, time.Now().Add(time.Minute)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// TestBacklog fills a receive buffer that nobody reads, until it overflows.
func TestBacklog(t *testing.T) {
	// Not parallel: allocations of the process are counted.
	server, client, at := pair(t)
	if b := client.Backlog(); b.Bytes != 0 || b.BytesMax <= 0 || b.Share() != 0 || b.Dropped != 0 {
		t.Fatalf("at first %+v", b)
	}
	buf := make([]byte, SegmentsMax*1000)
	for sent := 0; client.Backlog().Dropped == 0; sent++ {
		if err := server.WriteSegments(buf, 1000, at); err != nil {
			t.Fatal(err)
		}
		if sent > 2*ReceiveBytesDefault/len(buf) {
			t.Fatalf("after %d bytes: %+v", sent*len(buf), client.Backlog())
		}
	}
	if b := client.Backlog(); b.Share() < 0.5 {
		t.Errorf("full: %+v", b)
	}
	allocs := testing.AllocsPerRun(10, func() { client.Backlog() })
	if allocs != 0 {
		t.Errorf("asking allocates %v times", allocs)
	}
}

// TestReadAllocates reads many datagrams without allocating for one.
func TestReadAllocates(t *testing.T) {
	// Not parallel: allocations of the process are counted.
	server, client, at := pair(t)
	buf, b := make([]byte, SegmentsMax*1000), NewBatch(true)
	allocs := testing.AllocsPerRun(10, func() {
		if err := server.WriteSegments(buf, 1000, at); err != nil {
			t.Fatal(err)
		}
		for n := 0; n < SegmentsMax; n += len(b.Datagrams()) {
			if err := client.ReadBatch(b, time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
		}
	})
	if allocs > 2 { // a few for the calls, none for each of 60
		t.Errorf("%v allocations", allocs)
	}
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	first, at, err := Open(Config{Session: netip.MustParseAddrPort("239.195.100.2:0"), Iface: loopback})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if second, _, err := Open(Config{Session: at, Iface: loopback}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("second server: %v", err)
		second.Close()
	}
}

func TestNarrowBroadcast(t *testing.T) {
	t.Parallel()
	all := netip.MustParseAddr("255.255.255.255")
	if got := NarrowBroadcast(all, loopback); got != netip.MustParseAddr("127.255.255.255") {
		t.Errorf("on the loopback interface: %v", got)
	}
	if other := netip.MustParseAddr("10.1.255.255"); NarrowBroadcast(other, loopback) != other {
		t.Error("a subnet's broadcast address was changed")
	}
}

// TestIPv6 sends to one host, to a group, and refuses what cannot work.
func TestIPv6(t *testing.T) {
	t.Parallel()
	local := netip.MustParseAddr("::1")
	for name, session := range map[string]netip.Addr{"unicast": local, "group": netip.MustParseAddr("ff15::7:1")} {
		c, at, err := Open(Config{Session: netip.AddrPortFrom(session, 0), Iface: local, ShareHost: true})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		defer c.Close()
		if err := c.Rejoin(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := c.Write([]byte("six"), at); err != nil {
			t.Logf("%s: %v", name, err) // there may be no route to groups
			continue
		}
		b := NewBatch(false)
		if err := c.ReadBatch(b, time.Now().Add(time.Minute)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		d := b.Datagrams()[0]
		if string(d.Data) != "six" || d.From != c.Local() || c.Local().Addr() != local {
			t.Errorf("%s: %q from %v, sent from %v", name, d.Data, d.From, c.Local())
		}
	}
	for name, c := range map[string]Config{
		"two families": {Session: netip.MustParseAddrPort("[ff15::1]:0"), Iface: netip.MustParseAddr("127.0.0.1")},
		"link-local":   {Session: netip.MustParseAddrPort("[ff02::1]:0"), Iface: local},
		"zone":         {Session: netip.MustParseAddrPort("[ff15::1]:0"), Iface: netip.MustParseAddr("fe80::1%lo")},
		"broadcast":    {Session: netip.MustParseAddrPort("[ff15::1]:0"), Iface: local, Broadcast: true},
		"no such":      {Session: netip.MustParseAddrPort("[ff15::1]:0"), Iface: netip.MustParseAddr("fd77::77")},
	} {
		if conn, _, err := Open(c); err == nil {
			conn.Close()
			t.Errorf("%s: opened", name)
		}
	}
}

// TestHost asks no name service: of these names, only localhost could be one.
func TestHost(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{"10.0.0.1": "10.0.0.1", "localhost": "127.0.0.1", "fe80::1": "", "no host": "", "": ""} {
		if a, err := Host(s); (err == nil) != (want != "") || err == nil && a != netip.MustParseAddr(want) {
			t.Errorf("%q: %v, %v", s, a, err)
		}
	}
}
