package bootinfo

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// Orders to a loader that waits (bootinfosend).
const (
	OrderWakeup  = TypeAuto    // ask again
	OrderReboot  = TypeReboot  // reset the machine
	OrderRestart = TypeRestart // start the boot program again
)

// SendOrder sends one order datagram from a server address to a node. Nothing
// acknowledges it: the node's next state does.
func SendOrder(ctx context.Context, server, node netip.Addr, order uint16) error {
	return SendAnswer(ctx, server, node, Answer{Type: order})
}

// SendAnswer sends a node that waits what it would be told if it asked.
func SendAnswer(ctx context.Context, server, node netip.Addr, answer Answer) error {
	packet, err := Packet{Version: 1, Opcode: OpOrder, Answer: answer}.Append(nil)
	if err != nil {
		return err
	}
	// Loaders accept orders from OrderPort only. The port is shared by
	// concurrent senders.
	config := net.ListenConfig{Control: reusePort}
	conn, err := config.ListenPacket(ctx, "udp4", netip.AddrPortFrom(server, OrderPort).String())
	if err != nil {
		return fmt.Errorf("bootinfo: order to %s: %w", node, err)
	}
	defer conn.Close()
	to := net.UDPAddrFromAddrPort(netip.AddrPortFrom(node, ClientPort))
	if _, err := conn.WriteTo(packet, to); err != nil {
		return fmt.Errorf("bootinfo: order to %s: %w", node, err)
	}
	return nil
}
