package tmc2

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// Preamble is sent once by the client, before its first frame, and answered
// with the same bytes. It starts no ASCII, UTF-8, TLS, HTTP or SSH stream.
const Preamble = "\xf5TM2"

// Sizes of frames.
const (
	// HeaderBytes is the size of a frame's header.
	HeaderBytes = 16
	// crcOffset is where in the header the checksum stands; it covers
	// everything before it and the payload.
	crcOffset = 12
	// PayloadBytesUsual is the largest payload that may be sent before the
	// peer's HELLO has come, and what HELLO says unless told otherwise.
	PayloadBytesUsual = 64 << 10
	// PayloadBytesMax is the most that a HELLO may offer to take.
	PayloadBytesMax = 1 << 20
	// PayloadBytesMin is the least, so that a REQUEST fits.
	PayloadBytesMin = 4 << 10
)

// Type says what a frame's payload is.
type Type uint8

// Types of frames.
const (
	TypeHello   Type = 1  // Hello, stream 0
	TypeRequest Type = 2  // Request; opens its stream
	TypeData    Type = 3  // a request's body, or a LogChunk
	TypeReply   Type = 4  // bytes of the answer
	TypeStatus  Type = 5  // Status; ends the stream
	TypeWindow  Type = 6  // Window
	TypePing    Type = 7  // Ping, stream 0; answered with FlagPong
	TypeGoAway  Type = 8  // GoAway, stream 0
	TypeCancel  Type = 9  // nothing; the asker no longer wants the stream
	TypeNotify  Type = 10 // Notify
)

func (t Type) String() string {
	names := [...]string{1: "HELLO", "REQUEST", "DATA", "REPLY", "STATUS", "WINDOW", "PING", "GOAWAY", "CANCEL", "NOTIFY"}
	if int(t) < len(names) && names[t] != "" {
		return names[t]
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// Flags of a frame.
type Flags uint8

// Flags. Others are sent as 0 and ignored.
const (
	FlagEnd  Flags = 1 << 0 // nothing more comes from this side on this stream
	FlagMore Flags = 1 << 1 // this REPLY goes on in the next one
	FlagPong Flags = 1 << 2 // a PING that answers one
)

// Frame is one frame.
type Frame struct {
	Type    Type
	Flags   Flags
	Stream  uint32 // 0 is the connection; clients open odd streams
	Payload []byte
}

// Errors of decoding.
var (
	// ErrIncomplete asks for more bytes.
	ErrIncomplete = errors.New("tmc2: frame is incomplete")
	// ErrTooLarge is a frame over the limit that its receiver has set.
	ErrTooLarge = errors.New("tmc2: frame is over the receiver's limit")
	// ErrChecksum is a frame whose bytes were changed on the way.
	ErrChecksum = errors.New("tmc2: checksum of a frame is wrong")
	// ErrMalformed is a payload, or a header, that no sender may write.
	ErrMalformed = errors.New("tmc2: malformed message")
)

// AppendFrame appends a frame to b.
func AppendFrame(b []byte, f Frame) []byte {
	b, at := StartFrame(b, f.Type, f.Flags, f.Stream)
	return FinishFrame(append(b, f.Payload...), at)
}

// StartFrame appends a header whose payload the caller appends next;
// FinishFrame then fills in its length and checksum. at is where the frame
// begins.
func StartFrame(b []byte, t Type, flags Flags, stream uint32) (_ []byte, at int) {
	at = len(b)
	b = append(b, 0, 0, 0, 0, byte(t), byte(flags), 0, 0)
	b = binary.BigEndian.AppendUint32(b, stream)
	return append(b, 0, 0, 0, 0), at
}

// FinishFrame ends the frame that StartFrame began at an offset of b.
func FinishFrame(b []byte, at int) []byte {
	frame := b[at:]
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-HeaderBytes))
	binary.BigEndian.PutUint32(frame[crcOffset:], checksum(frame))
	return b
}

// checksum covers a whole frame but the checksum itself.
func checksum(frame []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli) // the package's own, made once
	sum := crc32.Update(0, table, frame[:crcOffset])
	return crc32.Update(sum, table, frame[HeaderBytes:])
}

// FrameBytes is the size of the whole frame that b begins with. It needs only
// the header, so that a frame over payloadBytesMax is refused before any of it
// is kept.
func FrameBytes(b []byte, payloadBytesMax int) (int, error) {
	if len(b) < HeaderBytes {
		return 0, ErrIncomplete
	}
	if b[6]|b[7] != 0 {
		return 0, fmt.Errorf("%w: reserved bytes of a header are not zero", ErrMalformed)
	}
	size := binary.BigEndian.Uint32(b)
	if int64(size) > int64(payloadBytesMax) {
		return 0, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, size, payloadBytesMax)
	}
	return HeaderBytes + int(size), nil
}

// DecodeFrame reads the frame that b begins with and says how many bytes it
// took. The payload aliases b.
func DecodeFrame(b []byte, payloadBytesMax int) (f Frame, n int, err error) {
	if n, err = FrameBytes(b, payloadBytesMax); err != nil {
		return Frame{}, 0, err
	}
	if len(b) < n {
		return Frame{}, 0, ErrIncomplete
	}
	b = b[:n:n]
	if binary.BigEndian.Uint32(b[crcOffset:]) != checksum(b) {
		return Frame{}, 0, ErrChecksum
	}
	f = Frame{Type(b[4]), Flags(b[5]), binary.BigEndian.Uint32(b[8:]), b[HeaderBytes:]}
	return f, n, nil
}
