package wire

import (
	"encoding/binary"
	"net/netip"
)

// GetRequest asks the master server for an image, or how it could be had.
type GetRequest struct {
	Host    netip.Addr // whom the image is for; 0.0.0.0 = the caller
	Methods Methods
	Status  bool // only tell, start nothing
	// HTTP asks where the image can be had by HTTP too. It goes into the end of
	// the field of a name that leaves room, which old servers do not look at.
	HTTP    bool
	ImageID string
}

// httpAsk is the end of the name's field, httpTell that of the signature's
// before the port (docs/multicast.md, "By HTTP").
const (
	httpAsk       = "\x00HYZhttp"
	httpTell      = "HYZh"
	httpTellBytes = len(httpTell) + 2
	getNameAt     = 16
)

// ParseGetRequest decodes a whole GETREQUEST.
func ParseGetRequest(b []byte) (GetRequest, error) {
	if err := masterBody(b, MasterGetRequest); err != nil {
		return GetRequest{}, err
	}
	idlen := binary.BigEndian.Uint16(b[14:])
	id, err := imageIDAt(b, getNameAt, idlen)
	if err != nil {
		return GetRequest{}, err
	}
	http := int(idlen) <= ImageIDBytesMax-len(httpAsk) && string(b[GetRequestBytes-len(httpAsk):]) == httpAsk
	return GetRequest{Host: addrAt(b, 8), Methods: Methods(b[12]), Status: b[13] != 0, HTTP: http, ImageID: id}, nil
}

// Append adds the message to dst, or returns ErrImageID.
func (m GetRequest) Append(dst []byte) ([]byte, error) {
	if len(m.ImageID) > ImageIDBytesMax {
		return dst, ErrImageID
	}
	dst = appendMasterHeader(dst, MasterGetRequest)
	dst = appendAddr(dst, m.Host)
	dst = append(dst, byte(m.Methods), b2u8(m.Status))
	dst = be16(dst, uint16(len(m.ImageID)))
	dst = appendImageID(dst, m.ImageID)
	if m.HTTP && len(m.ImageID) <= ImageIDBytesMax-len(httpAsk) {
		copy(dst[len(dst)-len(httpAsk):], httpAsk)
	}
	return dst, nil
}

// GetReply answers a GetRequest. With an Error other than MasterOK only the
// signature and size may mean something, and those only with MasterTryAgain.
type GetReply struct {
	Method    Methods
	Running   bool
	Error     MasterError
	Server    netip.Addr // sends the image
	Addr      netip.Addr // session address: group, broadcast or unicast peer
	Port      uint16
	Signature Signature
	FileBytes uint64
	// HTTPPort is the port of the master server's address at which
	// /images/<name> is the image, told to those that asked; 0: not told.
	HTTPPort uint16
}

// ParseGetReply decodes a whole GETREPLY.
func ParseGetReply(b []byte) (GetReply, error) {
	if err := masterBody(b, MasterGetReply); err != nil {
		return GetReply{}, err
	}
	be := binary.BigEndian
	m := GetReply{
		Method:    Methods(b[8]),
		Running:   b[9] != 0,
		Error:     MasterError(be.Uint16(b[10:])),
		Server:    addrAt(b, 12),
		Addr:      addrAt(b, 16),
		Port:      be.Uint16(b[20:]),
		Signature: Signature{SignatureType(be.Uint16(b[22:])), [SignatureBytesMax]byte(b[24:])},
		FileBytes: sizeAt(b, 280),
	}
	if tell := m.Signature.Data[SignatureBytesMax-httpTellBytes:]; string(tell[:len(httpTell)]) == httpTell {
		m.HTTPPort = be.Uint16(tell[len(httpTell):])
		clear(tell)
	}
	return m, nil
}

// Append adds the message to dst.
func (m *GetReply) Append(dst []byte) []byte {
	dst = appendMasterHeader(dst, MasterGetReply)
	dst = append(dst, byte(m.Method), b2u8(m.Running))
	dst = be16(dst, uint16(m.Error))
	dst = appendAddr(dst, m.Server)
	dst = appendAddr(dst, m.Addr)
	dst = be16(dst, m.Port)
	dst = be16(dst, uint16(m.Signature.Type))
	dst = append(dst, m.Signature.Data[:]...)
	if m.HTTPPort != 0 {
		tell := dst[len(dst)-httpTellBytes:]
		binary.BigEndian.PutUint16(tell[copy(tell, httpTell):], m.HTTPPort)
	}
	return binary.BigEndian.AppendUint64(dst, m.FileBytes)
}

func b2u8(v bool) byte {
	if v {
		return 1
	}
	return 0
}
