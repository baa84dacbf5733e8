package wire

import "encoding/binary"

// Mode 2 is negotiated by what follows a JOIN2: peers that do not know it
// ignore bytes after datalen (A1.4), so neither side needs to know the other's
// age. The extension has a fixed length in both directions, so that a reply is
// never longer than the request that caused it, and one that the C programs
// were seen to ignore. Later requests repeat the offer, for the server may have
// been started anew.
//
//	 0  16 bytes  extensionMagic; C clients leave garbage inside JOIN2, never after
//	16  options   u8 kind, u8 length of the value, value; kind 0 ends the list
const (
	extensionMagic = "\x89hyzer frisbee2\n"
	// ExtensionBytes is the length of the extension.
	ExtensionBytes = 40

	optionEnd   = 0
	optionOffer = 1 // u16 bit set of repair codes
	optionGrant = 2 // see appendGrant
	offerBytes  = 2
	grantBytes  = 17
)

// Repair codes of mode 2.
const (
	// CodeLeopard is the systematic Reed-Solomon code of package fec.
	CodeLeopard uint8 = 1
)

// Offer is what a client of mode 2 adds to its JOIN2 request.
type Offer struct {
	Codes uint16 // bit n: code n is understood
}

// NewOffer offers all codes there are.
func NewOffer() Offer { return Offer{Codes: 1 << CodeLeopard} }

// Has says whether the code is offered.
func (o Offer) Has(code uint8) bool { return code < 16 && o.Codes&(1<<code) != 0 }

// Grant is what a server of mode 2 adds to its JOIN2 reply.
type Grant struct {
	Version
	ParityPort   uint16 // where PARITY and NAK go, at the session's address
	Code         uint8
	ParityBlocks uint16 // per chunk, before their numbers start again
}

// Version tells one version of an image, and one run of its server, from all
// others.
type Version struct {
	ImageID uint64 // the same only for the same bytes
	Epoch   uint32 // of the server's run
}

// AppendOffer adds the extension with o to a JOIN2 request, REQUEST or
// PREQUEST.
func AppendOffer(dst []byte, o Offer) []byte {
	start := len(dst)
	dst = append(dst, extensionMagic...)
	dst = append(dst, optionOffer, offerBytes)
	dst = binary.LittleEndian.AppendUint16(dst, o.Codes)
	return padExtension(dst, start)
}

// AppendGrant adds the extension with g to a JOIN2 reply.
func AppendGrant(dst []byte, g Grant) []byte {
	start := len(dst)
	dst = append(dst, extensionMagic...)
	dst = append(dst, optionGrant, grantBytes)
	dst = binary.LittleEndian.AppendUint64(dst, g.ImageID)
	dst = le32(dst, g.Epoch)
	dst = binary.LittleEndian.AppendUint16(dst, g.ParityPort)
	dst = append(dst, g.Code)
	dst = binary.LittleEndian.AppendUint16(dst, g.ParityBlocks)
	return padExtension(dst, start)
}

func padExtension(dst []byte, start int) []byte {
	var zeros [ExtensionBytes]byte
	return append(dst, zeros[:ExtensionBytes-(len(dst)-start)]...)
}

// ParseOffer returns the offer that follows a packet, if there is one. The
// packet has passed Split.
func ParseOffer(datagram []byte) (Offer, bool) {
	v, ok := option(datagram, optionOffer, offerBytes)
	if !ok {
		return Offer{}, false
	}
	return Offer{Codes: binary.LittleEndian.Uint16(v)}, true
}

// ParseGrant returns the grant that follows a JOIN2 reply, if there is one.
func ParseGrant(datagram []byte) (Grant, bool) {
	v, ok := option(datagram, optionGrant, grantBytes)
	if !ok {
		return Grant{}, false
	}
	g := Grant{
		Version:      Version{ImageID: binary.LittleEndian.Uint64(v), Epoch: u32(v, 8)},
		ParityPort:   binary.LittleEndian.Uint16(v[12:]),
		Code:         v[14],
		ParityBlocks: binary.LittleEndian.Uint16(v[15:]),
	}
	return g, g.ParityPort != 0 && g.ParityBlocks != 0
}

// option finds an option in the extension of a packet. Kinds that are not known
// are passed over, so that later versions can add some.
func option(datagram []byte, kind byte, valueBytes int) ([]byte, bool) {
	if len(datagram) < HeaderBytes || uint64(len(datagram)) != HeaderBytes+uint64(u32(datagram, 8))+ExtensionBytes {
		return nil, false
	}
	b := datagram[len(datagram)-ExtensionBytes:]
	if string(b[:len(extensionMagic)]) != extensionMagic {
		return nil, false
	}
	list := b[len(extensionMagic):]
	for len(list) >= 2 && list[0] != optionEnd {
		n := int(list[1])
		if n > len(list)-2 {
			return nil, false
		}
		if list[0] == kind && n >= valueBytes {
			return list[2 : 2+n], true
		}
		list = list[2+n:]
	}
	return nil, false
}
