package dhcp

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
)

// HardwareAddr is a client's identity: its hardware type and address, as in
// htype and chaddr. It is comparable and the key of leases and reservations.
//
// The same machine shows other client identifiers (option 61) from its ROM,
// iPXE and OS, and one with hlen 0 shows only that. So chaddr is the identity,
// and a digest of option 61 stands in when chaddr is empty (RFC 4390).
type HardwareAddr struct {
	Type   uint8 // ARP hardware type; hardwareTypeClientID for a digest
	Length uint8 // octets of Octets that count
	Octets [16]byte
}

// hardwareTypeClientID marks an address made from option 61. ARP hardware
// types end far below it.
const hardwareTypeClientID = 255

// EthernetAddr makes the identity of an Ethernet card.
func EthernetAddr(mac [6]byte) HardwareAddr {
	hw := HardwareAddr{Type: htypeEthernet, Length: 6}
	copy(hw.Octets[:], mac[:])
	return hw
}

// ParseHardwareAddr reads 6 octets as Ethernet and 8 or 16 octets as an
// InfiniBand GUID, written with colons, dashes or dots.
func ParseHardwareAddr(s string) (HardwareAddr, error) {
	mac, err := net.ParseMAC(s)
	if err != nil {
		return HardwareAddr{}, fmt.Errorf("dhcp: hardware address: %w", err)
	}
	hw := HardwareAddr{Type: htypeEthernet, Length: uint8(len(mac))}
	switch len(mac) {
	case 6:
	case 8:
		hw.Type = htypeInfiniBand
	default:
		return HardwareAddr{}, fmt.Errorf("dhcp: hardware address %q has %d octets, want 6 or 8", s, len(mac))
	}
	copy(hw.Octets[:], mac)
	return hw, nil
}

// String writes octets with colons, and the type before it if it is not
// Ethernet.
func (hw HardwareAddr) String() string {
	octets := hw.Octets[:min(int(hw.Length), len(hw.Octets))]
	switch hw.Type {
	case htypeEthernet:
		return net.HardwareAddr(octets).String()
	case hardwareTypeClientID:
		return "client-id-digest " + hex.EncodeToString(octets)
	}
	return fmt.Sprintf("htype %d %s", hw.Type, net.HardwareAddr(octets))
}

// Client returns the identity of the sender, or false if it has none: chaddr
// empty or all zero, and no option 61.
func (p *Packet) Client() (HardwareAddr, bool) {
	hw := HardwareAddr{Type: p.HType(), Length: p.HLen()}
	copy(hw.Octets[:], p.CHAddr())
	if hw.Octets != [16]byte{} {
		return hw, true
	}
	id, ok := p.Option(OptClientID)
	if !ok || len(bytes.TrimLeft(id, "\x00")) == 0 {
		return HardwareAddr{}, false
	}
	sum := sha256.Sum256(id)
	copy(hw.Octets[:], sum[:])
	hw.Type, hw.Length = hardwareTypeClientID, 16
	return hw, true
}

// spread is a number that is the same for one client in every run and every
// server, and spreads clients evenly: for pool starts and timer jitter.
func (hw HardwareAddr) spread() uint32 {
	const prime = 16777619 // FNV-1a, 32 bits
	sum := uint32(2166136261)
	sum = (sum ^ uint32(hw.Type)) * prime
	for _, b := range hw.Octets {
		sum = (sum ^ uint32(b)) * prime
	}
	// FNV leaves neighbouring addresses near each other: mix (murmur3).
	sum ^= sum >> 16
	sum *= 0x85ebca6b
	sum ^= sum >> 13
	sum *= 0xc2b2ae35
	return sum ^ sum>>16
}
