// Package igmp speaks as much of IGMPv2 (RFC 2236) as image distribution needs
// on switches that listen to it and have no router beside them: it reports a
// membership (option -K of the old programs), asks who is a member (-Q of the
// master server), and hears whether anybody else asks.
//
// Messages have IP TTL 1 and the Router Alert option, 32 bytes with the IP
// header, as those of the old programs (spec frisbee A5). Raw sockets need
// CAP_NET_RAW. The callers are multicast/internal/sock, multicast/doctor and
// netsvc/appliance.
package igmp

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// Bytes is the length of a message.
const Bytes = 8

// The types of messages.
const (
	Query    = 0x11
	ReportV1 = 0x12
	ReportV2 = 0x16
	LeaveV2  = 0x17
	ReportV3 = 0x22
)

// queryCode is the time to answer a query, in tenths of a second.
const queryCode = 100

// ErrMessage is wrapped by Parse.
var ErrMessage = errors.New("not an IGMP message")

// AllHosts is where general queries go.
func AllHosts() netip.Addr { return netip.AddrFrom4([4]byte{224, 0, 0, 1}) }

// Message is a message of IGMPv2, or the beginning of one of v3.
type Message struct {
	Type  uint8
	Code  uint8      // of a query: tenths of a second to answer in
	Group netip.Addr // 0.0.0.0 in a general query
}

// Parse decodes a message without its IP header.
func Parse(b []byte) (Message, error) {
	if len(b) < Bytes || checksum(b) != 0 {
		return Message{}, ErrMessage
	}
	return Message{Type: b[0], Code: b[1], Group: netip.AddrFrom4([4]byte(b[4:8]))}, nil
}

// Append adds the message to dst.
func (m Message) Append(dst []byte) []byte {
	group := [4]byte{}
	if m.Group.Is4() {
		group = m.Group.As4()
	}
	at := len(dst)
	dst = append(dst, m.Type, m.Code, 0, 0, group[0], group[1], group[2], group[3])
	binary.BigEndian.PutUint16(dst[at+2:], checksum(dst[at:]))
	return dst
}

// checksum is that of RFC 1071.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	if len(b)%2 == 1 {
		sum += uint32(b[len(b)-1]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
