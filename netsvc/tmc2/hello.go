package tmc2

import (
	"encoding/binary"
	"fmt"
	"time"
)

// Version is the version of the protocol described here.
const Version = 1

// What a HELLO says unless it says otherwise.
const (
	// ReplyVersionUsual is the version of the legacy commands' replies.
	ReplyVersionUsual = 44
	// StreamsUsual is how many streams may be open at a time.
	StreamsUsual = 32
	// WindowBytesUsual is how far DATA may be ahead of WINDOW.
	WindowBytesUsual = 256 << 10
)

// BootID names one boot of a client, or one run of a server: 16 random bytes.
// All zero is none.
type BootID [16]byte

// Features are bits of what a side can do beyond Version.
type Features uint64

// Features.
const (
	FeatureLiveLog Features = 1 << 0 // a server that takes bootlog-stream
)

// Hello is the first frame in each direction.
type Hello struct {
	VersionMin, VersionMax uint16 // protocol versions that the sender speaks
	ReplyVersion           uint16 // of a client: of the replies that it wants
	PayloadBytes           uint32 // largest payload that the sender takes
	Streams                uint16 // streams that may be open at a time
	WindowBytes            uint32 // how far DATA may be ahead of WINDOW
	BootID                 BootID // of a client's boot, of a server's run
	Features               Features
	Idle                   time.Duration // of a server: how long it keeps a quiet connection; in ms on the wire
	// Nonce is new with each connection: of a client that wants to prove who
	// it is in clear, and of the server in answer to it. All zero is none.
	Nonce Nonce
	Proof Proof // of a client; Key 0 is none
}

// Tags of a HELLO.
const (
	tagVersions     = 1
	tagReplyVersion = 2
	tagPayloadBytes = 3
	tagStreams      = 4
	tagWindowBytes  = 5
	tagBootID       = 6
	tagFeatures     = 7
	tagProof        = 8
	tagIdle         = 9
	tagNonce        = 10
)

// UsualHello is what an empty HELLO says.
func UsualHello() Hello {
	return Hello{VersionMin: Version, VersionMax: Version, ReplyVersion: ReplyVersionUsual,
		PayloadBytes: PayloadBytesUsual, Streams: StreamsUsual, WindowBytes: WindowBytesUsual}
}

// AppendHello appends the payload of a HELLO.
func AppendHello(b []byte, h *Hello) []byte {
	b = binary.BigEndian.AppendUint16(appendTag(b, tagVersions, 4), h.VersionMin)
	b = binary.BigEndian.AppendUint16(b, h.VersionMax)
	b = binary.BigEndian.AppendUint16(appendTag(b, tagReplyVersion, 2), h.ReplyVersion)
	b = binary.BigEndian.AppendUint32(appendTag(b, tagPayloadBytes, 4), h.PayloadBytes)
	b = binary.BigEndian.AppendUint16(appendTag(b, tagStreams, 2), h.Streams)
	b = binary.BigEndian.AppendUint32(appendTag(b, tagWindowBytes, 4), h.WindowBytes)
	if h.BootID != (BootID{}) {
		b = append(appendTag(b, tagBootID, uint16(len(h.BootID))), h.BootID[:]...)
	}
	if h.Features != 0 {
		b = binary.BigEndian.AppendUint64(appendTag(b, tagFeatures, 8), uint64(h.Features))
	}
	if h.Proof.Key != 0 {
		b = h.Proof.append(b)
	}
	if h.Idle != 0 {
		b = binary.BigEndian.AppendUint32(appendTag(b, tagIdle, 4), uint32(h.Idle.Milliseconds()))
	}
	if h.Nonce != (Nonce{}) {
		b = append(appendTag(b, tagNonce, uint16(len(h.Nonce))), h.Nonce[:]...)
	}
	return b
}

// DecodeHello reads the payload of a HELLO. What it does not say is as in
// UsualHello.
func DecodeHello(payload []byte) (Hello, error) {
	h := UsualHello()
	c := cursor{b: payload}
	err := c.tlvs(TypeHello, func(tag uint16, v *cursor) bool {
		switch tag {
		case tagVersions:
			h.VersionMin, h.VersionMax = v.u16(), v.u16()
		case tagReplyVersion:
			h.ReplyVersion = v.u16()
		case tagPayloadBytes:
			h.PayloadBytes = v.u32()
		case tagStreams:
			h.Streams = v.u16()
		case tagWindowBytes:
			h.WindowBytes = v.u32()
		case tagBootID:
			copy(h.BootID[:], v.take(len(h.BootID)))
		case tagFeatures:
			h.Features = Features(v.u64())
		case tagIdle:
			h.Idle = time.Duration(v.u32()) * time.Millisecond
		case tagNonce:
			copy(h.Nonce[:], v.take(len(h.Nonce)))
		case tagProof:
			return h.Proof.read(v)
		default:
			return true
		}
		return len(v.b) == 0
	})
	if err != nil {
		return Hello{}, err
	}
	return h, h.check()
}

func (h *Hello) check() error {
	switch {
	case h.VersionMin > h.VersionMax:
		return fmt.Errorf("%w: HELLO has no version", ErrMalformed)
	case h.PayloadBytes < PayloadBytesMin || h.PayloadBytes > PayloadBytesMax:
		return fmt.Errorf("%w: HELLO takes payloads of %d bytes, want %d to %d", ErrMalformed, h.PayloadBytes, PayloadBytesMin, PayloadBytesMax)
	case h.Streams == 0 || h.WindowBytes == 0:
		return fmt.Errorf("%w: HELLO allows nothing", ErrMalformed)
	}
	return nil
}

// Speaks says whether the sender of a HELLO speaks Version.
func (h *Hello) Speaks() bool { return h.VersionMin <= Version && Version <= h.VersionMax }
