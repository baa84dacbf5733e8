package wire

import "encoding/binary"

const flowBodyBytes = 36 + TagBytes

// Flow is what a client says that cannot keep up: how fast it takes in what is
// sent, and what it has left. Others hear it and are silent if they are faster.
//
//	16 u32 rate         28 u32 epoch       44 u32 echo
//	20 u16 fill         32 u64 image id    48 u32 held
//	22 u16 free         40 u32 client id   52 u32 zero
//	24 u32 dropped                         52 tag
type Flow struct {
	Version
	Rate     uint32 // datagrams per second that it can take
	Fill     Loss   // share of its buffers that is in use, 1/65536
	Free     uint16 // buffers for chunks that are not in use
	Dropped  uint32 // datagrams that found no room in its socket, in all
	ClientID uint32
	EchoUS   uint32 // SentUS of the latest datagram; 0: none
	HeldUS   uint32 // since that came
}

// ParseFlow decodes the body of a FLOW.
func ParseFlow(body []byte) (Flow, error) {
	if len(body) < flowBodyBytes {
		return Flow{}, ErrShort
	}
	le := binary.LittleEndian
	return Flow{
		Rate: u32(body, 0), Fill: Loss(le.Uint16(body[4:])), Free: le.Uint16(body[6:]), Dropped: u32(body, 8),
		Version:  Version{Epoch: u32(body, 12), ImageID: le.Uint64(body[16:])},
		ClientID: u32(body, 24), EchoUS: u32(body, 28), HeldUS: u32(body, 32),
	}, nil
}

// Append adds the packet from src to dst, its tag zeros; see ControlKey.Sign.
func (m Flow) Append(dst []byte, src [4]byte) []byte {
	le := binary.LittleEndian
	dst = appendHeader(dst, Request, SubFlow, flowBodyBytes, src)
	dst = le32(dst, m.Rate)
	dst = le.AppendUint16(dst, uint16(m.Fill))
	dst = le.AppendUint16(dst, m.Free)
	dst = le32(dst, m.Dropped)
	dst = le32(dst, m.Epoch)
	dst = le.AppendUint64(dst, m.ImageID)
	dst = le32(dst, m.ClientID)
	dst = le32(dst, m.EchoUS)
	dst = le32(dst, m.HeldUS)
	return append(dst, make([]byte, TagBytes)...)
}
