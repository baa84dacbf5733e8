package bootinfo

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"hyzer/netsvc/lifecycle/states"
	"hyzer/storage/registry"
)

// Orders to a loader that waits (bootinfosend).
const (
	OrderWakeup  = TypeAuto    // ask again
	OrderReboot  = TypeReboot  // reset the machine
	OrderRestart = TypeRestart // start the boot program again
)

// Orders gives orders to nodes, and reports first what becomes of them: the
// loader's next question must find it recorded.
type Orders struct {
	Snapshot func() *registry.Snapshot
	Reports  OrderReporter
	// Send sends the order; nil is SendAnswer.
	Send func(ctx context.Context, server, node netip.Addr, answer Answer) error
}

// OrderReporter records what orders make of nodes.
type OrderReporter interface {
	// AwaitReports waits for what a node was told lately to be recorded.
	AwaitReports(ctx context.Context, node string)
	// Report records states that a node has reached, in order, durably.
	Report(ctx context.Context, node, source string, states ...string) error
}

// Give orders a node. It returns when the states are recorded and the datagram
// is sent; nothing acknowledges that, and the node's deadline is what notices a
// lost one. Without force a node is left alone that is not in a state in which
// it listens: it would not hear the order, and its state would be a wrong one.
func (o Orders) Give(ctx context.Context, id string, order states.LoaderOrder, force bool) error {
	o.Reports.AwaitReports(ctx, id)
	s := o.Snapshot()
	node := s.Node(id)
	if node == nil {
		return fmt.Errorf("bootinfo: node %s: %w", id, registry.ErrNotFound)
	}
	if state := s.State(id).State; !force && !states.State(state).TakesOrders() {
		return fmt.Errorf("bootinfo: node %s does not wait for orders (state %s)", id, state)
	}
	server, ip := s.Site().BossIP, node.ControlIP()
	if !server.Is4() || !ip.Is4() {
		return fmt.Errorf("bootinfo: an order to %s needs its control address and the site's boss_ip", id)
	}
	answer, reached, err := planOrder(s, node, order)
	if err != nil {
		return err
	}
	if len(reached) > 0 {
		if err := o.Reports.Report(ctx, id, string(states.SourceOrder), reached...); err != nil {
			return err
		}
	}
	if o.Send != nil {
		return o.Send(ctx, server, ip, answer)
	}
	return SendAnswer(ctx, server, ip, answer)
}

// planOrder says what a node is sent, and which states it is in then.
func planOrder(s *registry.Snapshot, node *registry.Node, order states.LoaderOrder) (a Answer, reached []string, err error) {
	switch order {
	case states.OrderWakeup:
		return Answer{Type: OrderWakeup}, []string{string(states.StatePXEWakeup)}, nil
	case states.OrderReboot:
		return Answer{Type: OrderReboot}, []string{string(states.StateShutdown)}, nil
	case states.OrderRestart:
		return Answer{Type: OrderRestart}, []string{string(states.StateShutdown)}, nil
	case states.OrderAnswer:
		out, _ := Handle(s, Request{Version: 1, Opcode: OpRequest}, node.ControlIP())
		if out.Reply.Status != StatusSuccess {
			return Answer{}, nil, fmt.Errorf("bootinfo: there is no answer for node %s: %s", node.ID, out.Plan.Reason)
		}
		return out.Reply.Answer, out.States, nil
	}
	return Answer{}, nil, order.Check()
}

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
