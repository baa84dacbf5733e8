package client

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"hyzer/netsvc/dhcp"
)

// Layout of a message (RFC 2131 §2).
const (
	opRequest      = 1
	opReply        = 2
	htypeEthernet  = 1
	macBytes       = 6
	secsOffset     = 8
	flagsOffset    = 10
	ciaddrOffset   = 12
	chaddrOffset   = 28
	cookieOffset   = 236
	optionsOffset  = 240
	cookie         = 0x63825363
	flagBroadcast  = 0x8000
	messageBytes   = 300 // what BOOTP relays expect at least
	replyBytesWant = 1472
)

// wanted is the list of options that are asked for.
var wanted = [...]byte{
	dhcp.OptSubnetMask, dhcp.OptRouter, dhcp.OptDNS, dhcp.OptHostName, dhcp.OptDomainName,
	dhcp.OptLeaseTime, dhcp.OptServerID, dhcp.OptT1, dhcp.OptT2,
}

// Message is what a client sends (RFC 2131 §4.4, table 5). Addresses that are
// not valid are left out.
type Message struct {
	Type      dhcp.MessageType
	XID       uint32
	MAC       [6]byte
	Secs      uint16
	Broadcast bool
	CIAddr    netip.Addr // of a client that has its address
	Requested netip.Addr // option 50
	Server    netip.Addr // option 54
}

// Append encodes the message.
func (m Message) Append(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, optionsOffset)...)
	b := dst[start:]
	be := binary.BigEndian
	b[0], b[1], b[2] = opRequest, htypeEthernet, macBytes
	be.PutUint32(b[4:], m.XID)
	be.PutUint16(b[secsOffset:], m.Secs)
	if m.Broadcast {
		be.PutUint16(b[flagsOffset:], flagBroadcast)
	}
	if m.CIAddr.Is4() {
		copy(b[ciaddrOffset:], m.CIAddr.AsSlice())
	}
	copy(b[chaddrOffset:], m.MAC[:])
	be.PutUint32(b[cookieOffset:], cookie)
	option := func(code byte, data ...byte) { dst = append(append(dst, code, byte(len(data))), data...) }
	option(dhcp.OptMessageType, byte(m.Type))
	if m.Requested.Is4() {
		option(dhcp.OptRequestedAddress, m.Requested.AsSlice()...)
	}
	if m.Server.Is4() {
		option(dhcp.OptServerID, m.Server.AsSlice()...)
	}
	option(dhcp.OptMaxMessageSize, byte(replyBytesWant>>8), byte(replyBytesWant&0xff))
	option(dhcp.OptParameterList, wanted[:]...)
	dst = append(dst, dhcp.OptEnd)
	return append(dst, make([]byte, max(0, messageBytes-(len(dst)-start)))...)
}

// Lease is what a server granted.
type Lease struct {
	IP     netip.Addr
	Mask   netip.Addr
	Router netip.Addr // not valid: none
	Server netip.Addr // option 54: who granted it
	Next   netip.Addr // siaddr, else Server: who serves boot files and bootinfo
	DNS    []netip.Addr
	Domain string
	Host   string
	// Time is how long it lasts; after Renew of it the client asks for more,
	// after Rebind it asks anybody (RFC 2131 §4.4.5).
	Time, Renew, Rebind time.Duration
}

// infinite is the lease time that never ends (RFC 2131 §3.3).
const infinite = 0xffffffff

// dnsMax is how many name servers are kept, as many as resolv.conf takes.
const dnsMax = 3

// ReadLease takes a lease from an OFFER or ACK. One without address, netmask,
// server or time is an error.
func ReadLease(p *dhcp.Packet) (Lease, error) {
	l := Lease{IP: p.YIAddr(), Next: p.SIAddr()}
	var maskOK, serverOK bool
	l.Mask, maskOK = p.AddrOption(dhcp.OptSubnetMask)
	l.Server, serverOK = p.AddrOption(dhcp.OptServerID)
	l.Router, _ = p.AddrOption(dhcp.OptRouter)
	secs, timeOK := seconds(p, dhcp.OptLeaseTime)
	switch {
	case l.IP.IsUnspecified():
		return l, errors.New("DHCP: the reply has no address")
	case !serverOK:
		return l, fmt.Errorf("DHCP: the reply with %v names no server", l.IP)
	case !maskOK:
		return l, fmt.Errorf("DHCP: %v offers %v without a netmask", l.Server, l.IP)
	case !timeOK || secs == 0:
		return l, fmt.Errorf("DHCP: %v offers %v without a lease time", l.Server, l.IP)
	}
	if l.Next.IsUnspecified() {
		l.Next = l.Server
	}
	l.Domain, l.Host = text(p, dhcp.OptDomainName), text(p, dhcp.OptHostName)
	list, _ := p.Option(dhcp.OptDNS)
	for ; len(list) >= 4 && len(l.DNS) < dnsMax; list = list[4:] {
		l.DNS = append(l.DNS, netip.AddrFrom4([4]byte(list)))
	}
	l.times(p, secs)
	return l, nil
}

// times fills in when to renew: as the server says, else after half and seven
// eighths of the lease.
func (l *Lease) times(p *dhcp.Packet, secs uint32) {
	if secs == infinite {
		return
	}
	l.Time = time.Duration(secs) * time.Second
	l.Renew, l.Rebind = l.Time/2, l.Time*7/8
	if t1, ok := seconds(p, dhcp.OptT1); ok && time.Duration(t1)*time.Second < l.Time {
		l.Renew = time.Duration(t1) * time.Second
	}
	if t2, ok := seconds(p, dhcp.OptT2); ok && time.Duration(t2)*time.Second < l.Time {
		l.Rebind = time.Duration(t2) * time.Second
	}
}

func seconds(p *dhcp.Packet, code uint8) (uint32, bool) {
	v, ok := p.Option(code)
	if !ok || len(v) != 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(v), true
}

// text is an option as text; servers may end it with NULs.
func text(p *dhcp.Packet, code uint8) string {
	v, _ := p.Option(code)
	for len(v) > 0 && v[len(v)-1] == 0 {
		v = v[:len(v)-1]
	}
	return string(v)
}
