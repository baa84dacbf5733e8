package wire

import (
	"encoding/binary"
	"hash/crc32"
)

// TrailerBytes is the length of the trailer that mode 2 puts after a BLOCK,
// PARITY or MANIFEST: as much as the receive buffer of the C clients leaves
// room for.
const TrailerBytes = DatagramBytesMax - BlockDatagramBytes

const trailerMagic = 0x325a5948 // "HYZ2"

// Trailer follows the data of a BLOCK, PARITY or MANIFEST in mode 2. Clients of
// mode 2 use no block without one.
//
//	0 u32 epoch                                12 u16 datagrams left in this pass
//	4 u32 sequence number of the datagram      14 u16 worst loss reported, 1/65536
//	8 u32 when it was sent, microseconds
//
// Then comes, in a session with a key, its tag of the datagram before it, which
// is right for one version of the image only; without a key
//
//	16 u32 magic "HYZ2"   20 u64 image id   28 u32 CRC-32C of all before it
type Trailer struct {
	Version
	Seq    uint32 // of BLOCK, PARITY and MANIFEST together, in one epoch
	SentUS uint32 // by the server's clock, modulo 2^32
	Left   uint16 // blocks of the same range or round that are still to come
	Loss   Loss   // the worst that clients reported lately
}

// Loss is a share of datagrams lost, in 1/65536.
type Loss uint16

// NewLoss returns the share lost of expected datagrams.
func NewLoss(lost, expected int) Loss {
	if lost <= 0 || expected <= 0 {
		return 0
	}
	return Loss(min(int64(lost)<<16/int64(expected), 1<<16-1))
}

// Share returns the loss as a number from 0 to 1.
func (l Loss) Share() float64 { return float64(l) / (1 << 16) }

// castagnoli is the polynomial that processors have an instruction for.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// PutTrailer writes t over the last TrailerBytes bytes of frame, which is a
// complete BLOCK, PARITY or MANIFEST before them. With a key t.ImageID is that
// of the key.
func PutTrailer(frame []byte, t Trailer, key *BlockKey) {
	b := frame[len(frame)-TrailerBytes:]
	le := binary.LittleEndian
	le.PutUint32(b[0:], t.Epoch)
	le.PutUint32(b[4:], t.Seq)
	le.PutUint32(b[8:], t.SentUS)
	le.PutUint16(b[12:], t.Left)
	le.PutUint16(b[14:], uint16(t.Loss))
	if key != nil {
		key.seal(frame)
		return
	}
	le.PutUint32(b[16:], trailerMagic)
	le.PutUint64(b[20:], t.ImageID)
	le.PutUint32(b[28:], crc32.Checksum(frame[:len(frame)-4], castagnoli()))
}

// ParseTrailer returns the trailer of a BLOCK, PARITY or MANIFEST, if it has
// one that agrees with its bytes, and is of the key if there is one.
func ParseTrailer(datagram []byte, key *BlockKey) (Trailer, bool) {
	if len(datagram) != DatagramBytesMax {
		return Trailer{}, false
	}
	b := datagram[BlockDatagramBytes:]
	le := binary.LittleEndian
	t := Trailer{
		Version: Version{Epoch: u32(b, 0)}, Seq: u32(b, 4), SentUS: u32(b, 8), Left: le.Uint16(b[12:]), Loss: Loss(le.Uint16(b[14:])),
	}
	if key != nil {
		t.ImageID = key.imageID
		return t, key.genuine(datagram)
	}
	t.ImageID = le.Uint64(b[20:])
	return t, u32(b, 16) == trailerMagic && u32(b, 28) == crc32.Checksum(datagram[:len(datagram)-4], castagnoli())
}
