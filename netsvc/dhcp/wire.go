package dhcp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// Layout of a DHCPv4 message (RFC 2131 §2).
const (
	headerBytes     = 236 // fixed BOOTP part, without the magic cookie
	optionsOffset   = headerBytes + 4
	snameOffset     = 44
	snameBytes      = 64
	fileOffset      = 108
	fileBytes       = 128
	chaddrOffset    = 28
	chaddrBytes     = 16
	magicCookie     = 0x63825363
	flagBroadcast   = 0x8000
	opBootRequest   = 1
	opBootReply     = 2
	htypeEthernet   = 1
	htypeInfiniBand = 32
)

// Limits of what is read from the wire.
const (
	// packetBytesMax is the largest request that is read; a larger one is
	// dropped. Clients send less than 600 octets, relays add up to 257.
	packetBytesMax = 2048
	// optionFragmentsMax bounds the options and RFC 3396 fragments of one
	// message.
	optionFragmentsMax = 255
)

// Errors of Parse. They are wrapped with the offset where that helps.
var (
	ErrShort          = errors.New("dhcp: message shorter than 240 octets")
	ErrCookie         = errors.New("dhcp: no DHCP magic cookie (plain BOOTP)")
	ErrHardwareLength = errors.New("dhcp: hlen over 16")
	ErrOption         = errors.New("dhcp: option runs past the end of its field")
	ErrManyOptions    = errors.New("dhcp: more than 255 option fragments")
	ErrLong           = errors.New("dhcp: message over 2048 octets")
)

// fragment is one option as it stands on the wire. Fragments of one code are
// chained by next, so that RFC 3396 concatenation needs no search.
type fragment struct {
	offset uint16 // of the data, in Packet.data
	length uint16
	next   uint8 // 1 + index of the next fragment of this code, 0 for none
	last   uint8 // 1 + index of the last fragment; kept on the first one only
	code   uint8
}

// Packet is a view of one DHCPv4 message. It copies nothing: every slice it
// returns aliases the datagram given to Parse, or the Packet's own buffer for
// an option that came in several pieces, and is valid until the next Parse. A
// Packet is large and made to be reused.
type Packet struct {
	data      []byte
	joined    []byte // options that came in pieces, put together
	index     [256]uint8
	fragments [optionFragmentsMax]fragment
	count     int
	// Overload is the value of option 52: bit 0, file holds options; bit 1,
	// sname does. Zero when absent or senseless.
	overload uint8
}

// Parse reads data as a DHCPv4 message. It accepts a message without the END
// option; it rejects one that is too short, has no cookie, an hlen over 16, or
// an option longer than its field. Options are read from the options field,
// then file, then sname (RFC 2131 §4.1), and repeated ones are concatenated
// (RFC 3396 §7). Parse allocates only for repeated options.
func (p *Packet) Parse(data []byte) error {
	p.data, p.joined = data, p.joined[:0]
	clear(p.index[:])
	p.count, p.overload = 0, 0
	switch {
	case len(data) < optionsOffset:
		return ErrShort
	case len(data) > packetBytesMax:
		return ErrLong
	case binary.BigEndian.Uint32(data[headerBytes:]) != magicCookie:
		return ErrCookie
	case data[2] > chaddrBytes:
		return ErrHardwareLength
	}
	if err := p.scan(optionsOffset, len(data)); err != nil {
		return err
	}
	if err := p.scanOverloaded(); err != nil {
		return err
	}
	p.join()
	return nil
}

func (p *Packet) scanOverloaded() error {
	first := p.index[OptOverload]
	if first == 0 {
		return nil
	}
	f := p.fragments[first-1]
	if f.length != 1 || f.next != 0 || p.data[f.offset] > 3 {
		return nil
	}
	p.overload = p.data[f.offset]
	if p.overload&1 != 0 {
		if err := p.scan(fileOffset, fileOffset+fileBytes); err != nil {
			return err
		}
	}
	if p.overload&2 != 0 {
		return p.scan(snameOffset, snameOffset+snameBytes)
	}
	return nil
}

// scan notes the options of data[at:end]. END ends this field, not the chain.
func (p *Packet) scan(at, end int) error {
	for at < end {
		code := p.data[at]
		if code == OptEnd {
			return nil
		}
		if code == OptPad {
			at++
			continue
		}
		if at+2 > end || at+2+int(p.data[at+1]) > end {
			return fmt.Errorf("%w: option %d at offset %d", ErrOption, code, at)
		}
		length := int(p.data[at+1])
		if err := p.note(code, at+2, length); err != nil {
			return err
		}
		at += 2 + length
	}
	return nil
}

func (p *Packet) note(code uint8, offset, length int) error {
	if p.count == optionFragmentsMax {
		return ErrManyOptions
	}
	p.fragments[p.count] = fragment{offset: uint16(offset), length: uint16(length), code: code}
	p.count++
	number := uint8(p.count)
	first := p.index[code]
	if first == 0 {
		p.index[code] = number
		p.fragments[number-1].last = number
		return nil
	}
	head := &p.fragments[first-1]
	p.fragments[head.last-1].next = number
	head.last = number
	return nil
}

// join replaces every chain by one fragment whose data is in p.joined. Its
// offset then counts from len(p.data), so that one number says which buffer.
func (p *Packet) join() {
	for i := range p.fragments[:p.count] {
		head := &p.fragments[i]
		if head.next == 0 || p.index[head.code] != uint8(i+1) {
			continue
		}
		start := len(p.joined)
		for number := uint8(i + 1); number != 0; number = p.fragments[number-1].next {
			f := p.fragments[number-1]
			p.joined = append(p.joined, p.data[f.offset:f.offset+f.length]...)
		}
		head.offset = uint16(len(p.data) + start)
		head.length = uint16(len(p.joined) - start)
		head.next = 0
	}
}

// Option returns the data of an option, whole even if it came in pieces, and
// whether it was there. An option without data is there and empty.
func (p *Packet) Option(code uint8) ([]byte, bool) {
	number := p.index[code]
	if number == 0 {
		return nil, false
	}
	f := p.fragments[number-1]
	if f.length == 0 {
		return p.data[:0:0], true
	}
	start, end := int(f.offset), int(f.offset)+int(f.length)
	if start >= len(p.data) {
		return p.joined[start-len(p.data) : end-len(p.data) : end-len(p.data)], true
	}
	return p.data[start:end:end], true
}

// Bytes returns the datagram the view was made of.
func (p *Packet) Bytes() []byte { return p.data }

// Op is 1 in requests and 2 in replies.
func (p *Packet) Op() uint8 { return p.data[0] }

// HType is the hardware type (IANA ARP parameters), 1 for Ethernet.
func (p *Packet) HType() uint8 { return p.data[1] }

// HLen is the length of chaddr in octets, at most 16.
func (p *Packet) HLen() uint8 { return p.data[2] }

// Hops counts the relays a request has passed.
func (p *Packet) Hops() uint8 { return p.data[3] }

// XID is the client's transaction number. Old iPXE uses one for all tries.
func (p *Packet) XID() uint32 { return binary.BigEndian.Uint32(p.data[4:]) }

// Secs is what the client says it has waited. Some ROMs swap its octets and
// iPXE puts something else there: never decide by it.
func (p *Packet) Secs() uint16 { return binary.BigEndian.Uint16(p.data[8:]) }

// Flags has bit 15 set if the client can only receive broadcasts.
func (p *Packet) Flags() uint16 { return binary.BigEndian.Uint16(p.data[10:]) }

// CIAddr is the address the client has and answers ARP for, or 0.0.0.0.
func (p *Packet) CIAddr() netip.Addr { return p.addr(12) }

// YIAddr is the address given to the client, in replies.
func (p *Packet) YIAddr() netip.Addr { return p.addr(16) }

// SIAddr is the next server, from which the boot file is fetched.
func (p *Packet) SIAddr() netip.Addr { return p.addr(20) }

// GIAddr is the relay's address, or 0.0.0.0.
func (p *Packet) GIAddr() netip.Addr { return p.addr(24) }

func (p *Packet) addr(offset int) netip.Addr {
	return netip.AddrFrom4([4]byte(p.data[offset : offset+4]))
}

// CHAddr is the client's hardware address: HLen octets.
func (p *Packet) CHAddr() []byte { return p.data[chaddrOffset : chaddrOffset+int(p.data[2])] }

// File is the boot file name of the header, without its padding; empty when
// the field holds options.
func (p *Packet) File() []byte {
	if p.overload&1 != 0 {
		return nil
	}
	return untilNUL(p.data[fileOffset : fileOffset+fileBytes])
}

// ServerName is the sname field, without its padding; empty when the field
// holds options.
func (p *Packet) ServerName() []byte {
	if p.overload&2 != 0 {
		return nil
	}
	return untilNUL(p.data[snameOffset : snameOffset+snameBytes])
}

// Type is the DHCP message type, or 0 if option 53 is absent or malformed.
func (p *Packet) Type() MessageType {
	if v, ok := p.Option(OptMessageType); ok && len(v) == 1 {
		return MessageType(v[0])
	}
	return 0
}

// AddrOption reads an option that holds one IPv4 address.
func (p *Packet) AddrOption(code uint8) (netip.Addr, bool) {
	v, ok := p.Option(code)
	if !ok || len(v) != 4 {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte(v)), true
}

// RelaySubOption returns a sub-option of option 82 (RFC 3046).
func (p *Packet) RelaySubOption(code uint8) ([]byte, bool) {
	v, ok := p.Option(OptRelayAgent)
	if !ok {
		return nil, false
	}
	return subOption(v, code)
}

// subOption finds the first sub-option of an encapsulated list of code,
// length, data. Lists that overrun end at the fault. 0 and 255 have no special
// meaning: option 82 has neither PAD nor END, and nothing looked up here is 0.
func subOption(list []byte, code uint8) ([]byte, bool) {
	for len(list) >= 2 && 2+int(list[1]) <= len(list) {
		data := list[2 : 2+int(list[1])]
		if list[0] == code {
			return data, true
		}
		list = list[2+len(data):]
	}
	return nil, false
}

func untilNUL(b []byte) []byte {
	for i, c := range b {
		if c == 0 {
			return b[:i]
		}
	}
	return b
}
