package bootinfo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"hyzer/netsvc/lifecycle/bootplan"
)

// Ports and sizes (page bootinfo, sections 1 and 2).
const (
	ServerPort  = 6969 // requests to the server
	OrderPort   = 6970 // source of orders
	ClientPort  = 9696 // where every answer goes
	PacketBytes = 520
	headerBytes = 8

	pathBytes    = 256
	cmdlineBytes = 223 // without its NUL
	cmdlineAt    = 272
	keyBytesMax  = 128
)

// Opcodes.
const (
	OpRequest      = 1
	OpReply        = 2
	OpAck          = 3
	OpOrder        = 4
	OpInfo         = 5
	OpKeyedRequest = 6
)

// Types of an answer.
const (
	TypePart      = 1
	TypeSysID     = 2
	TypeMultiboot = 3
	TypeWait      = 4
	TypeReboot    = 5
	TypeAuto      = 6
	TypeMFS       = 7
	TypeRestart   = 8
	TypeDiskPart  = 9
)

const flagSecure = 0x02

// Status values.
const (
	StatusSuccess = 0
	StatusFail    = 1
)

// Request is what a loader sends.
type Request struct {
	Version uint16
	Opcode  uint16
	Key     string // of a keyed request
}

// Answer is the typed content of a reply or order.
type Answer struct {
	Type      uint16
	Secure    bool
	Partition int32      // TypePart, TypeSysID, TypeDiskPart
	Disk      int32      // TypeDiskPart
	Host      netip.Addr // TypeMultiboot
	Path      string     // TypeMultiboot, TypeMFS ([ip:]path)
	Cmdline   string
}

// Packet is a reply or an order.
type Packet struct {
	Version uint16
	Opcode  uint16
	Status  int32
	Answer  Answer // zero unless Status is StatusSuccess
}

var errShort = errors.New("bootinfo: packet is shorter than its header")

// DecodeRequest reads a request. Fields are little-endian. What follows the
// header matters only for a keyed request, so a short packet is enough.
func DecodeRequest(p []byte) (Request, error) {
	if len(p) < headerBytes {
		return Request{}, errShort
	}
	r := Request{
		Version: binary.LittleEndian.Uint16(p),
		Opcode:  binary.LittleEndian.Uint16(p[2:]),
	}
	if r.Opcode != OpKeyedRequest {
		return r, nil
	}
	key, _, ended := bytes.Cut(p[headerBytes:min(len(p), headerBytes+keyBytesMax+1)], []byte{0})
	if !ended || len(key) == 0 {
		return r, errors.New("bootinfo: key of a keyed request is empty or not ended")
	}
	r.Key = string(key)
	return r, nil
}

// AppendRequest encodes a request for a client.
func AppendRequest(dst []byte, r Request) []byte {
	var p [PacketBytes]byte
	binary.LittleEndian.PutUint16(p[0:], r.Version)
	binary.LittleEndian.PutUint16(p[2:], r.Opcode)
	copy(p[headerBytes:headerBytes+keyBytesMax], r.Key)
	return append(dst, p[:]...)
}

// Append encodes a reply or order, always PacketBytes long. Bytes outside the
// typed fields are zero. A path or command line that does not fit is an error:
// a cut one would boot something else.
func (k Packet) Append(dst []byte) ([]byte, error) {
	var p [PacketBytes]byte
	binary.LittleEndian.PutUint16(p[0:], k.Version)
	binary.LittleEndian.PutUint16(p[2:], k.Opcode)
	binary.LittleEndian.PutUint32(p[4:], uint32(k.Status))
	if k.Status == StatusSuccess {
		if err := k.Answer.put(p[headerBytes:]); err != nil {
			return dst, err
		}
	}
	return append(dst, p[:]...), nil
}

// put encodes an answer at the data field of a packet.
func (a Answer) put(data []byte) error {
	if a.Secure {
		data[0] = flagSecure
	}
	binary.LittleEndian.PutUint16(data[2:], a.Type)
	body := data[4:]
	switch a.Type {
	case TypePart, TypeSysID:
		binary.LittleEndian.PutUint32(body, uint32(a.Partition))
	case TypeDiskPart:
		binary.LittleEndian.PutUint32(body, uint32(a.Disk))
		binary.LittleEndian.PutUint32(body[4:], uint32(a.Partition))
	case TypeMultiboot:
		if a.Host.Is4() {
			ip := a.Host.As4()
			copy(body, ip[:])
		}
		body = body[4:]
		fallthrough
	case TypeMFS:
		if len(a.Path) >= pathBytes || strings.Contains(a.Path, "\x00") {
			return fmt.Errorf("bootinfo: path of %d bytes, at most %d without NUL fit: %.60q", len(a.Path), pathBytes-1, a.Path)
		}
		copy(body, a.Path)
	}
	if len(a.Cmdline) > cmdlineBytes || strings.Contains(a.Cmdline, "\x00") {
		return fmt.Errorf("bootinfo: command line of %d bytes, at most %d without NUL fit", len(a.Cmdline), cmdlineBytes)
	}
	copy(data[cmdlineAt-headerBytes:], a.Cmdline)
	return nil
}

// DecodePacket reads a reply or order. It must have its full length.
func DecodePacket(p []byte) (Packet, error) {
	if len(p) != PacketBytes {
		return Packet{}, fmt.Errorf("bootinfo: answer of %d bytes, want %d", len(p), PacketBytes)
	}
	k := Packet{
		Version: binary.LittleEndian.Uint16(p),
		Opcode:  binary.LittleEndian.Uint16(p[2:]),
		Status:  int32(binary.LittleEndian.Uint32(p[4:])),
	}
	if k.Status != StatusSuccess {
		return k, nil
	}
	a := &k.Answer
	a.Secure = p[8]&flagSecure != 0
	a.Type = binary.LittleEndian.Uint16(p[10:])
	body := p[12:cmdlineAt]
	switch a.Type {
	case TypePart, TypeSysID:
		a.Partition = int32(binary.LittleEndian.Uint32(body))
	case TypeDiskPart:
		a.Disk = int32(binary.LittleEndian.Uint32(body))
		a.Partition = int32(binary.LittleEndian.Uint32(body[4:]))
	case TypeMultiboot:
		a.Host = netip.AddrFrom4([4]byte(body[:4]))
		a.Path = untilNUL(body[4 : 4+pathBytes])
	case TypeMFS:
		a.Path = untilNUL(body[:pathBytes])
	}
	a.Cmdline = untilNUL(p[cmdlineAt : cmdlineAt+cmdlineBytes])
	return k, nil
}

func untilNUL(b []byte) string {
	text, _, _ := bytes.Cut(b, []byte{0})
	return string(text)
}

// AnswerFor encodes a plan; ok is false for a plan that failed.
func AnswerFor(plan bootplan.Plan) (a Answer, ok bool) {
	a = Answer{Secure: plan.Secure, Cmdline: plan.Cmdline, Partition: int32(plan.Partition)}
	switch plan.Kind {
	case bootplan.Wait:
		return Answer{Type: TypeWait}, true
	case bootplan.Reboot:
		return Answer{Type: TypeReboot}, true
	case bootplan.Part:
		a.Type = TypePart
	case bootplan.DiskPart:
		a.Type, a.Disk = TypeDiskPart, int32(plan.Disk)
	case bootplan.Multiboot:
		a.Type, a.Path = TypeMultiboot, plan.Path
		a.Host, _ = netip.ParseAddr(plan.Host)
	case bootplan.MFS:
		a.Type, a.Path = TypeMFS, plan.Path
		if plan.Host != "" {
			a.Path = plan.Host + ":" + plan.Path
		}
	default:
		return Answer{}, false
	}
	return a, true
}
