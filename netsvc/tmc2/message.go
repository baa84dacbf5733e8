package tmc2

import (
	"encoding/binary"
	"fmt"
	"time"
)

// TextBytesMax bounds the text of STATUS and GOAWAY, which is for people.
const TextBytesMax = 256

// Status ends a stream.
type Status struct {
	Code  Code
	ETag  uint64        // 0: not asked for
	Retry time.Duration // with CodeBusy: when to come again; in ms on the wire
	Text  []byte
}

// AppendStatus appends the payload of a STATUS.
func AppendStatus(b []byte, s *Status) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(s.Code))
	b = binary.BigEndian.AppendUint64(b, s.ETag)
	b = binary.BigEndian.AppendUint32(b, uint32(s.Retry.Milliseconds()))
	return appendText(b, s.Text[:min(len(s.Text), TextBytesMax)])
}

// DecodeStatus reads the payload of a STATUS. Bytes after the text are for
// later versions.
func DecodeStatus(payload []byte) (Status, error) {
	c := cursor{b: payload}
	s := Status{Code: Code(c.u16()), ETag: c.u64(), Retry: time.Duration(c.u32()) * time.Millisecond, Text: c.text()}
	return s, textErr(&c, TypeStatus, s.Text)
}

func textErr(c *cursor, what Type, text []byte) error {
	if len(text) > TextBytesMax {
		return fmt.Errorf("%w: text of a %v has %d bytes", ErrMalformed, what, len(text))
	}
	return c.err(what)
}

// GoAway says that the sender takes no new streams. Those up to LastStream are
// still answered; a request on a later one was not executed.
type GoAway struct {
	Code       Code
	LastStream uint32
	Retry      time.Duration
	Text       []byte
}

// AppendGoAway appends the payload of a GOAWAY.
func AppendGoAway(b []byte, g *GoAway) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(g.Code))
	b = binary.BigEndian.AppendUint32(b, g.LastStream)
	b = binary.BigEndian.AppendUint32(b, uint32(g.Retry.Milliseconds()))
	return appendText(b, g.Text[:min(len(g.Text), TextBytesMax)])
}

// DecodeGoAway reads the payload of a GOAWAY.
func DecodeGoAway(payload []byte) (GoAway, error) {
	c := cursor{b: payload}
	g := GoAway{Code: Code(c.u16()), LastStream: c.u32(), Retry: time.Duration(c.u32()) * time.Millisecond, Text: c.text()}
	return g, textErr(&c, TypeGoAway, g.Text)
}

// AppendWindow appends the payload of a WINDOW: the position up to which the
// receiver has taken a body, or made a log durable. The sender may be at most
// the receiver's Hello.WindowBytes ahead of it.
func AppendWindow(b []byte, position uint64) []byte {
	return binary.BigEndian.AppendUint64(b, position)
}

// DecodeWindow reads the payload of a WINDOW.
func DecodeWindow(payload []byte) (position uint64, err error) {
	return only64(payload, TypeWindow)
}

// AppendPing appends the payload of a PING; its answer has the same.
func AppendPing(b []byte, value uint64) []byte { return binary.BigEndian.AppendUint64(b, value) }

// DecodePing reads the payload of a PING.
func DecodePing(payload []byte) (value uint64, err error) { return only64(payload, TypePing) }

func only64(payload []byte, what Type) (uint64, error) {
	c := cursor{b: payload}
	n := c.u64()
	if len(c.b) > 0 {
		c.bad = true
	}
	return n, c.err(what)
}

// Notice is what a NOTIFY says.
type Notice uint8

// Notices.
const (
	NoticeConfig Notice = 1 // the node's configuration has changed
	NoticeReboot Notice = 2 // a reboot is wanted
	NoticeLog    Notice = 3 // the boot log is wanted
)

// Notify is sent by a server unasked, on the stream of a watch.
type Notify struct {
	Notice     Notice
	Generation uint64 // of the configuration; the number of the order or the wish
}

// AppendNotify appends the payload of a NOTIFY.
func AppendNotify(b []byte, n Notify) []byte {
	return binary.BigEndian.AppendUint64(append(b, byte(n.Notice)), n.Generation)
}

// DecodeNotify reads the payload of a NOTIFY.
func DecodeNotify(payload []byte) (Notify, error) {
	c := cursor{b: payload}
	n := Notify{Notice(c.u8()), c.u64()}
	return n, c.err(TypeNotify)
}

// LogChunkHeaderBytes is what a LogChunk has before its text.
const LogChunkHeaderBytes = 8

// LogChunk is the payload of a DATA frame on a bootlog-stream: text at an
// offset of the boot's log.
type LogChunk struct {
	Offset uint64
	Text   []byte
}

// AppendLogChunk appends a chunk.
func AppendLogChunk(b []byte, c LogChunk) []byte {
	return append(binary.BigEndian.AppendUint64(b, c.Offset), c.Text...)
}

// DecodeLogChunk reads a chunk. Offsets that no file can have are malformed.
func DecodeLogChunk(payload []byte) (LogChunk, error) {
	c := cursor{b: payload}
	chunk := LogChunk{Offset: c.u64(), Text: c.b}
	if chunk.Offset>>62 != 0 {
		c.bad = true
	}
	return chunk, c.err(TypeData)
}
