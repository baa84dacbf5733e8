// Package sock opens the sockets of a Frisbee session the way its peers demand
// (spec frisbee A1): one port for everything in both directions, the source
// address of the chosen interface, the group joined on that interface.
//
// It knows nothing of packets beyond their length. Reads come in batches
// (recvmmsg, and for clients UDP_GRO, which takes a run of blocks through the
// kernel as one packet), and a batch of blocks leaves in one call (UDP_SEGMENT,
// where the kernel and the interface can). The callers are multicast/server and
// multicast/client; tests put themselves between by implementing Conn.
package sock

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Sizes of what a Conn handles.
const (
	// DatagramBytesMax is what a receive buffer holds. Peers send no more than
	// 1080; the rest is room to see that a datagram is too long.
	DatagramBytesMax = 2048
	// SegmentsMax is the most segments one WriteSegments may have: as many
	// BLOCKs as an IP packet of 65535 bytes holds.
	SegmentsMax = 60
	// BufferBytesDefault is the socket buffer asked for in each direction, and
	// ReceiveBytesDefault what a client asks for to receive: room for a burst
	// of blocks while it is not running.
	BufferBytesDefault  = 1 << 20
	ReceiveBytesDefault = 8 << 20
	bufferBytesStep     = 16 << 10
	ttlHops             = 5
)

// ErrWoken is returned by ReadBatch after Wake.
var ErrWoken = errors.New("read was interrupted")

// Backlog is what waits in a receive buffer, and what found no room there.
type Backlog struct {
	Bytes, BytesMax int    // as the kernel counts, its own overhead included
	Dropped         uint32 // datagrams since the socket was opened
}

// Share is how full the buffer is, from 0 to 1.
func (b Backlog) Share() float64 { return float64(b.Bytes) / float64(max(1, b.BytesMax)) }

// Conn is the packet side of a session. One goroutine reads, one writes; Wake
// and Close may be called from any.
type Conn interface {
	// ReadBatch waits until deadline for a datagram and fills b with those that
	// are there. It fails with os.ErrDeadlineExceeded, ErrWoken or
	// net.ErrClosed.
	ReadBatch(b *Batch, deadline time.Time) error
	// ReadOwn fills b at once with what was sent to the interface's own address
	// if ReadBatch does not see that (multicast clients).
	ReadOwn(b *Batch) error
	// Backlog returns the state of the receive buffer that ReadBatch reads.
	Backlog() Backlog
	// Write sends one datagram.
	Write(b []byte, to netip.AddrPort) error
	// WriteSegments sends b as datagrams of segmentBytes each.
	WriteSegments(b []byte, segmentBytes int, to netip.AddrPort) error
	// Local returns the address that packets leave from.
	Local() netip.AddrPort
	// Rejoin announces the membership in the group, so that switches hear of it: by
	// a report, or by leaving and joining again.
	Rejoin() error
	// Wake makes a waiting or the next ReadBatch return ErrWoken.
	Wake()
	Close() error
}

// Config says what to open.
type Config struct {
	// Session is the address of the session: a group, a broadcast address or,
	// for unicast, the peer. Its port may be 0 for a server: any free one.
	Session netip.AddrPort
	// Iface is the address of the interface to use; not valid: the one that
	// the routes to the session address, or to Peer, use.
	Iface netip.Addr
	// Peer is the server, if it is known.
	Peer netip.Addr
	// Broadcast says that Session is a broadcast address.
	Broadcast bool
	// Client binds the group itself and shares the port with others.
	Client bool
	// ShareHost lets server and clients be on one machine: the port is shared
	// and what is sent to the group is heard here too.
	ShareHost bool
	// BufferBytes is the socket buffer asked for; 0: the defaults.
	BufferBytes int
}

// Multicast says whether the session address is a group.
func (c Config) Multicast() bool { return c.Session.Addr().IsMulticast() }

// ifaceAddr settles which interface is meant.
func (c Config) ifaceAddr() (netip.Addr, error) {
	if c.Iface.IsValid() && !c.Iface.IsUnspecified() {
		return c.Iface, nil
	}
	towards := c.Session.Addr()
	if c.Peer.IsValid() && !c.Peer.IsUnspecified() {
		towards = c.Peer
	}
	// Connecting a UDP socket sends nothing; it only asks the routing table.
	probe, err := net.Dial("udp", netip.AddrPortFrom(towards, 9).String())
	if err != nil {
		return netip.Addr{}, fmt.Errorf("no route to %v, name the interface by its address: %w", towards, err)
	}
	defer probe.Close()
	return probe.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
}

// NarrowBroadcast returns the broadcast address of the subnet of iface if
// session is 255.255.255.255, else session (A1.5).
func NarrowBroadcast(session, iface netip.Addr) netip.Addr {
	if session != netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return session
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return session
	}
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok || n.IP.To4() == nil {
			continue
		}
		bits, _ := n.Mask.Size()
		if prefix := netip.PrefixFrom(iface, bits).Masked(); prefix.Contains(netip.AddrFrom4([4]byte(n.IP.To4()))) {
			return lastOf(prefix)
		}
	}
	return session
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}
