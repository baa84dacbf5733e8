package dhcp

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// testSite is a Directory written in a few words.
type testSite struct {
	subnets *Subnets
	byHW    map[HardwareAddr]Reservation
	byIP    map[netip.Addr]Reservation
	boots   []bootRule
}

// bootRule is one line "boot NODE [words] NAME": the first that fits answers.
type bootRule struct {
	node string // * is anyone
	fits []func(Asker) bool
	file BootFile
}

func (s *testSite) Subnets() *Subnets { return s.subnets }

func (s *testSite) ByHardware(hw HardwareAddr) (Reservation, bool) {
	r, ok := s.byHW[hw]
	return r, ok
}

func (s *testSite) ByAddress(ip netip.Addr) (Reservation, bool) {
	r, ok := s.byIP[ip]
	return r, ok
}

func (s *testSite) Boot(node string, a Asker) (BootFile, bool) {
	for i := range s.boots {
		if s.boots[i].matches(node, a) {
			return s.boots[i].file, true
		}
	}
	return BootFile{}, false
}

func (r *bootRule) matches(node string, a Asker) bool {
	if r.node != "*" && r.node != node {
		return false
	}
	for _, fits := range r.fits {
		if !fits(a) {
			return false
		}
	}
	return true
}

// parseSite reads lines of: subnet, node, boot.
func parseSite(lines []string) (*testSite, error) {
	s := &testSite{byHW: map[HardwareAddr]Reservation{}, byIP: map[netip.Addr]Reservation{}}
	var subnets []Subnet
	for _, line := range lines {
		words := strings.Fields(line)
		var err error
		switch words[0] {
		case "subnet":
			var n Subnet
			n, err = parseSubnet(words[1:])
			subnets = append(subnets, n)
		case "node":
			err = s.addNode(words[1:])
		case "boot":
			err = s.addBoot(words[1:])
		default:
			err = fmt.Errorf("what is %q", words[0])
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", line, err)
		}
	}
	var err error
	s.subnets, err = NewSubnets(subnets)
	return s, err
}

func parseSubnet(words []string) (Subnet, error) {
	prefix, err := netip.ParsePrefix(words[0])
	n := Subnet{Prefix: prefix, Mode: map[string]Mode{"proxy": ModeProxy, "serve": ModeServe}[words[1]]}
	for _, w := range words[2:] {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "lease":
			n.Lease, err = time.ParseDuration(value)
		case "pool-lease":
			n.PoolLease, err = time.ParseDuration(value)
		case "pool":
			first, last, _ := strings.Cut(value, "-")
			n.PoolFirst, n.PoolLast = netip.MustParseAddr(first), netip.MustParseAddr(last)
		case "routers":
			n.Routers = parseAddrs(value)
		case "dns":
			n.DNS = parseAddrs(value)
		case "ntp":
			n.NTP = parseAddrs(value)
		case "relays":
			n.Relays = parseAddrs(value)
		case "server":
			n.Server = netip.MustParseAddr(value)
		case "domain":
			n.Domain = value
		case "authoritative":
			n.Authoritative = true
		case "broadcast":
			n.AlwaysBroadcast = true
		default:
			return n, fmt.Errorf("what is %q", w)
		}
		if err != nil {
			return n, err
		}
	}
	return n, err
}

func parseAddrs(list string) []netip.Addr {
	var addrs []netip.Addr
	for _, a := range strings.Split(list, ",") {
		addrs = append(addrs, netip.MustParseAddr(a))
	}
	return addrs
}

func (s *testSite) addNode(words []string) error {
	hw, err := ParseHardwareAddr(words[1])
	r := Reservation{Node: words[0]}
	if len(words) > 2 && words[2] != "-" {
		r.IP = netip.MustParseAddr(words[2])
		s.byIP[r.IP] = r
	}
	for _, w := range words[min(3, len(words)):] {
		if list, ok := strings.CutPrefix(w, "dns="); ok {
			r.DNS = parseAddrs(list)
		} else if w == "ignore" {
			r.Ignore = true
		} else {
			r.Hostname = w
		}
	}
	s.byHW[hw] = r
	return err
}

func (s *testSite) addBoot(words []string) error {
	rule := bootRule{node: strings.Trim(words[0], "-")}
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "arch":
			n, err := strconv.Atoi(value)
			if err != nil {
				return err
			}
			rule.fits = append(rule.fits, func(a Asker) bool { return a.Arch == Arch(n) })
		case "ipxe":
			rule.fits = append(rule.fits, func(a Asker) bool { return a.IPXE })
		case "pxe":
			rule.fits = append(rule.fits, func(a Asker) bool { return a.PXE })
		case "http":
			rule.fits = append(rule.fits, func(a Asker) bool { return a.HTTP })
		case "uefi":
			rule.fits = append(rule.fits, func(a Asker) bool { return a.UEFI() })
		case "server":
			rule.file.NextServer = netip.MustParseAddr(value)
		case "bootinfo":
			rule.file.Bootinfo = netip.MustParseAddr(value)
		case "menu":
			rule.file.Menu = strings.ReplaceAll(value, "_", " ")
		case "root":
			rule.file.RootPath = value
		default:
			rule.file.Name = w
		}
	}
	s.boots = append(s.boots, rule)
	return nil
}

// buildRequest makes a message of words such as mac=, xid=, flags=, ciaddr=,
// giaddr=, hops=, hlen=, and CODE=VALUE, VALUE being an address, text:..., or
// hexadecimal.
func buildRequest(kind MessageType, words []string) ([]byte, error) {
	m := make([]byte, optionsOffset, 600)
	m[0], m[1], m[2] = opBootRequest, htypeEthernet, 6
	binary.BigEndian.PutUint32(m[headerBytes:], magicCookie)
	if kind != 0 {
		m = append(m, OptMessageType, 1, uint8(kind))
	}
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		var err error
		if m, err = buildField(m, key, value); err != nil {
			return nil, fmt.Errorf("%s: %w", w, err)
		}
	}
	m = append(m, OptEnd)
	for len(m) < replyBytesMin {
		m = append(m, 0)
	}
	return m, nil
}

func buildField(m []byte, key, value string) ([]byte, error) {
	offsets := map[string]int{"ciaddr": 12, "yiaddr": 16, "siaddr": 20, "giaddr": 24}
	numbers := map[string]int{"op": 0, "htype": 1, "hlen": 2, "hops": 3}
	switch {
	case key == "mac":
		hw, err := ParseHardwareAddr(value)
		copy(m[chaddrOffset:], hw.Octets[:])
		m[1], m[2] = hw.Type, hw.Length
		return m, err
	case key == "xid":
		n, err := strconv.ParseUint(value, 16, 32)
		binary.BigEndian.PutUint32(m[4:], uint32(n))
		return m, err
	case key == "flags":
		n, err := strconv.ParseUint(value, 16, 16)
		binary.BigEndian.PutUint16(m[10:], uint16(n))
		return m, err
	case offsets[key] != 0:
		octets := netip.MustParseAddr(value).As4()
		copy(m[offsets[key]:], octets[:])
		return m, nil
	}
	if offset, ok := numbers[key]; ok {
		n, err := strconv.ParseUint(value, 0, 8)
		m[offset] = byte(n)
		return m, err
	}
	return buildOption(m, key, value)
}

func buildOption(m []byte, key, value string) ([]byte, error) {
	code, err := strconv.ParseUint(key, 10, 8)
	if err != nil {
		return nil, err
	}
	data := []byte(strings.TrimPrefix(value, "text:"))
	if addr, err := netip.ParseAddr(value); err == nil {
		octets := addr.As4()
		data = octets[:]
	} else if !strings.HasPrefix(value, "text:") {
		if data, err = hex.DecodeString(value); err != nil {
			return nil, err
		}
	}
	for {
		n := min(len(data), optionBytesMax)
		m = append(append(m, byte(code), byte(n)), data[:n]...)
		if data = data[n:]; len(data) == 0 {
			return m, nil
		}
	}
}
