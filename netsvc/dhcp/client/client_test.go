package client

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"hyzer/bench/netns"
	"hyzer/bench/netns/netnstest"
	"hyzer/netsvc/dhcp"
)

var (
	serverIP = netip.AddrFrom4([4]byte{10, 98, 0, 1})
	leased   = [4]byte{10, 98, 0, 7}
)

// ether is a network of one server and one node in namespaces of their own.
func ether(t *testing.T) *netns.Network {
	t.Helper()
	return netnstest.New(t, netns.Options{Server: netip.PrefixFrom(serverIP, 24), MACs: [][6]byte{mac}})
}

// serve answers each message with what the script makes of it, until the test
// is over. It returns the kinds of messages that it got.
func serve(t *testing.T, n *netns.Network, script func(p *dhcp.Packet) []*dhcp.Packet) func() []dhcp.MessageType {
	t.Helper()
	var conn *net.UDPConn
	if err := n.Server.Do(func() error {
		config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
			var set error
			err := raw.Control(func(fd uintptr) { set = onLink(int(fd), n.Bridge) })
			return errors.Join(err, set)
		}}
		c, err := config.ListenPacket(t.Context(), "udp4", ":67")
		if err == nil {
			conn = c.(*net.UDPConn)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var seen []dhcp.MessageType
	var work sync.WaitGroup
	work.Go(func() {
		buf := make([]byte, replyBytesMax)
		for {
			size, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			var p dhcp.Packet
			if err := p.Parse(buf[:size]); err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			seen = append(seen, p.Type())
			mu.Unlock()
			to := netip.AddrPortFrom(broadcast, clientPort)
			if !p.CIAddr().IsUnspecified() {
				to = from
			}
			for _, r := range script(&p) {
				b := slices.Clone(r.Bytes())
				copy(b[4:8], p.Bytes()[4:8])
				if r.HType() == strangerMark {
					b[1], b[7] = 1, b[7]+1 // another transaction
				}
				if _, err := conn.WriteToUDPAddrPort(b, to); err != nil {
					t.Error(err)
				}
			}
		}
	})
	t.Cleanup(func() {
		conn.Close()
		work.Wait()
	})
	return func() []dhcp.MessageType {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(seen)
	}
}

// strangerMark is the hardware type of replies that are not for us.
const strangerMark = 99

func answer(t *testing.T, kind dhcp.MessageType, yiaddr [4]byte) *dhcp.Packet {
	return reply(t, yiaddr, [4]byte{}, []byte{53, 1, byte(kind)}, []byte{54, 4, 10, 98, 0, 1}, []byte{1, 4, 255, 255, 255, 0}, []byte{51, 4, 0, 0, 0x0e, 0x10})
}

// inside runs the client on the node.
func inside(t *testing.T, n *netns.Network, call func(ctx context.Context, o Options) (Lease, error)) (lease Lease, err error) {
	t.Helper()
	// Many tries: a bridge may lose what is sent right after it was made.
	o := Options{Link: netns.Link, MAC: mac, Tries: slices.Repeat([]time.Duration{200 * time.Millisecond}, 50)}
	err = n.Nodes[0].Do(func() error {
		lease, err = call(t.Context(), o)
		return err
	})
	return lease, err
}

// TestAcquire gets a lease in spite of what else is on the wire: a lost
// message, replies of other transactions, proxies' offers, and a NAK.
func TestAcquire(t *testing.T) {
	t.Parallel()
	n := ether(t)
	stranger := answer(t, dhcp.Offer, [4]byte{10, 98, 0, 66})
	stranger.Bytes()[1] = strangerMark
	discovers, requests := 0, 0
	seen := serve(t, n, func(p *dhcp.Packet) []*dhcp.Packet {
		switch p.Type() {
		case dhcp.Discover:
			if discovers++; discovers == 1 {
				return nil
			}
			return []*dhcp.Packet{stranger, answer(t, dhcp.Offer, [4]byte{}), answer(t, dhcp.Offer, leased)}
		case dhcp.Request:
			if requests++; requests == 1 {
				return []*dhcp.Packet{answer(t, dhcp.Nak, [4]byte{})}
			}
			return []*dhcp.Packet{answer(t, dhcp.Ack, leased)}
		}
		return nil
	})
	lease, err := inside(t, n, Acquire)
	if err != nil {
		t.Fatal(err)
	}
	if lease.IP != netip.AddrFrom4(leased) || lease.Server != serverIP || lease.Time != time.Hour {
		t.Errorf("lease is %+v", lease)
	}
	got, want := seen(), []dhcp.MessageType{dhcp.Discover, dhcp.Request, dhcp.Discover, dhcp.Request}
	if len(got) <= len(want) {
		t.Errorf("the server saw %v, want a second DISCOVER for the one that was lost", got)
	}
	got = slices.Compact(got)
	if !slices.Equal(got, want) {
		t.Errorf("the server saw %v, want %v", got, want)
	}
}

// TestRenew asks the server itself, from the address.
func TestRenew(t *testing.T) {
	t.Parallel()
	n := ether(t)
	if err := n.Nodes[0].Do(func() error {
		return exec.Command("ip", "address", "add", netip.PrefixFrom(netip.AddrFrom4(leased), 24).String(), "dev", netns.Link).Run()
	}); err != nil {
		t.Fatal(err)
	}
	serve(t, n, func(p *dhcp.Packet) []*dhcp.Packet {
		_, named := p.AddrOption(dhcp.OptServerID)
		if p.Type() != dhcp.Request || p.CIAddr() != netip.AddrFrom4(leased) || named {
			t.Errorf("a renewal is %v from %v, naming a server: %v (RFC 2131 table 4)", p.Type(), p.CIAddr(), named)
		}
		return []*dhcp.Packet{answer(t, dhcp.Ack, leased)}
	})
	for _, rebind := range []bool{false, true} {
		lease, err := inside(t, n, func(ctx context.Context, o Options) (Lease, error) {
			return Renew(ctx, o, Lease{IP: netip.AddrFrom4(leased), Server: serverIP}, rebind)
		})
		if err != nil || lease.Time != time.Hour {
			t.Errorf("rebind %v: %+v, %v", rebind, lease, err)
		}
	}
}

// TestNoAnswer ends after the last try, or with its context.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	n := ether(t)
	_, err := inside(t, n, func(ctx context.Context, o Options) (Lease, error) {
		o.Tries = o.Tries[:1]
		return Acquire(ctx, o)
	})
	if !errors.Is(err, ErrNoAnswer) {
		t.Errorf("error %v, want %v", err, ErrNoAnswer)
	}
	_, err = inside(t, n, func(ctx context.Context, o Options) (Lease, error) {
		ctx, cancel := context.WithCancelCause(ctx)
		cancel(os.ErrClosed)
		return Acquire(ctx, o)
	})
	if !errors.Is(err, os.ErrClosed) {
		t.Errorf("error %v, want %v", err, os.ErrClosed)
	}
}
