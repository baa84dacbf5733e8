package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// Sizes of the legacy protocol (spec frisbee A1.8, A2, A3). They are compiled
// into the C peers and cannot be negotiated.
const (
	HeaderBytes = 16
	BlockBytes  = 1024
	ChunkBlocks = 1024
	ChunkBytes  = ChunkBlocks * BlockBytes
	BitmapBytes = ChunkBlocks / 8

	// DatagramBytesMax is the receive buffer of the C peers: what is longer
	// they truncate and then drop.
	DatagramBytesMax = 1080
	// BlockDatagramBytes is the length of every BLOCK datagram.
	BlockDatagramBytes = HeaderBytes + blockBodyBytes
)

// Body sizes, which are also the smallest datalen accepted.
const (
	joinBodyBytes     = 4
	join2BodyBytes    = 24
	blockBodyBytes    = 8 + BlockBytes
	requestBodyBytes  = 12
	prequestBodyBytes = 8 + BitmapBytes
	leaveBodyBytes    = 8
	leave2BodyBytes   = 8 + StatsBytes
	progressBodyBytes = 16
	reportBodyBytes   = progressBodyBytes + 16 + StatsBytes
)

// Type tells requests from replies. BLOCK is of type Request: the C server
// sends it so and the C client asks for nothing else.
type Type int32

// The packet types (A3).
const (
	Request Type = 1
	Reply   Type = 2
)

// Subtype is the kind of a packet.
type Subtype int32

// The packet kinds (A3).
const (
	SubJoin     Subtype = 1
	SubLeave    Subtype = 2
	SubBlock    Subtype = 3
	SubRequest  Subtype = 4
	SubLeave2   Subtype = 5
	SubPRequest Subtype = 6
	SubJoin2    Subtype = 7
	SubProgress Subtype = 8
)

var subtypeNames = [...]string{"", "JOIN", "LEAVE", "BLOCK", "REQUEST", "LEAVE2", "PREQUEST", "JOIN2", "PROGRESS"}

// String names the kind as the specs do.
func (s Subtype) String() string {
	if s < SubJoin || s > SubProgress {
		return fmt.Sprintf("subtype(%d)", int32(s))
	}
	return subtypeNames[s]
}

// Errors of the UDP decoders. They are bare on purpose: a flood of bad packets
// must not allocate.
var (
	ErrShort    = errors.New("frisbee packet is shorter than its kind needs")
	ErrType     = errors.New("frisbee packet type is neither request nor reply")
	ErrSubtype  = errors.New("frisbee packet kind is unknown")
	ErrRange    = errors.New("frisbee packet names a block outside its chunk")
	ErrGeometry = errors.New("frisbee peer uses another block or chunk size than 1024")
)

// Header is the first 16 bytes of every UDP packet (A3).
type Header struct {
	Type    Type
	Subtype Subtype
	DataLen uint32  // bytes after the header
	SrcIP   [4]byte // the sender's IPv4 address, zeros if it has an IPv6 one
}

// SourceOf returns what a header says of the sender's address.
func SourceOf(sender netip.Addr) [4]byte {
	if sender.Is4() {
		return sender.As4()
	}
	return [4]byte{}
}

// Source returns the sender's IPv4 address as the header claims it.
func (h Header) Source() netip.Addr { return netip.AddrFrom4(h.SrcIP) }

// Tells says whether the header tells the truth of who sent it.
func (h Header) Tells(sender netip.Addr) bool { return h.SrcIP == SourceOf(sender) }

// Split parses the header of a datagram and returns its body, cut to datalen:
// bytes after that are extensions this version ignores (A1.4). The body
// aliases datagram.
func Split(datagram []byte) (Header, []byte, error) {
	h, body, err := cut(datagram)
	switch {
	case err != nil:
		return h, nil, err
	case h.Type != Request && h.Type != Reply:
		return h, nil, ErrType
	case h.Subtype < SubJoin || h.Subtype > SubProgress:
		return h, nil, ErrSubtype
	}
	return h, body, nil
}

// cut is Split of packets of whichever kind.
func cut(datagram []byte) (Header, []byte, error) {
	if len(datagram) < HeaderBytes {
		return Header{}, nil, ErrShort
	}
	h := Header{
		Type:    Type(u32(datagram, 0)),
		Subtype: Subtype(u32(datagram, 4)),
		DataLen: u32(datagram, 8),
		SrcIP:   [4]byte(datagram[12:16]),
	}
	body := datagram[HeaderBytes:]
	if uint64(h.DataLen) > uint64(len(body)) {
		return h, nil, ErrShort
	}
	return h, body[:h.DataLen], nil
}

func appendHeader(dst []byte, t Type, s Subtype, datalen int, src [4]byte) []byte {
	dst = le32(dst, uint32(t))
	dst = le32(dst, uint32(s))
	dst = le32(dst, uint32(datalen))
	return append(dst, src[:]...)
}

func le32(dst []byte, v uint32) []byte { return binary.LittleEndian.AppendUint32(dst, v) }

func u32(b []byte, off int) uint32 { return binary.LittleEndian.Uint32(b[off:]) }
