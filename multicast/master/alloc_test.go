package master

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"
	"testing/quick"
)

func TestGroups(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		base  string
		index uint32
		want  string
	}{
		{"239.192.77.1", 0, "239.192.77.1"},
		{"239.192.77.1", 1, "239.192.77.2"}, // as captured: the first session has index 1
		{"239.192.77.1", 253, "239.192.77.254"},
		{"239.192.77.1", 254, "239.192.78.1"},
		{"239.192.254.254", 1, "239.193.1.1"},
	} {
		p := addressPlan{base: netip.MustParseAddr(c.base)}
		if got := p.group(c.index).String(); got != c.want {
			t.Errorf("group %d from %s on is %s, want %s", c.index, c.base, got, c.want)
		}
	}
}

// TestGroupsNeverAlias: whatever the base, no group shares its Ethernet address
// with 224.0.0.0/24, is used twice, or is no group.
func TestGroupsNeverAlias(t *testing.T) {
	t.Parallel()
	check := func(b, c, d byte, index uint32) bool {
		p := addressPlan{base: netip.AddrFrom4([4]byte{239, b, c, d}), index: index % groupsMax}
		used := map[netip.Addr]bool{}
		for range 300 {
			g, _, err := p.next(func(a netip.Addr) bool { return used[a] })
			low := g.As4()
			if err != nil || used[g] || !g.IsMulticast() || (low[1]&0x7f == 0 && low[2] == 0) {
				return false
			}
			used[g] = true
		}
		return true
	}
	if err := quick.Check(check, nil); err != nil {
		t.Error(err)
	}
}

func TestPorts(t *testing.T) {
	t.Parallel()
	p := addressPlan{portBase: 35700, portNum: 3}
	var tried []uint16
	if p.ports(4, func(port uint16) bool { tried = append(tried, port); return false }) {
		t.Error("found a port though all are in use")
	}
	if len(tried) != 3 || tried[0] != 35701 || tried[1] != 35702 || tried[2] != 35700 {
		t.Errorf("tried %v", tried)
	}
	if err := errors.Join(ErrNoAddress, syscall.EADDRINUSE); masterError(err) != 7 {
		t.Errorf("no address is sent as %d, want TRYAGAIN", masterError(err))
	}
}
