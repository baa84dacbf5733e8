package qemu

import (
	"context"
	"fmt"
	"net"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv6"
)

const (
	advertiseInterval = 500 * time.Millisecond
	hopLimit          = 255 // RFC 4861 §6.1.2: a router's own
)

// advertisement is a router advertisement without prefix and of a router that
// nobody is to use (RFC 4861 §4.2): lifetime 0.
var advertisement = icmp.Message{
	Type: ipv6.ICMPTypeRouterAdvertisement, Body: &icmp.RawBody{Data: make([]byte, 12)},
}

// openAdvertiser opens a socket that reaches all hosts on a link of the calling
// thread's namespace.
func openAdvertiser(link string) (*icmp.PacketConn, *net.IPAddr, error) {
	conn, err := icmp.ListenPacket("ip6:ipv6-icmp", "::")
	if err != nil {
		return nil, nil, fmt.Errorf("router advertisements: %w", err)
	}
	i, err := net.InterfaceByName(link)
	if err == nil {
		err = conn.IPv6PacketConn().SetMulticastInterface(i)
	}
	if err == nil {
		err = conn.IPv6PacketConn().SetMulticastHopLimit(hopLimit)
	}
	if err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("router advertisements on %s: %w", link, err)
	}
	return conn, &net.IPAddr{IP: net.IPv6linklocalallnodes, Zone: link}, nil
}

// advertise tells machines until ctx ends that there is no IPv6 here. Debian's
// iPXE waits 13 s for that at each boot.
func advertise(ctx context.Context, conn *icmp.PacketConn, to *net.IPAddr) {
	defer conn.Close()
	b, err := advertisement.Marshal(nil) // the kernel fills in the checksum
	if err != nil {
		return
	}
	ticker := time.NewTicker(advertiseInterval)
	defer ticker.Stop()
	for {
		_, _ = conn.WriteTo(b, to) // lost ones are sent again
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
