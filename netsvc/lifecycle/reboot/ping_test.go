package reboot_test

import (
	"context"
	"log/slog"
	"net/netip"
	"testing"

	"golang.org/x/net/icmp"

	"hyzer/netsvc/lifecycle/reboot"
	"hyzer/storage/registry"
)

// TestPingUp probes loopback, where the system allows probes at all.
func TestPingUp(t *testing.T) {
	t.Parallel()
	conn, err := icmp.ListenPacket("udp4", "127.0.0.1")
	if err != nil {
		if conn, err = icmp.ListenPacket("ip4:icmp", "127.0.0.1"); err != nil {
			t.Skipf("no ICMP sockets here: %v", err)
		}
	}
	conn.Close()
	s := registry.NewSnapshot(&registry.SiteFile{Nodes: []registry.Node{
		{ID: "pc1", Interfaces: []registry.Interface{{Name: "eth0", Role: registry.InterfaceControl, IP: netip.MustParseAddr("127.0.0.1")}}}, {ID: "pc2"}}})
	ladder := reboot.New(reboot.Config{Snapshot: func() *registry.Snapshot { return s }, Log: slog.New(slog.DiscardHandler)})
	if !ladder.PingUp(t.Context(), "pc1") {
		t.Error("loopback does not answer")
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if ladder.PingUp(cancelled, "pc1") || ladder.PingUp(t.Context(), "pc2") || ladder.PingUp(t.Context(), "pc9") {
		t.Error("up: a cancelled probe, a node without address or an unknown node")
	}
}
