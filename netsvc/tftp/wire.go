package tftp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Op is a packet's opcode (RFC 1350 section 5, OACK in RFC 2347).
type Op uint16

const (
	OpRRQ   Op = 1
	OpWRQ   Op = 2
	OpData  Op = 3
	OpAck   Op = 4
	OpError Op = 5
	OpOack  Op = 6
)

// Code is the number in an ERROR packet (RFC 1350 appendix, 8 in RFC 2347).
type Code uint16

const (
	CodeUndefined    Code = 0
	CodeNotFound     Code = 1
	CodeAccess       Code = 2
	CodeDiskFull     Code = 3
	CodeIllegal      Code = 4
	CodeUnknownTID   Code = 5
	CodeFileExists   Code = 6
	CodeNoSuchUser   Code = 7
	CodeOptionDenied Code = 8
)

const (
	// requestBytesMax bounds RRQ and WRQ (RFC 2347: "the maximum size of a
	// request packet is 512 octets").
	requestBytesMax = 512
	// optionsMax bounds the options of one request or OACK. RFCs and clients
	// know ten.
	optionsMax = 16
	// dataHeaderBytes is what precedes the payload of a DATA packet.
	dataHeaderBytes = 4
)

// Option is one name and value as they stand in the packet. Names compare
// without case (RFC 2347) and are echoed as asked.
type Option struct{ Name, Value string }

// Packet is any TFTP packet. Op says which fields count.
type Packet struct {
	Op      Op
	Name    string   // RRQ, WRQ: file name, any bytes but NUL
	Mode    string   // RRQ, WRQ: "octet", "netascii"; case does not count
	Options []Option // RRQ, WRQ, OACK, in the packet's order
	Block   uint16   // DATA, ACK: block number, wraps to 0 after 65535
	Data    []byte   // DATA: payload, part of the parsed buffer
	Code    Code     // ERROR
	Message string   // ERROR: text for people
}

// ErrMalformed says that a packet breaks RFC 1350.
var ErrMalformed = errors.New("tftp: malformed packet")

// Parse reads one packet. DATA payloads stay in b, all else is copied. It
// forgives what firmware does and no reader can misunderstand: an ERROR text
// without NUL, octets after an ACK, NUL padding after a request.
func Parse(b []byte) (Packet, error) {
	if len(b) < 2 {
		return Packet{}, fmt.Errorf("%w: %d bytes", ErrMalformed, len(b))
	}
	p := Packet{Op: Op(binary.BigEndian.Uint16(b))}
	switch p.Op {
	case OpRRQ, OpWRQ:
		return parseRequest(p, b[2:])
	case OpOack:
		var err error
		p.Options, err = parseOptions(b[2:])
		return p, err
	case OpData, OpAck, OpError:
		return parseNumbered(p, b[2:])
	}
	return Packet{}, fmt.Errorf("%w: opcode %d", ErrMalformed, p.Op)
}

func parseNumbered(p Packet, b []byte) (Packet, error) {
	if len(b) < 2 {
		return Packet{}, fmt.Errorf("%w: opcode %d in %d bytes", ErrMalformed, p.Op, len(b)+2)
	}
	number, rest := binary.BigEndian.Uint16(b), b[2:]
	switch p.Op {
	case OpData:
		p.Block, p.Data = number, rest
	case OpAck:
		p.Block = number
	case OpError:
		p.Code = Code(number)
		p.Message, _, _ = strings.Cut(string(rest[:min(len(rest), requestBytesMax)]), "\x00")
	}
	return p, nil
}

func parseRequest(p Packet, b []byte) (Packet, error) {
	if len(b)+2 > requestBytesMax {
		return p, fmt.Errorf("%w: request of %d bytes, the limit is %d", ErrMalformed, len(b)+2, requestBytesMax)
	}
	name, rest, ok := strings.Cut(string(b), "\x00")
	if !ok {
		return p, fmt.Errorf("%w: no NUL after the file name", ErrMalformed)
	}
	mode, rest, ok := strings.Cut(rest, "\x00")
	if !ok {
		return p, fmt.Errorf("%w: no NUL after the mode", ErrMalformed)
	}
	p.Name, p.Mode = name, mode
	var err error
	p.Options, err = parseOptions([]byte(rest))
	return p, err
}

// parseOptions reads name and value pairs up to the end or an empty name, which
// is padding. A last name without a value is dropped: it asks for nothing.
func parseOptions(b []byte) ([]Option, error) {
	if len(b) > requestBytesMax {
		return nil, fmt.Errorf("%w: %d bytes of options", ErrMalformed, len(b))
	}
	var options []Option
	for text := string(b); text != ""; {
		name, rest, _ := strings.Cut(text, "\x00")
		value, rest, ok := strings.Cut(rest, "\x00")
		if name == "" || !ok {
			break
		}
		if len(options) == optionsMax {
			return nil, fmt.Errorf("%w: more than %d options", ErrMalformed, optionsMax)
		}
		options = append(options, Option{Name: name, Value: value})
		text = rest
	}
	return options, nil
}

// Append writes p to the end of dst. Texts are written as they are: the caller
// keeps NUL out of them.
func (p Packet) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(p.Op))
	switch p.Op {
	case OpRRQ, OpWRQ:
		dst = appendText(appendText(dst, p.Name), p.Mode)
		return appendOptions(dst, p.Options)
	case OpOack:
		return appendOptions(dst, p.Options)
	case OpError:
		dst = binary.BigEndian.AppendUint16(dst, uint16(p.Code))
		return appendText(dst, p.Message)
	}
	dst = binary.BigEndian.AppendUint16(dst, p.Block)
	return append(dst, p.Data...)
}

func appendOptions(dst []byte, options []Option) []byte {
	for _, o := range options {
		dst = appendText(appendText(dst, o.Name), o.Value)
	}
	return dst
}

func appendText(dst []byte, text string) []byte {
	return append(append(dst, text...), 0)
}
