package reboot

import (
	"context"
	"net"
	"os"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"

	"hyzer/netsvc/lifecycle/states"
)

const pingInterval = time.Second

// PingUp implements stated.Actor: one echo a second until one is answered.
func (l *Ladder) PingUp(ctx context.Context, id string) bool {
	node := l.cfg.Snapshot().Node(id)
	if node == nil || !node.ControlIP().IsValid() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, states.PingUpFor)
	defer cancel()
	to := net.IP(node.ControlIP().AsSlice())
	for n := 0; ctx.Err() == nil; n++ {
		if ok, err := ping(ctx, to, n); ok {
			return true
		} else if err != nil {
			l.cfg.Log.Debug("ping", "node", id, "error", err)
		}
		select {
		case <-time.After(pingInterval):
		case <-ctx.Done():
		}
	}
	return false
}

// ping sends one echo request, through an unprivileged ICMP socket where the
// system allows it and a raw one otherwise.
func ping(ctx context.Context, to net.IP, seq int) (bool, error) {
	conn, err := icmp.ListenPacket("udp4", "0.0.0.0")
	var addr net.Addr = &net.UDPAddr{IP: to}
	if err != nil {
		if conn, err = icmp.ListenPacket("ip4:icmp", "0.0.0.0"); err != nil {
			return false, err
		}
		addr = &net.IPAddr{IP: to}
	}
	defer conn.Close()
	message := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: os.Getpid() & 0xffff, Seq: seq & 0xffff}}
	packet, err := message.Marshal(nil)
	if err != nil {
		return false, err
	}
	if _, err := conn.WriteTo(packet, addr); err != nil {
		return false, err
	}
	return answered(conn, to)
}

// answered reads until an echo reply from an address comes or a second passed.
func answered(conn *icmp.PacketConn, from net.IP) (bool, error) {
	if err := conn.SetReadDeadline(time.Now().Add(pingInterval)); err != nil {
		return false, err
	}
	buf := make([]byte, 1500)
	for {
		n, peer, err := conn.ReadFrom(buf)
		if err != nil {
			return false, err
		}
		m, err := icmp.ParseMessage(1, buf[:n])
		if err != nil || m.Type != ipv4.ICMPTypeEchoReply {
			continue
		}
		switch p := peer.(type) {
		case *net.UDPAddr:
			if p.IP.Equal(from) {
				return true, nil
			}
		case *net.IPAddr:
			if p.IP.Equal(from) {
				return true, nil
			}
		}
	}
}
