package tmc2

import (
	"encoding/binary"
	"fmt"
)

// DatagramTag begins a TMC2 datagram.
const DatagramTag = "\xf5TMu"

// Sizes of datagrams.
const (
	DatagramHeaderBytes = 18
	DatagramBytesMax    = 1200 // each, so that no network fragments it
	FragmentsMax        = 16   // of one answer
	// FragmentBytesMax is the payload of one datagram.
	FragmentBytesMax = DatagramBytesMax - DatagramHeaderBytes
)

// DatagramFlags of a datagram.
type DatagramFlags uint8

// FlagAnswer tells answers from requests.
const FlagAnswer DatagramFlags = 1 << 0

// Datagram is one datagram: a request, whose payload is that of a REQUEST, or a
// fragment of an answer, whose payloads together are the reply.
type Datagram struct {
	Flags     DatagramFlags
	Fragment  uint16 // from 0
	Fragments uint16 // from 1
	ID        uint32 // of the request
	Code      Code   // of the answer
	Payload   []byte
}

// AppendDatagram appends a datagram.
func AppendDatagram(b []byte, d *Datagram) []byte {
	b = append(append(b, DatagramTag...), Version, byte(d.Flags))
	b = binary.BigEndian.AppendUint16(b, d.Fragment)
	b = binary.BigEndian.AppendUint16(b, d.Fragments)
	b = binary.BigEndian.AppendUint32(b, d.ID)
	b = binary.BigEndian.AppendUint16(b, uint16(d.Code))
	return appendText(b, d.Payload)
}

// DecodeDatagram reads a datagram. The payload aliases b.
func DecodeDatagram(b []byte) (Datagram, error) {
	if len(b) < DatagramHeaderBytes || len(b) > DatagramBytesMax || string(b[:len(DatagramTag)]) != DatagramTag {
		return Datagram{}, fmt.Errorf("%w: no datagram", ErrMalformed)
	}
	c := cursor{b: b[len(DatagramTag):]}
	version := c.u8()
	d := Datagram{Flags: DatagramFlags(c.u8()), Fragment: c.u16(), Fragments: c.u16(), ID: c.u32(), Code: Code(c.u16()), Payload: c.text()}
	switch {
	case version != Version:
		return d, fmt.Errorf("%w: datagram of version %d", ErrMalformed, version)
	case c.bad || len(c.b) > 0:
		return d, fmt.Errorf("%w: length of a datagram is wrong", ErrMalformed)
	case d.Fragments == 0 || d.Fragments > FragmentsMax || d.Fragment >= d.Fragments:
		return d, fmt.Errorf("%w: fragment %d of %d", ErrMalformed, d.Fragment, d.Fragments)
	}
	return d, nil
}
