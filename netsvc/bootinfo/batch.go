package bootinfo

import (
	"context"
	"log/slog"
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
)

// outBatch collects answers to send in one system call. Its buffers are used
// again.
type outBatch struct {
	s        *Server
	conn     *ipv4.PacketConn
	messages []ipv4.Message
	used     int
}

// add encodes one answer. It goes to the client port whatever port the question
// came from, and comes from the address that was asked.
func (b *outBatch) add(to netip.Addr, src net.IP, out *Outcome) {
	if b.used == len(b.messages) {
		b.messages = append(b.messages, ipv4.Message{Buffers: [][]byte{nil}, Addr: &net.UDPAddr{IP: make(net.IP, 0, net.IPv4len)}})
	}
	m := &b.messages[b.used]
	packet, err := out.Reply.Append(m.Buffers[0][:0])
	if err != nil {
		b.s.cfg.Log.Error("answer does not fit", "service", "bootinfo", "node", out.Node, "error", err)
		failed := Packet{Version: out.Reply.Version, Opcode: OpReply, Status: StatusFail}
		packet, _ = failed.Append(m.Buffers[0][:0])
	}
	m.Buffers[0] = packet
	addr, four := m.Addr.(*net.UDPAddr), to.As4()
	addr.IP, addr.Port = append(addr.IP[:0], four[:]...), ClientPort
	if m.OOB = nil; src != nil {
		m.OOB = (&ipv4.ControlMessage{Src: src}).Marshal()
	}
	b.used++
	if log := b.s.cfg.Log; log.Enabled(context.Background(), slog.LevelDebug) {
		log.Debug("answered", "service", "bootinfo", "node", out.Node, "from", to, "plan", out.Plan.Kind.String(), "reason", out.Plan.Reason)
	}
}

// send sends what was added. An answer that cannot be sent is left out: its
// loader asks again.
func (b *outBatch) send() {
	for next := 0; next < b.used; {
		n, err := b.conn.WriteBatch(b.messages[next:b.used], 0)
		b.s.counts.Replies.Add(int64(max(n, 0)))
		next += max(n, 0)
		if err != nil {
			b.s.counts.Dropped.Add(1)
			b.s.cfg.Log.Debug("answer not sent", "service", "bootinfo", "to", b.messages[min(next, b.used-1)].Addr, "error", err)
			next++
		}
	}
	b.used = 0
}
