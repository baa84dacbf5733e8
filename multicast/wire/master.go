package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// Lengths of the master server's messages, header included (spec frisbee B).
const (
	MasterHeaderBytes = 8
	GetRequestBytes   = 272
	GetReplyBytes     = 288
	PutRequestBytes   = 287
	PutReplyBytes     = 291

	// MasterMessageBytesMax is the longest of them.
	MasterMessageBytesMax = PutReplyBytes
	// ImageIDBytesMax is the longest image name.
	ImageIDBytesMax = 256
	// SignatureBytesMax is the field for an image's signature.
	SignatureBytesMax = 256
)

// MasterPort is the TCP port of the master server (0xFBEE).
const MasterPort = 64494

var masterVersion = [4]byte{'V', '0', '1', 0}

// MasterType is the kind of a master server message.
type MasterType uint32

// The master server's messages.
const (
	MasterGetRequest MasterType = 1
	MasterGetReply   MasterType = 2
	MasterPutRequest MasterType = 3
	MasterPutReply   MasterType = 4
)

// Bytes returns the length of a message of this kind, or 0 if there is none.
func (t MasterType) Bytes() int {
	switch t {
	case MasterGetRequest:
		return GetRequestBytes
	case MasterGetReply:
		return GetReplyBytes
	case MasterPutRequest:
		return PutRequestBytes
	case MasterPutReply:
		return PutReplyBytes
	}
	return 0
}

// Methods is a set of ways to distribute an image.
type Methods uint8

// The methods (B). A GET names those the client can use, its reply the one in
// use, and a status reply all that would do.
const (
	Unicast   Methods = 1
	Multicast Methods = 2
	Broadcast Methods = 4
	AnyMethod Methods = 7
)

// MasterError is the error field of a reply.
type MasterError uint16

// The master server's errors (B).
const (
	MasterOK       MasterError = 0
	MasterFailed   MasterError = 1
	MasterNoHost   MasterError = 2
	MasterNoImage  MasterError = 3
	MasterNoAccess MasterError = 4
	MasterNoMethod MasterError = 5
	MasterInvalid  MasterError = 6
	MasterTryAgain MasterError = 7
	MasterTooBig   MasterError = 8
	MasterBadMTime MasterError = 9
	MasterNotImpl  MasterError = 10
)

var masterErrorTexts = [...]string{
	"no error", "server authentication error", "unknown host", "unknown image", "access not allowed",
	"not available via specified method", "not a regular file", "image is busy, try again later",
	"file is too big", "bad modification time", "operation not implemented",
}

// Error returns the text for people.
func (e MasterError) Error() string {
	if int(e) < len(masterErrorTexts) {
		return masterErrorTexts[e]
	}
	return fmt.Sprintf("unknown master server error %d", uint16(e))
}

// SignatureType says what is in a signature field.
type SignatureType uint16

// The signature types (B).
const (
	SigNone  SignatureType = 0
	SigMTime SignatureType = 1 // 4 bytes: unix time, big-endian
	SigMD5   SignatureType = 2
	SigSHA1  SignatureType = 3
)

// Signature tells one version of an image from another.
type Signature struct {
	Type SignatureType
	Data [SignatureBytesMax]byte
}

// MTimeSignature returns the signature for a modification time.
func MTimeSignature(unixTime uint32) Signature {
	s := Signature{Type: SigMTime}
	binary.BigEndian.PutUint32(s.Data[:], unixTime)
	return s
}

// MTime returns the modification time; ok is false for other signatures.
func (s *Signature) MTime() (unixTime uint32, ok bool) {
	return binary.BigEndian.Uint32(s.Data[:]), s.Type == SigMTime
}

// Bytes returns the part of the field that the type uses.
func (s *Signature) Bytes() []byte {
	n := map[SignatureType]int{SigMTime: 4, SigMD5: 16, SigSHA1: 20}[s.Type]
	return s.Data[:n]
}

// Errors of the master server codec.
var (
	ErrMasterVersion = errors.New("frisbee master message has an unknown version")
	ErrMasterType    = errors.New("frisbee master message has an unexpected type")
	ErrMasterLength  = errors.New("frisbee master message has the wrong length")
	ErrImageID       = errors.New("frisbee master message has an image name longer than 256 bytes")
)

// ParseMasterHeader returns the kind of the message that starts with b, which
// holds at least MasterHeaderBytes.
func ParseMasterHeader(b []byte) (MasterType, error) {
	if len(b) < MasterHeaderBytes {
		return 0, ErrMasterLength
	}
	if [4]byte(b) != masterVersion {
		return 0, ErrMasterVersion
	}
	t := MasterType(binary.BigEndian.Uint32(b[4:]))
	if t.Bytes() == 0 {
		return 0, ErrMasterType
	}
	return t, nil
}

// masterBody checks that b is one whole message of kind want.
func masterBody(b []byte, want MasterType) error {
	t, err := ParseMasterHeader(b)
	switch {
	case err != nil:
		return err
	case t != want:
		return ErrMasterType
	case len(b) != want.Bytes():
		return ErrMasterLength
	}
	return nil
}

func appendMasterHeader(dst []byte, t MasterType) []byte {
	return be32(append(dst, masterVersion[:]...), uint32(t))
}

func be16(dst []byte, v uint16) []byte { return binary.BigEndian.AppendUint16(dst, v) }
func be32(dst []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(dst, v) }

func appendAddr(dst []byte, a netip.Addr) []byte {
	var raw [4]byte
	if a.Is4() || a.Is4In6() {
		raw = a.As4()
	}
	return append(dst, raw[:]...)
}

func addrAt(b []byte, off int) netip.Addr { return netip.AddrFrom4([4]byte(b[off:])) }

// sizeAt reads a file size as the wire has it: high word, low word.
func sizeAt(b []byte, off int) uint64 { return binary.BigEndian.Uint64(b[off:]) }

// imageIDAt reads the name in the idlen bytes at off, cut at its first NUL.
func imageIDAt(b []byte, off int, idlen uint16) (string, error) {
	if idlen > ImageIDBytesMax {
		return "", ErrImageID
	}
	id := b[off : off+int(idlen)]
	if n := bytes.IndexByte(id, 0); n >= 0 {
		id = id[:n]
	}
	return string(id), nil
}

func appendImageID(dst []byte, id string) []byte {
	var field [ImageIDBytesMax]byte
	copy(field[:], id)
	return append(dst, field[:]...)
}
