package dhcp

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// rawSocket sends IP datagrams to hardware addresses, past ARP (RFC 2131 §4.1:
// the client does not have its address yet). It receives nothing.
type rawSocket struct{ fd int }

func newRawSocket() (*rawSocket, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("dhcp: packet socket: %w", err)
	}
	return &rawSocket{fd}, nil
}

func (r *rawSocket) close() { _ = unix.Close(r.fd) }

// send sends a reply from a port to the client's chaddr, which the reply holds.
func (r *rawSocket) send(o *outgoing, from uint16) error {
	if len(o.reply) < optionsOffset || !o.from.Is4() {
		return unix.EINVAL
	}
	var room [replyBytesMax + ipUDPBytes]byte
	frame := appendDatagram(room[:0], netip.AddrPortFrom(o.from, from), o.dest.Addr, o.reply)
	to := unix.SockaddrLinklayer{Protocol: swap16(unix.ETH_P_IP), Ifindex: o.iface, Halen: o.reply[2]}
	if to.Halen > uint8(len(to.Addr)) {
		return unix.EINVAL
	}
	copy(to.Addr[:to.Halen], o.reply[chaddrOffset:])
	return unix.Sendto(r.fd, frame, 0, &to)
}

// swap16 is a number in network byte order, as sockaddr_ll wants it.
func swap16(v uint16) uint16 {
	return binary.NativeEndian.Uint16([]byte{byte(v >> 8), byte(v)})
}

const (
	ipHeaderBytes  = 20
	udpHeaderBytes = 8
	ipTimeToLive   = 64
)

// appendDatagram appends an IPv4 and UDP header with right checksums, and the
// payload.
func appendDatagram(dst []byte, from, to netip.AddrPort, payload []byte) []byte {
	start := len(dst)
	src, dest := from.Addr().As4(), to.Addr().As4()
	length := udpHeaderBytes + len(payload)
	dst = append(dst, make([]byte, ipUDPBytes)...)
	dst = append(dst, payload...)
	ip, udp := dst[start:start+ipHeaderBytes], dst[start+ipHeaderBytes:]
	ip[0] = 0x45
	binary.BigEndian.PutUint16(ip[2:], uint16(ipHeaderBytes+length))
	ip[8], ip[9] = ipTimeToLive, unix.IPPROTO_UDP
	copy(ip[12:], src[:])
	copy(ip[16:], dest[:])
	binary.BigEndian.PutUint16(ip[10:], ^fold(sum16(0, ip)))

	binary.BigEndian.PutUint16(udp, from.Port())
	binary.BigEndian.PutUint16(udp[2:], to.Port())
	binary.BigEndian.PutUint16(udp[4:], uint16(length))
	sum := sum16(uint32(unix.IPPROTO_UDP)+uint32(length), ip[12:20])
	check := ^fold(sum16(sum, udp))
	if check == 0 {
		check = 0xffff // 0 would mean: no checksum (RFC 768)
	}
	binary.BigEndian.PutUint16(udp[6:], check)
	return dst
}

// sum16 adds b as 16-bit numbers to a ones' complement sum (RFC 1071). A
// datagram is too short to overflow 32 bits.
func sum16(sum uint32, b []byte) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	return sum
}

func fold(sum uint32) uint16 {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}
