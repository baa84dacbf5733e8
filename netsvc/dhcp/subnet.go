package dhcp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"time"
)

// Mode says how much of DHCP the server does on a subnet.
type Mode uint8

const (
	// ModeOff answers nothing. It is the zero value: a subnet that nobody
	// configured further is safe beside another DHCP server.
	ModeOff Mode = iota
	// ModeProxy answers PXE and HTTP boot clients with boot files and never
	// gives an address: another server does that.
	ModeProxy
	// ModeServe gives addresses and boot files.
	ModeServe
)

// String is the word configuration files use.
func (m Mode) String() string { return [...]string{"off", "proxy", "serve"}[min(m, ModeServe)] }

// Limits of configuration.
const (
	// poolAddressesMax is the largest dynamic range.
	poolAddressesMax = 1 << 16
	leaseDefault     = 10 * time.Hour // Emulab's 36000 s
	poolLeaseDefault = time.Hour
	leaseMin         = time.Minute
	leaseMax         = 365 * 24 * time.Hour
	subnetsMax       = 4096
	textOptionMax    = 253
)

// Subnet is one IPv4 network and what its machines are told.
type Subnet struct {
	Prefix  netip.Prefix
	Mode    Mode
	Routers []netip.Addr
	DNS     []netip.Addr
	NTP     []netip.Addr
	Domain  string
	// Lease is the term of reserved addresses, zero for 10 hours.
	Lease time.Duration
	// PoolFirst and PoolLast bound the dynamic range for machines without a
	// reservation, both included; not set, such machines get no address.
	// Reserved addresses inside the range are skipped.
	PoolFirst, PoolLast netip.Addr
	// PoolLease is the term of dynamic addresses, zero for one hour.
	PoolLease time.Duration
	// Server is option 54. It must be an address of this host that clients
	// reach; not set, it is the address the request came in on.
	Server netip.Addr
	// Relays are accepted as giaddr beside every address inside Prefix.
	Relays []netip.Addr
	// Authoritative sends NAK to unknown clients too. Set it only if no other
	// DHCP server serves the network.
	Authoritative bool
	// AlwaysBroadcast answers clients that have no address by broadcast even
	// if they claim to receive unicast.
	AlwaysBroadcast bool

	index int // in Subnets.list
}

// HasPool reports whether unknown machines get an address.
func (s *Subnet) HasPool() bool { return s.PoolFirst.IsValid() }

// inPool reports whether ip is in the dynamic range.
func (s *Subnet) inPool(ip netip.Addr) bool {
	return s.HasPool() && s.PoolFirst.Compare(ip) <= 0 && ip.Compare(s.PoolLast) <= 0
}

// Subnets is a checked, immutable set of subnets that do not overlap.
type Subnets struct {
	list   []Subnet // by address
	relays map[netip.Addr]int
}

// NewSubnets checks and copies list. The error names the subnet at fault.
func NewSubnets(list []Subnet) (*Subnets, error) {
	if len(list) > subnetsMax {
		return nil, fmt.Errorf("dhcp: %d subnets, at most %d", len(list), subnetsMax)
	}
	s := &Subnets{list: slices.Clone(list), relays: map[netip.Addr]int{}}
	for i := range s.list {
		if err := s.list[i].complete(); err != nil {
			return nil, fmt.Errorf("dhcp: subnet %v: %w", s.list[i].Prefix, err)
		}
	}
	sort.Slice(s.list, func(i, j int) bool {
		return s.list[i].Prefix.Addr().Less(s.list[j].Prefix.Addr())
	})
	for i := range s.list {
		if i > 0 && s.list[i-1].Prefix.Overlaps(s.list[i].Prefix) {
			return nil, fmt.Errorf("dhcp: subnets %v and %v overlap", s.list[i-1].Prefix, s.list[i].Prefix)
		}
		if err := s.adopt(i); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Subnets) adopt(i int) error {
	s.list[i].index = i
	for _, relay := range s.list[i].Relays {
		if other, taken := s.relays[relay]; taken {
			return fmt.Errorf("dhcp: relay %v is named by subnets %v and %v", relay, s.list[other].Prefix, s.list[i].Prefix)
		}
		s.relays[relay] = i
	}
	return nil
}

var errBadSubnet = errors.New("bad setting")

// complete fills in defaults and checks one subnet.
func (s *Subnet) complete() error {
	if !s.Prefix.IsValid() || !s.Prefix.Addr().Is4() || s.Prefix.Bits() > 30 {
		return fmt.Errorf("%w: want an IPv4 prefix of at most 30 bits", errBadSubnet)
	}
	s.Prefix = s.Prefix.Masked()
	if s.Mode > ModeServe {
		return fmt.Errorf("%w: unknown mode %d", errBadSubnet, s.Mode)
	}
	s.Lease = termOr(s.Lease, leaseDefault)
	s.PoolLease = termOr(s.PoolLease, poolLeaseDefault)
	if len(s.Domain) > textOptionMax {
		return fmt.Errorf("%w: domain longer than %d", errBadSubnet, textOptionMax)
	}
	for _, list := range [][]netip.Addr{s.Routers, s.DNS, s.NTP, s.Relays} {
		for _, a := range list {
			if !a.Is4() {
				return fmt.Errorf("%w: %v is no IPv4 address", errBadSubnet, a)
			}
		}
	}
	return s.checkPool()
}

func (s *Subnet) checkPool() error {
	if !s.PoolFirst.IsValid() && !s.PoolLast.IsValid() {
		return nil
	}
	first, last := s.PoolFirst, s.PoolLast
	if !first.Is4() || !last.Is4() || last.Less(first) || !s.usable(first) || !s.usable(last) {
		return fmt.Errorf("%w: pool %v to %v is not inside the subnet's host addresses", errBadSubnet, first, last)
	}
	if number(last)-number(first) >= poolAddressesMax {
		return fmt.Errorf("%w: pool over %d addresses", errBadSubnet, poolAddressesMax)
	}
	return nil
}

// usable reports whether a host may have the address: inside the prefix,
// neither its first nor its last.
func (s *Subnet) usable(ip netip.Addr) bool {
	return s.Prefix.Contains(ip) && ip != s.Prefix.Addr() && ip != s.broadcast()
}

func (s *Subnet) mask() netip.Addr {
	return addrOf(^uint32(0) << (32 - s.Prefix.Bits()))
}

func (s *Subnet) broadcast() netip.Addr {
	return addrOf(number(s.Prefix.Addr()) | ^uint32(0)>>s.Prefix.Bits())
}

// termOr bounds a lease term and rounds it to what the wire can say.
func termOr(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		d = otherwise
	}
	return min(max(d, leaseMin), leaseMax).Truncate(time.Second)
}

// Find returns the subnet that contains ip.
func (s *Subnets) Find(ip netip.Addr) *Subnet {
	if s == nil || !ip.Is4() {
		return nil
	}
	low, high := 0, len(s.list)
	for low < high {
		if mid := int(uint(low+high) / 2); ip.Less(s.list[mid].Prefix.Addr()) {
			high = mid
		} else {
			low = mid + 1
		}
	}
	if low == 0 || !s.list[low-1].Prefix.Contains(ip) {
		return nil
	}
	return &s.list[low-1]
}

// findRelay returns the subnet whose machines a relay speaks for.
func (s *Subnets) findRelay(giaddr netip.Addr) *Subnet {
	if s == nil {
		return nil
	}
	if i, ok := s.relays[giaddr]; ok {
		return &s.list[i]
	}
	subnet := s.Find(giaddr)
	if subnet == nil || !subnet.usable(giaddr) {
		return nil // an answer to a broadcast address would reflect
	}
	return subnet
}

func number(a netip.Addr) uint32 {
	octets := a.As4()
	return uint32(octets[0])<<24 | uint32(octets[1])<<16 | uint32(octets[2])<<8 | uint32(octets[3])
}

func addrOf(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}
