package master

import (
	"errors"
	"fmt"
	"net/netip"
)

// Group addresses count through the last two octets, 1 to 254 each, and carry
// into the second (spec frisbee B1).
const (
	octetValues = 254
	groupsMax   = octetValues * octetValues
)

// ErrNoAddress is wrapped when all addresses or ports of the range are in use.
var ErrNoAddress = errors.New("no free session address")

// addressPlan hands out group addresses and ports. The counter only moves on,
// so that an address is not used again soon after its session ended.
type addressPlan struct {
	base     netip.Addr // group of index 0
	portBase int
	portNum  int // 0: any free port
	index    uint32
}

// group returns the group of an index: base's last two octets are counted in
// base 254 from 1, and the carry goes into the second.
func (p addressPlan) group(index uint32) netip.Addr {
	b := p.base.As4()
	n := int(index) + max(int(b[3])-1, 0)
	b[3] = byte(n%octetValues) + 1
	n = n/octetValues + max(int(b[2])-1, 0)
	b[2] = byte(n%octetValues) + 1
	b[1] += byte(n / octetValues)
	return netip.AddrFrom4(b)
}

// aliasesLocalControl says whether the group has the same Ethernet address as
// one of 224.0.0.0/24, which switches flood and hosts always hear: only the low
// 23 bits of a group are in the address.
func aliasesLocalControl(g netip.Addr) bool {
	b := g.As4()
	return b[1]&0x7f == 0 && b[2] == 0
}

// sameEthernet says whether two groups have one Ethernet address, so that the
// hosts of one session hear the other.
func sameEthernet(g, h netip.Addr) bool {
	a, b := g.As4(), h.As4()
	return a[1]&0x7f == b[1]&0x7f && a[2] == b[2] && a[3] == b[3]
}

// next returns the next group that is not in use, and where to start to look
// for a port.
func (p *addressPlan) next(used func(netip.Addr) bool) (netip.Addr, int, error) {
	for range groupsMax {
		p.index = (p.index + 1) % groupsMax
		g := p.group(p.index)
		if !g.IsMulticast() || aliasesLocalControl(g) || used(g) {
			continue
		}
		return g, int(p.index), nil
	}
	return netip.Addr{}, 0, fmt.Errorf("%w: all groups from %v on are in use", ErrNoAddress, p.base)
}

// ports calls try with the ports of the range, from base + start on and
// around, until it returns true.
func (p *addressPlan) ports(start int, try func(port uint16) bool) bool {
	if p.portNum <= 0 {
		return try(0)
	}
	for i := range p.portNum {
		if try(uint16(p.portBase + (start+i)%p.portNum)) {
			return true
		}
	}
	return false
}
