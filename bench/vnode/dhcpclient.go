package vnode

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"hyzer/netsvc/dhcp"
)

// lease is what the firmware learned from DHCP and proxyDHCP.
type lease struct {
	ip     netip.Addr
	mask   netip.Addr
	next   netip.Addr // siaddr: TFTP and bootinfo server
	server netip.Addr // option 54
	file   string
	secs   uint32
}

const (
	dhcpServerPort = 67
	dhcpClientPort = 68
	dhcpMagic      = 0x63825363
	dhcpBytesMin   = 300
	sizeEthernet   = 6
)

// question is one DHCP message from the firmware. It is encoded here and not
// by the server's code, so that a fault of that is no fault of both.
type question struct {
	kind      dhcp.MessageType
	ciaddr    netip.Addr
	giaddr    netip.Addr
	server    netip.Addr // option 54
	asked     netip.Addr // option 50
	broadcast bool
	secs      uint16
}

// encode builds the message of a PXE client (RFC 2131 §2, RFC 4578).
func (q question) encode(c *Config, xid uint32) []byte {
	b := make([]byte, 240, 512)
	b[0], b[1], b[2] = 1, 1, sizeEthernet
	be := binary.BigEndian
	be.PutUint32(b[4:], xid)
	be.PutUint16(b[8:], q.secs)
	if q.broadcast {
		be.PutUint16(b[10:], 0x8000)
	}
	for at, a := range map[int]netip.Addr{12: q.ciaddr, 24: q.giaddr} {
		if a.Is4() {
			copy(b[at:], a.AsSlice())
		}
	}
	copy(b[28:], c.MAC[:])
	be.PutUint32(b[236:], dhcpMagic)
	option := func(code byte, data ...byte) {
		b = append(append(b, code, byte(len(data))), data...)
	}
	option(dhcp.OptMessageType, byte(q.kind))
	for _, o := range []struct {
		code byte
		addr netip.Addr
	}{{dhcp.OptRequestedAddress, q.asked}, {dhcp.OptServerID, q.server}} {
		if o.addr.Is4() {
			option(o.code, o.addr.AsSlice()...)
		}
	}
	option(dhcp.OptParameterList, 1, 3, 6, 12, 15, 43, 51, 54, 60, 66, 67, 97, 128)
	option(dhcp.OptMaxMessageSize, 0x05, 0xc0)
	option(dhcp.OptVendorClass, fmt.Appendf(nil, "PXEClient:Arch:%05d:UNDI:003016", c.Arch)...)
	option(dhcp.OptClientArch, byte(c.Arch>>8), byte(c.Arch))
	option(dhcp.OptClientNDI, 1, 3, 16)
	option(dhcp.OptClientUUID, append([]byte{0}, c.UUID[:]...)...)
	b = append(b, dhcp.OptEnd)
	return append(b, make([]byte, max(0, dhcpBytesMin-len(b)))...)
}

// dhcpClient is one conversation.
type dhcpClient struct {
	*boot
	port  *port
	xid   uint32
	to    netip.AddrPort
	since time.Time
	reply dhcp.Packet // the last one accepted; aliases bytes
	bytes []byte
}

// openDHCP binds the client. On loopback the node is its own relay: giaddr is
// its address, and the server answers to the port it sent from.
func (b *boot) openDHCP() (*dhcpClient, error) {
	c := &dhcpClient{boot: b, xid: rand.Uint32(), since: time.Now()}
	local := netip.AddrPortFrom(b.cfg.IP, 0)
	c.to = netip.AddrPortFrom(b.cfg.Server.IP, b.cfg.Server.DHCP)
	if b.cfg.Link != "" {
		local = netip.AddrPortFrom(netip.IPv4Unspecified(), dhcpClientPort)
		c.to = netip.AddrPortFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), b.cfg.Server.DHCP)
	}
	var err error
	c.port, err = openPort(b.ctx, local, b.cfg.Link)
	return c, err
}

// ask sends a question until wanted takes a reply.
func (c *dhcpClient) ask(q question, to netip.AddrPort, waits []time.Duration, wanted func(*dhcp.Packet) bool) (bool, error) {
	q.broadcast = c.cfg.Link != ""
	if c.cfg.Link == "" && q.ciaddr == (netip.Addr{}) {
		q.giaddr = c.cfg.IP
	}
	request := func() []byte {
		q.secs = uint16(time.Since(c.since) / time.Second)
		return q.encode(&c.cfg, c.xid)
	}
	return c.port.exchange(request, to, waits, func(b []byte, from netip.AddrPort) bool {
		var p dhcp.Packet
		if p.Parse(b) != nil || p.Op() != 2 || p.XID() != c.xid || !bytes.Equal(p.CHAddr(), c.cfg.MAC[:]) {
			return false
		}
		if !wanted(&p) {
			return false
		}
		c.bytes = append(c.bytes[:0], b...)
		return c.reply.Parse(c.bytes) == nil
	})
}

// acquire gets an address: DISCOVER, OFFER, REQUEST, ACK.
func (c *dhcpClient) acquire() (ok bool, err error) {
	isOffer := func(p *dhcp.Packet) bool {
		return p.Type() == dhcp.Offer && !p.YIAddr().IsUnspecified()
	}
	if ok, err = c.ask(question{kind: dhcp.Discover}, c.to, c.cfg.Timing.DHCPTries, isOffer); !ok {
		return false, err
	}
	offered := c.read()
	c.phase(PhaseDHCP, "OFFER of %v from %v", offered.ip, offered.server)
	request := question{kind: dhcp.Request, asked: offered.ip, server: offered.server}
	isAnswer := func(p *dhcp.Packet) bool {
		server, _ := p.AddrOption(dhcp.OptServerID)
		return server == offered.server && (p.Type() == dhcp.Ack || p.Type() == dhcp.Nak)
	}
	if ok, err = c.ask(request, c.to, c.cfg.Timing.DHCPTries, isAnswer); !ok {
		return false, err
	}
	if c.reply.Type() == dhcp.Nak {
		text, _ := c.reply.Option(dhcp.OptMessage)
		c.phase(PhaseDHCP, "NAK: %.80q", text)
		return false, nil
	}
	c.lease = c.read()
	return true, c.check(offered)
}

// check compares the lease with the offer and with what the node expects.
func (c *dhcpClient) check(offered lease) error {
	l := c.lease
	switch {
	case l.ip != offered.ip:
		return fmt.Errorf("ACK of %v after an OFFER of %v", l.ip, offered.ip)
	case l.ip != c.cfg.IP:
		return fmt.Errorf("ACK of %v, but this node is %v", l.ip, c.cfg.IP)
	case l.secs == 0:
		return fmt.Errorf("ACK of %v without a lease time", l.ip)
	case !l.mask.Is4():
		return fmt.Errorf("ACK of %v without a netmask", l.ip)
	}
	c.phase(PhaseDHCP, "ACK of %v for %d s, boot file %q from %v", l.ip, l.secs, l.file, l.next)
	return nil
}

// read takes from a reply what the firmware uses. UEFI prefers option 67.
func (c *dhcpClient) read() lease {
	p := &c.reply
	l := lease{ip: p.YIAddr(), next: p.SIAddr(), file: string(p.File())}
	l.server, _ = p.AddrOption(dhcp.OptServerID)
	l.mask, _ = p.AddrOption(dhcp.OptSubnetMask)
	if v, ok := p.Option(dhcp.OptLeaseTime); ok && len(v) == 4 {
		l.secs = binary.BigEndian.Uint32(v)
	}
	if v, ok := p.Option(dhcp.OptBootFileName); ok && (l.file == "" || c.cfg.Arch != 0) {
		l.file = string(bytes.TrimRight(v, "\x00"))
	}
	if l.next.IsUnspecified() {
		l.next = l.server
	}
	return l
}

// askProxy gets the boot file from a proxyDHCP server, by its offer if that is
// all there is to know (option 43 says so), else from its port 4011.
func (c *dhcpClient) askProxy() (ok bool, err error) {
	isProxy := func(p *dhcp.Packet) bool {
		class, _ := p.Option(dhcp.OptVendorClass)
		return p.Type() == dhcp.Offer && p.YIAddr().IsUnspecified() && bytes.HasPrefix(class, []byte("PXEClient"))
	}
	if ok, err = c.ask(question{kind: dhcp.Discover}, c.to, c.cfg.Timing.DHCPTries, isProxy); !ok {
		return false, err
	}
	offer := c.read()
	control, downloads := c.reply.Option(dhcp.OptVendorSpecific)
	if downloads = downloads && discoveryOff(control) && offer.file != ""; !downloads {
		c.phase(PhaseDHCP, "proxy OFFER from %v, asking its boot server port", offer.server)
		to := netip.AddrPortFrom(offer.next, c.cfg.Server.BootServer)
		isAck := func(p *dhcp.Packet) bool { return p.Type() == dhcp.Ack && len(p.File()) > 0 }
		if ok, err = c.ask(question{kind: dhcp.Request, ciaddr: c.cfg.IP}, to, []time.Duration{c.cfg.Timing.OfferWait, c.cfg.Timing.OfferWait}, isAck); !ok {
			return false, err
		}
		offer = c.read()
	}
	c.lease.next, c.lease.file, c.lease.server = offer.next, offer.file, offer.server
	c.phase(PhaseDHCP, "boot file %q from %v by proxyDHCP", offer.file, offer.next)
	return true, nil
}

// discoveryOff reads PXE_DISCOVERY_CONTROL (sub-option 6), bit 3: just download
// the file of this offer.
func discoveryOff(options []byte) bool {
	for len(options) >= 3 && options[0] != dhcp.OptEnd {
		length := int(options[1])
		if options[0] == 6 && length == 1 {
			return options[2]&8 != 0
		}
		if len(options) < 2+length {
			return false
		}
		options = options[2+length:]
	}
	return false
}
