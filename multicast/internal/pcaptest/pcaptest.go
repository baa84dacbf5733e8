// Package pcaptest reads packet captures for tests: pcap, Ethernet, IPv4, UDP
// and the TCP payloads of short connections. It is no general reader: what a
// capture of the golden vectors does not have (VLANs, fragments, TCP loss) it
// reports as a failure of the test.
package pcaptest

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"net/netip"
	"os"
	"testing"
	"time"
)

// Packet is one UDP datagram or TCP segment.
type Packet struct {
	At       time.Time
	Protocol uint8 // 6 TCP, 17 UDP
	Src, Dst netip.AddrPort
	TTL      uint8
	Payload  []byte
}

const (
	protocolTCP   = 6
	protocolUDP   = 17
	etherTypeIPv4 = 0x0800
	etherBytes    = 14
	recordBytes   = 16
	fileHdrBytes  = 24
)

// Read returns the UDP and non-empty TCP packets of a gzipped pcap file.
func Read(tb testing.TB, path string) []Packet {
	tb.Helper()
	raw := gunzip(tb, path)
	if len(raw) < fileHdrBytes || binary.LittleEndian.Uint32(raw) != 0xa1b2c3d4 {
		tb.Fatalf("%s: not a little-endian microsecond pcap", path)
	}
	var packets []Packet
	for raw = raw[fileHdrBytes:]; len(raw) >= recordBytes; {
		sec, usec := binary.LittleEndian.Uint32(raw), binary.LittleEndian.Uint32(raw[4:])
		n := int(binary.LittleEndian.Uint32(raw[8:]))
		if n > len(raw)-recordBytes {
			tb.Fatalf("%s: record longer than the file", path)
		}
		frame := raw[recordBytes : recordBytes+n]
		raw = raw[recordBytes+n:]
		if p, ok := parseFrame(frame); ok {
			p.At = time.Unix(int64(sec), int64(usec)*1000)
			packets = append(packets, p)
		}
	}
	return packets
}

// UDP returns the UDP datagrams of packets.
func UDP(packets []Packet) []Packet { return only(packets, protocolUDP) }

// TCP returns the TCP segments that carry data.
func TCP(packets []Packet) []Packet { return only(packets, protocolTCP) }

func only(packets []Packet, protocol uint8) []Packet {
	var some []Packet
	for _, p := range packets {
		if p.Protocol == protocol {
			some = append(some, p)
		}
	}
	return some
}

func gunzip(tb testing.TB, path string) []byte {
	tb.Helper()
	f, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatalf("%s: %v", path, err)
	}
	var buf bytes.Buffer
	if _, err := io.Copy(&buf, z); err != nil {
		tb.Fatalf("%s: %v", path, err)
	}
	return buf.Bytes()
}

func parseFrame(f []byte) (Packet, bool) {
	if len(f) < etherBytes+20 || binary.BigEndian.Uint16(f[12:]) != etherTypeIPv4 {
		return Packet{}, false
	}
	ip := f[etherBytes:]
	hdr, total := int(ip[0]&15)*4, int(binary.BigEndian.Uint16(ip[2:]))
	if total > len(ip) || hdr > total {
		return Packet{}, false
	}
	p := Packet{Protocol: ip[9], TTL: ip[8]}
	l4 := ip[hdr:total]
	skip := 8
	switch {
	case p.Protocol == protocolUDP && len(l4) >= 8:
	case p.Protocol == protocolTCP && len(l4) >= 20:
		skip = int(l4[12]>>4) * 4
		if skip >= len(l4) {
			return Packet{}, false
		}
	default:
		return Packet{}, false
	}
	p.Src = netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[12:16])), binary.BigEndian.Uint16(l4))
	p.Dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[16:20])), binary.BigEndian.Uint16(l4[2:]))
	p.Payload = l4[skip:]
	return p, true
}
