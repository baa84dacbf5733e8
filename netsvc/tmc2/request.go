package tmc2

import (
	"encoding/binary"
	"fmt"
)

// Limits of a REQUEST. Real ones are under 200 bytes.
const (
	CommandBytesMax = 64
	ArgsMax         = 64
	NameBytesMax    = 128 // of a virtual node, a key
)

// RequestFlags of a REQUEST.
type RequestFlags uint8

// Flags of a request.
const (
	// FlagWantETag asks for the reply's ETag in STATUS. With an ETag in the
	// request, a reply that has the same is not sent: CodeNotModified.
	FlagWantETag RequestFlags = 1 << 0
)

// Mode says who asks on behalf of a virtual node.
type Mode uint8

// Modes.
const (
	ModeHost      Mode = 0 // its host (legacy VNODEID=)
	ModeContainer Mode = 1 // the container itself, through its host (legacy PROXYFOR=)
)

// Request is what opens a stream. A body may follow in DATA frames, up to
// FlagEnd.
type Request struct {
	// ID is unique in a boot of the client. A request that is repeated with
	// the same ID is not executed twice.
	ID    uint64
	Flags RequestFlags
	Mode  Mode
	ETag  uint64 // of the reply that the client has; 0 is none
	// Command and Args are the words of a legacy request.
	Command []byte
	Args    [][]byte
	// VNode, PrivKey and IDKey are the legacy tags of those names.
	VNode, PrivKey, IDKey []byte
	// LoaderVersion is, with bootwhat, the version of a bootinfo packet: 0
	// is a loader that cannot wait.
	LoaderVersion    uint16
	HasLoaderVersion bool
}

// Tags of a REQUEST.
const (
	tagVNode         = 1
	tagPrivKey       = 2
	tagIDKey         = 3
	tagLoaderVersion = 4
)

// AppendRequest appends the payload of a REQUEST.
func AppendRequest(b []byte, r *Request) []byte {
	b = binary.BigEndian.AppendUint64(b, r.ID)
	b = append(b, byte(r.Flags), byte(r.Mode))
	b = binary.BigEndian.AppendUint64(b, r.ETag)
	b = appendText(b, r.Command)
	b = binary.BigEndian.AppendUint16(b, uint16(len(r.Args)))
	for _, arg := range r.Args {
		b = appendText(b, arg)
	}
	for _, v := range [...]struct {
		tag   uint16
		value []byte
	}{{tagVNode, r.VNode}, {tagPrivKey, r.PrivKey}, {tagIDKey, r.IDKey}} {
		if len(v.value) > 0 {
			b = appendText(binary.BigEndian.AppendUint16(b, v.tag), v.value)
		}
	}
	if r.HasLoaderVersion {
		b = binary.BigEndian.AppendUint16(appendTag(b, tagLoaderVersion, 2), r.LoaderVersion)
	}
	return b
}

// DecodeRequest reads the payload of a REQUEST into r, whose Args it uses
// again. All slices alias the payload.
func DecodeRequest(r *Request, payload []byte) error {
	c := cursor{b: payload}
	*r = Request{Args: r.Args[:0], ID: c.u64(), Flags: RequestFlags(c.u8()), Mode: Mode(c.u8()), ETag: c.u64(), Command: c.text()}
	args := int(c.u16())
	if err := c.err(TypeRequest); err != nil {
		return err
	}
	switch {
	case len(r.Command) == 0 || len(r.Command) > CommandBytesMax:
		return fmt.Errorf("%w: command of %d bytes", ErrMalformed, len(r.Command))
	case args > ArgsMax:
		return fmt.Errorf("%w: %d arguments, at most %d", ErrMalformed, args, ArgsMax)
	case r.Mode > ModeContainer:
		return fmt.Errorf("%w: mode %d", ErrMalformed, r.Mode)
	}
	for range args {
		r.Args = append(r.Args, c.text())
	}
	return c.tlvs(TypeRequest, r.value)
}

func (r *Request) value(tag uint16, v *cursor) bool {
	switch tag {
	case tagVNode:
		r.VNode = v.b
	case tagPrivKey:
		r.PrivKey = v.b
	case tagIDKey:
		r.IDKey = v.b
	case tagLoaderVersion:
		r.LoaderVersion, r.HasLoaderVersion = v.u16(), true
		return len(v.b) == 0
	default:
		return true
	}
	return len(v.b) > 0 && len(v.b) <= NameBytesMax
}
