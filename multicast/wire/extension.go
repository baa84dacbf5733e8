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
//	56  16 bytes  tag of all before it (ControlKey); zeros in a session without a key
const (
	extensionMagic = "\x89hyzer frisbee2\n"
	// ExtensionBytes is the length of the extension.
	ExtensionBytes = 72

	optionEnd   = 0
	optionOffer = 1 // see AppendOffer
	optionGrant = 2 // see AppendGrant
	offerBytes  = 10
	grantBytes  = 30

	grantKeyed = 1 // flag: blocks have tags
)

// Repair codes of mode 2.
const (
	// CodeCauchy is the code of package fec. Number 1 was never released.
	CodeCauchy uint8 = 2
)

// Offer is what a client of mode 2 adds to its JOIN2 request.
type Offer struct {
	Codes uint16 // bit n: code n is understood
	// Nonce is echoed in the grant, so that an old one cannot be sent again.
	Nonce uint32
	// ClockUS is the server's clock as far as it is known; 0: not known. A tag
	// is good for a moment only.
	ClockUS uint32
}

// NewOffer offers all codes there are.
func NewOffer() Offer { return Offer{Codes: 1 << CodeCauchy} }

// Has says whether the code is offered.
func (o Offer) Has(code uint8) bool { return code < 16 && o.Codes&(1<<code) != 0 }

// Grant is what a server of mode 2 adds to its JOIN2 reply.
type Grant struct {
	Version
	ParityPort   uint16 // where PARITY and NAK go, at the session's address
	Code         uint8
	ParityBlocks uint16 // per chunk, before their numbers start again
	Nonce        uint32 // of the offer
	ClockUS      uint32 // of the server, which is never 0
	// ManifestBytes is the length of the manifest that can be asked for; 0:
	// there is none.
	ManifestBytes uint32
	// Keyed says that blocks have tags. Clients without the key have no use for
	// trailers then.
	Keyed bool
}

// Version tells one version of an image, and one run of its server, from all
// others.
type Version struct {
	ImageID uint64 // the same only for the same bytes
	Epoch   uint32 // of the server's run
}

// AppendOffer adds the extension with o to a JOIN2 request, REQUEST or
// PREQUEST. Its tag is zeros; see ControlKey.Sign.
func AppendOffer(dst []byte, o Offer) []byte {
	start := len(dst)
	dst = append(dst, extensionMagic...)
	dst = append(dst, optionOffer, offerBytes)
	dst = binary.LittleEndian.AppendUint16(dst, o.Codes)
	dst = le32(le32(dst, o.Nonce), o.ClockUS)
	return padExtension(dst, start)
}

// AppendGrant adds the extension with g to a JOIN2 reply. Its tag is zeros; see
// ControlKey.Sign.
func AppendGrant(dst []byte, g Grant) []byte {
	start := len(dst)
	dst = append(dst, extensionMagic...)
	dst = append(dst, optionGrant, grantBytes)
	dst = binary.LittleEndian.AppendUint64(dst, g.ImageID)
	dst = le32(dst, g.Epoch)
	dst = binary.LittleEndian.AppendUint16(dst, g.ParityPort)
	dst = append(dst, g.Code)
	dst = binary.LittleEndian.AppendUint16(dst, g.ParityBlocks)
	dst = le32(le32(le32(dst, g.Nonce), g.ClockUS), g.ManifestBytes)
	flags := byte(0)
	if g.Keyed {
		flags = grantKeyed
	}
	return padExtension(append(dst, flags), start)
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
	return Offer{Codes: binary.LittleEndian.Uint16(v), Nonce: u32(v, 2), ClockUS: u32(v, 6)}, true
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
		Nonce:        u32(v, 17), ClockUS: u32(v, 21), ManifestBytes: u32(v, 25), Keyed: v[29]&grantKeyed != 0,
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
	list := b[len(extensionMagic) : ExtensionBytes-TagBytes]
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
