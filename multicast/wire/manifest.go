package wire

import "encoding/binary"

// ManifestBytesMax is the longest manifest that a session sends, 32 MiB and
// room.
const ManifestBytesMax = 33 << 20

// WantBlocksMax is the most blocks of a manifest that one WANT asks for.
const WantBlocksMax = 1024

// Want asks for Count blocks of the manifest from First on. Others hear it and
// wait for them too.
//
//	16 u32 first    24 u32 epoch       36 u32 client id   44 u32 held
//	20 u32 count    28 u64 image id    40 u32 echo        48 16 bytes tag
type Want struct {
	Version
	First, Count uint32
	ClientID     uint32
	EchoUS       uint32 // as in Nak
	HeldUS       uint32
}

// ParseWant decodes the body of a WANT; ErrRange if it asks for nothing, or for
// what no manifest has.
func ParseWant(body []byte) (Want, error) {
	if len(body) < wantBodyBytes {
		return Want{}, ErrShort
	}
	m := Want{
		First: u32(body, 0), Count: u32(body, 4),
		Version:  Version{Epoch: u32(body, 8), ImageID: binary.LittleEndian.Uint64(body[12:])},
		ClientID: u32(body, 20), EchoUS: u32(body, 24), HeldUS: u32(body, 28),
	}
	if m.Count == 0 || m.Count > WantBlocksMax || m.First > ManifestBytesMax/BlockBytes {
		return Want{}, ErrRange
	}
	return m, nil
}

// Append adds the packet from src to dst, its tag zeros; see ControlKey.Sign.
func (m Want) Append(dst []byte, src [4]byte) []byte {
	dst = appendHeader(dst, Request, SubWant, wantBodyBytes, src)
	dst = le32(le32(le32(dst, m.First), m.Count), m.Epoch)
	dst = binary.LittleEndian.AppendUint64(dst, m.ImageID)
	dst = le32(le32(le32(dst, m.ClientID), m.EchoUS), m.HeldUS)
	return append(dst, make([]byte, TagBytes)...)
}

// ManifestBlock is the body of MANIFEST, which is framed as a BLOCK is: the
// Index-th kilobyte of the manifest, the last one padded with zeros.
type ManifestBlock struct {
	Index uint32
	Data  []byte // BlockBytes long
}

// ParseManifestBlock decodes the body of a MANIFEST. Data aliases body.
func ParseManifestBlock(body []byte) (ManifestBlock, error) {
	if len(body) < blockBodyBytes {
		return ManifestBlock{}, ErrShort
	}
	return ManifestBlock{Index: u32(body, 0), Data: body[8:blockBodyBytes:blockBodyBytes]}, nil
}

// PutManifestHeader writes everything of a MANIFEST but its data over the first
// 24 bytes of frame.
func PutManifestHeader(frame []byte, index uint32, src [4]byte) {
	PutBlockHeader(frame, index, 0, src)
	binary.LittleEndian.PutUint32(frame[4:], uint32(SubManifest))
}
