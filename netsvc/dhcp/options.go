package dhcp

import "strconv"

// Option codes (RFC 2132 unless noted).
const (
	OptPad              = 0
	OptSubnetMask       = 1
	OptRouter           = 3
	OptDNS              = 6
	OptHostName         = 12
	OptDomainName       = 15
	OptRootPath         = 17
	OptInterfaceMTU     = 26
	OptBroadcast        = 28
	OptNTP              = 42
	OptVendorSpecific   = 43
	OptRequestedAddress = 50
	OptLeaseTime        = 51
	OptOverload         = 52
	OptMessageType      = 53
	OptServerID         = 54
	OptParameterList    = 55
	OptMessage          = 56
	OptMaxMessageSize   = 57
	OptT1               = 58
	OptT2               = 59
	OptVendorClass      = 60
	OptClientID         = 61
	OptTFTPServerName   = 66
	OptBootFileName     = 67
	OptUserClass        = 77  // RFC 3004; iPXE sends the bare string
	OptRelayAgent       = 82  // RFC 3046
	OptClientArch       = 93  // RFC 4578 §2.1
	OptClientNDI        = 94  // RFC 4578 §2.2
	OptClientUUID       = 97  // RFC 4578 §2.3
	OptSubnetSelection  = 118 // RFC 3011
	OptIPXE             = 175 // ipxe.org/howto/dhcpd
	OptEnd              = 255
)

// Sub-options of option 82.
const (
	relayLinkSelection = 5  // RFC 3527
	relayServerID      = 11 // RFC 5107
	relaySourcePort    = 19 // RFC 8357
)

// MessageType is the value of option 53.
type MessageType uint8

// Message types (RFC 2132 §9.6).
const (
	Discover MessageType = 1 + iota
	Offer
	Request
	Decline
	Ack
	Nak
	Release
	Inform
)

// String is the name RFC 2131 uses, without the DHCP prefix.
func (t MessageType) String() string {
	names := [...]string{"none", "DISCOVER", "OFFER", "REQUEST", "DECLINE", "ACK", "NAK", "RELEASE", "INFORM"}
	if int(t) < len(names) {
		return names[t]
	}
	return "type-" + strconv.Itoa(int(t))
}
