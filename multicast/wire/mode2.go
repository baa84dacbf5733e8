package wire

import "encoding/binary"

// The packets of mode 2 have the header of the others and go to a port of
// their own, which the Grant names: C clients would print a line for each
// packet of a kind they do not know.
const (
	SubNak      Subtype = 16
	SubParity   Subtype = 17
	SubManifest Subtype = 18 // a block of the manifest
	SubWant     Subtype = 19 // asks for those
	SubFlow     Subtype = 20

	nakBodyBytes  = 36 + TagBytes
	wantBodyBytes = 32 + TagBytes
	// NeedMax is the most blocks a NAK can ask for.
	NeedMax = ChunkBlocks
)

// SplitMode2 is Split for the port of mode 2.
func SplitMode2(datagram []byte) (Header, []byte, error) {
	h, body, err := cut(datagram)
	switch {
	case err != nil:
		return h, nil, err
	case h.Type != Request:
		return h, nil, ErrType
	case h.Subtype < SubNak || h.Subtype > SubFlow:
		return h, nil, ErrSubtype
	}
	return h, body, nil
}

// Nak asks for Need more blocks of a chunk, whichever, and reports what the
// client lost. Others hear it and are silent if they need no more.
//
//	16 u32 chunk        24 u32 base       32 u64 image id    44 u32 echo
//	20 u16 need         28 u32 epoch      40 u32 client id   48 u32 held
//	22 u16 loss                                               52 16 bytes tag
type Nak struct {
	Version
	Chunk    uint32
	Need     uint16 // 1 to NeedMax
	Loss     Loss
	Base     uint32 // parity blocks of the chunk that have passed, as far as is known
	ClientID uint32
	EchoUS   uint32 // SentUS of the latest datagram; 0: none
	HeldUS   uint32 // since that came
}

// ParseNak decodes the body of a NAK; ErrRange if it asks for nothing, or for
// more than a chunk.
func ParseNak(body []byte) (Nak, error) {
	if len(body) < nakBodyBytes {
		return Nak{}, ErrShort
	}
	le := binary.LittleEndian
	m := Nak{
		Chunk: u32(body, 0), Need: le.Uint16(body[4:]), Loss: Loss(le.Uint16(body[6:])), Base: u32(body, 8),
		Version:  Version{Epoch: u32(body, 12), ImageID: le.Uint64(body[16:])},
		ClientID: u32(body, 24), EchoUS: u32(body, 28), HeldUS: u32(body, 32),
	}
	if m.Need == 0 || m.Need > NeedMax {
		return Nak{}, ErrRange
	}
	return m, nil
}

// Append adds the packet from src to dst, its tag zeros; see ControlKey.Sign.
func (m Nak) Append(dst []byte, src [4]byte) []byte {
	le := binary.LittleEndian
	dst = appendHeader(dst, Request, SubNak, nakBodyBytes, src)
	dst = le32(dst, m.Chunk)
	dst = le.AppendUint16(dst, m.Need)
	dst = le.AppendUint16(dst, uint16(m.Loss))
	dst = le32(dst, m.Base)
	dst = le32(dst, m.Epoch)
	dst = le.AppendUint64(dst, m.ImageID)
	dst = le32(dst, m.ClientID)
	dst = le32(dst, m.EchoUS)
	dst = le32(dst, m.HeldUS)
	return append(dst, make([]byte, TagBytes)...)
}

// Parity is the body of PARITY, which is framed as a BLOCK is: the Count-th
// parity block sent of a chunk in this epoch, counting from 0.
type Parity struct {
	Chunk uint32
	Count uint32
	Data  []byte // BlockBytes long
}

// ParseParity decodes the body of a PARITY. Data aliases body.
func ParseParity(body []byte) (Parity, error) {
	if len(body) < blockBodyBytes {
		return Parity{}, ErrShort
	}
	return Parity{Chunk: u32(body, 0), Count: u32(body, 4), Data: body[8:blockBodyBytes:blockBodyBytes]}, nil
}

// PutParityHeader writes everything of a PARITY but its data over the first 24
// bytes of frame.
func PutParityHeader(frame []byte, chunk, count uint32, src [4]byte) {
	PutBlockHeader(frame, chunk, count, src)
	binary.LittleEndian.PutUint32(frame[4:], uint32(SubParity))
}
