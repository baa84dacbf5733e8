package wire

import (
	"bytes"
	"encoding/binary"
	"net/netip"
)

// PutRequest asks the master server to take an image. Status above 1 is kept:
// 100 and more is how a mirror's child reports its exit status (B3).
type PutRequest struct {
	Host      netip.Addr // whom the image comes from; 0.0.0.0 = the caller
	Status    uint8      // 0 upload, 1 only tell, 100+n exit status n
	ImageID   string
	FileBytes uint64 // 0: unknown
	MTime     uint32 // unix time, 0: none
	TimeoutS  uint32 // 0: the server's default
	// EndMark asks whether the stream may end with one. Like GetRequest.HTTP it
	// is where old servers do not look.
	EndMark bool
}

// putAsk is the end of the name's field, putTell that of the signature's
// (docs/multicast.md, "Uploads of unknown size").
const (
	putAsk    = "\x00HYZmark"
	putTell   = "HYZm"
	putNameAt = 15
	putSizeAt = putNameAt + ImageIDBytesMax
)

// endMark begins what follows the bytes of an image whose size was not known
// when its upload began: so a stream that was cut is not taken for a whole one.
// Its length follows, 64 bits big-endian.
const endMark = "\x89hyzer image end\n"

// EndMarkBytes is the length of an end mark.
const EndMarkBytes = len(endMark) + 8

// AppendEndMark adds the mark that ends an image of that many bytes.
func AppendEndMark(dst []byte, imageBytes int64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, endMark...), uint64(imageBytes))
}

// IsEndMark says whether b is the mark that ends an image of that many bytes.
func IsEndMark(b []byte, imageBytes int64) bool {
	return bytes.Equal(b, AppendEndMark(nil, imageBytes))
}

// ParsePutRequest decodes a whole PUTREQUEST.
func ParsePutRequest(b []byte) (PutRequest, error) {
	if err := masterBody(b, MasterPutRequest); err != nil {
		return PutRequest{}, err
	}
	be := binary.BigEndian
	idlen := be.Uint16(b[13:])
	id, err := imageIDAt(b, putNameAt, idlen)
	if err != nil {
		return PutRequest{}, err
	}
	mark := int(idlen) <= ImageIDBytesMax-len(putAsk) && string(b[putSizeAt-len(putAsk):putSizeAt]) == putAsk
	return PutRequest{
		Host: addrAt(b, 8), Status: b[12], ImageID: id, FileBytes: sizeAt(b, putSizeAt),
		MTime: be.Uint32(b[279:]), TimeoutS: be.Uint32(b[283:]), EndMark: mark,
	}, nil
}

// Append adds the message to dst, or returns ErrImageID.
func (m PutRequest) Append(dst []byte) ([]byte, error) {
	if len(m.ImageID) > ImageIDBytesMax {
		return dst, ErrImageID
	}
	dst = appendMasterHeader(dst, MasterPutRequest)
	dst = appendAddr(dst, m.Host)
	dst = append(dst, m.Status)
	dst = be16(dst, uint16(len(m.ImageID)))
	dst = appendImageID(dst, m.ImageID)
	if m.EndMark && len(m.ImageID) <= ImageIDBytesMax-len(putAsk) {
		copy(dst[len(dst)-len(putAsk):], putAsk)
	}
	dst = binary.BigEndian.AppendUint64(dst, m.FileBytes)
	return be32(be32(dst, m.MTime), m.TimeoutS), nil
}

// PutReply answers a PutRequest. A reply without error but with port 0 to a
// request that was not for status is a failure: C servers send it (B).
type PutReply struct {
	Error        MasterError
	Addr         netip.Addr // where to send the bytes, by plain TCP
	Port         uint16
	Exists       bool
	Signature    Signature // of the copy that exists
	FileBytes    uint64    // of the copy that exists
	FileBytesMax uint64
	EndMark      bool // the stream is to end with one; told to those that asked
}

// ParsePutReply decodes a whole PUTREPLY.
func ParsePutReply(b []byte) (PutReply, error) {
	if err := masterBody(b, MasterPutReply); err != nil {
		return PutReply{}, err
	}
	be := binary.BigEndian
	m := PutReply{
		Error:        MasterError(be.Uint16(b[8:])),
		Addr:         addrAt(b, 10),
		Port:         be.Uint16(b[14:]),
		Exists:       b[16] != 0,
		Signature:    Signature{SignatureType(be.Uint16(b[17:])), [SignatureBytesMax]byte(b[19:])},
		FileBytes:    sizeAt(b, 275),
		FileBytesMax: sizeAt(b, 283),
	}
	if tell := m.Signature.Data[SignatureBytesMax-len(putTell):]; string(tell) == putTell {
		m.EndMark = true
		clear(tell)
	}
	return m, nil
}

// Append adds the message to dst.
func (m *PutReply) Append(dst []byte) []byte {
	dst = appendMasterHeader(dst, MasterPutReply)
	dst = be16(dst, uint16(m.Error))
	dst = appendAddr(dst, m.Addr)
	dst = be16(dst, m.Port)
	dst = append(dst, b2u8(m.Exists))
	dst = be16(dst, uint16(m.Signature.Type))
	dst = append(dst, m.Signature.Data[:]...)
	if m.EndMark {
		copy(dst[len(dst)-len(putTell):], putTell)
	}
	dst = binary.BigEndian.AppendUint64(dst, m.FileBytes)
	return binary.BigEndian.AppendUint64(dst, m.FileBytesMax)
}
