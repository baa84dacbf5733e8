package sock

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

// refusedSends is how many datagrams go to a port that nobody has: more than
// the kernel keeps errors of beside a full receive buffer.
const refusedSends = 8192

// TestRefused: what a peer that is not there answers, or a stranger in its name,
// neither keeps a datagram from being sent, nor takes the place of those that
// come.
func TestRefused(t *testing.T) {
	t.Parallel()
	peer := netip.MustParseAddr("127.5.6.7")
	c, at, err := Open(Config{Session: netip.AddrPortFrom(peer, 0), Iface: loopback, ShareHost: true, BufferBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	b, read := NewBatch(false), make(chan error)
	go func() { read <- c.ReadBatch(b, time.Now().Add(time.Minute)) }()
	t.Cleanup(func() { c.Close() })
	for i := range refusedSends {
		if err := c.WriteSegments(make([]byte, 3000), 1000, at); err != nil {
			t.Fatalf("write %d: %v", i, err)
		}
	}
	if !c.(*conn).segments {
		t.Error("an error of the peer was taken for one of the kernel, that it cannot cut")
	}
	late, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	if err := c.Write([]byte("are you there"), at); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	if _, _, err := late.ReadFromUDPAddrPort(buf); err != nil {
		t.Fatal(err)
	}
	again := time.NewTicker(10 * time.Millisecond) // the reader may be about to make room
	defer again.Stop()
	for {
		if _, err := late.WriteToUDPAddrPort([]byte("yes"), c.Local()); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-read:
			if err != nil || string(b.Datagrams()[0].Data) != "yes" {
				t.Errorf("what the peer sent at last did not come: %v", err)
			}
			return
		case <-again.C:
		}
	}
}
