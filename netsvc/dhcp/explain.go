package dhcp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
)

// Question is a machine and a moment of its boot, to be explained.
type Question struct {
	Client HardwareAddr
	Arch   Arch
	// Class is what the machine would call itself: PXEClient, HTTPClient,
	// iPXE, or empty for an operating system.
	Class string
	// Local is the server's address on the machine's network.
	Local netip.Addr
	// Relay is the relay before the machine, if there is one.
	Relay netip.Addr
}

// Explain says in words what a DISCOVER of this machine would be answered now,
// and why. It decides with Decide itself, so it cannot say something else.
func Explain(q Question, dir Directory, table *Table, now Instant) string {
	var p Packet
	if err := p.Parse(q.discover()); err != nil {
		return err.Error() + "\n"
	}
	in := Ingress{Local: q.Local, Source: netip.AddrPortFrom(netip.IPv4Unspecified(), clientPort)}
	d := Decide(make([]byte, 0, replyBytesMax), &p, in, dir, table, now)
	var b strings.Builder
	explainMachine(&b, q, dir, table, now)
	explainSubnet(&b, q, dir, table, now)
	if d.Type == 0 {
		fmt.Fprintf(&b, "answer: none, because %s\n", d.Reason)
		return b.String()
	}
	fmt.Fprintf(&b, "answer: %s, because %s\n", d.Type, d.Reason)
	explainReply(&b, d)
	return b.String()
}

// discover makes the message the machine would send.
func (q Question) discover() []byte {
	m := make([]byte, optionsOffset, replyBytesMin)
	m[0], m[1], m[2] = opBootRequest, q.Client.Type, q.Client.Length
	copy(m[chaddrOffset:], q.Client.Octets[:])
	if q.Relay.Is4() {
		octets := q.Relay.As4()
		copy(m[24:], octets[:])
	}
	binary.BigEndian.PutUint32(m[headerBytes:], magicCookie)
	m = append(m, OptMessageType, 1, uint8(Discover))
	if q.Class != "" {
		m = q.appendClass(m)
	}
	return append(m, OptParameterList, 6, OptSubnetMask, OptRouter, OptDNS, OptHostName, OptTFTPServerName, OptBootFileName, OptEnd)
}

func (q Question) appendClass(m []byte) []byte {
	class := q.Class
	if class == classIPXE {
		class = classPXE
		m = append(m, OptUserClass, uint8(len(classIPXE)))
		m = append(m, classIPXE...)
	}
	class = fmt.Sprintf("%.100s:Arch:%05d:UNDI:003000", class, uint16(q.Arch))
	m = append(m, OptVendorClass, uint8(len(class)))
	m = append(m, class...)
	return append(m, OptClientArch, 2, uint8(q.Arch>>8), uint8(q.Arch))
}

func explainMachine(b *strings.Builder, q Question, dir Directory, table *Table, now Instant) {
	res, known := dir.ByHardware(q.Client)
	switch {
	case !known:
		fmt.Fprintf(b, "machine %s: not a known node\n", q.Client)
	case res.IP.IsValid():
		fmt.Fprintf(b, "machine %s: node %s, reserved address %s\n", q.Client, res.Node, res.IP)
	default:
		fmt.Fprintf(b, "machine %s: node %s, no reserved address\n", q.Client, res.Node)
	}
	if known && res.IP.Is4() {
		explainHolder(b, q, table.find(res.IP), now)
	}
}

func explainHolder(b *strings.Builder, q Question, held *binding, now Instant) {
	if held.live(now) && held.client != q.Client {
		fmt.Fprintf(b, "  that address is held by %s (node %q) for another %s\n",
			held.client, held.node, (held.until - now).Truncate(1e9))
	}
}

func explainSubnet(b *strings.Builder, q Question, dir Directory, table *Table, now Instant) {
	s := dir.Subnets().Find(q.Local)
	if q.Relay.IsValid() {
		s = dir.Subnets().findRelay(q.Relay)
	}
	if s == nil {
		return
	}
	fmt.Fprintf(b, "subnet %s: mode %s", s.Prefix, s.Mode)
	if s.HasPool() {
		fmt.Fprintf(b, ", pool %s to %s", s.PoolFirst, s.PoolLast)
	}
	b.WriteByte('\n')
	if held := table.ofClient(q.Client, s); held.heldBy(q.Client, now) {
		fmt.Fprintf(b, "  the machine holds %s (%s) for another %s\n",
			addrOf(held.ip), held.state, (held.until - now).Truncate(1e9))
	}
}

func explainReply(b *strings.Builder, d Decision) {
	var p Packet
	if err := p.Parse(d.Reply); err != nil {
		fmt.Fprintf(b, "  unreadable reply: %v\n", err)
		return
	}
	if ip := p.YIAddr(); !ip.IsUnspecified() {
		term, _ := p.Option(OptLeaseTime)
		fmt.Fprintf(b, "  address %s", ip)
		if len(term) == 4 {
			fmt.Fprintf(b, " for %s", Instant(binary.BigEndian.Uint32(term))*1e9)
		}
		b.WriteByte('\n')
	}
	explainBoot(b, &p)
	fmt.Fprintf(b, "  sent %s\n", d.Dest.words())
}

func explainBoot(b *strings.Builder, p *Packet) {
	name := p.File()
	if v, ok := p.Option(OptBootFileName); ok {
		name = untilNUL(v)
	}
	if len(name) == 0 {
		b.WriteString("  no boot file\n")
		return
	}
	fmt.Fprintf(b, "  boot file %s from %s\n", sanitize(name), p.SIAddr())
	if class, ok := p.Option(OptVendorClass); ok {
		fmt.Fprintf(b, "  as %s", sanitize(class))
		if _, ok := p.Option(OptVendorSpecific); !ok && string(class) == classPXE {
			b.WriteString(", to be asked for again on port 4011")
		}
		b.WriteByte('\n')
	}
}

func (d Dest) words() string {
	switch d.Kind {
	case DestBroadcast:
		return "by broadcast"
	case DestHardware:
		return "to " + d.Addr.Addr().String() + " at its hardware address"
	case DestUDP:
		return "to " + d.Addr.String()
	}
	return "nowhere"
}
