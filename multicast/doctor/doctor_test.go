package doctor

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// TestDiagnose is every finding, by the facts that lead to it.
func TestDiagnose(t *testing.T) {
	t.Parallel()
	node := netip.MustParseAddr("10.0.0.9")
	well := func() Facts {
		ok := Result{Answer: &Answer{Iface: "eth0", Joined: "eth0", MTU: 1500, TTL: 5}}
		return Facts{Iface: netip.MustParseAddr("10.0.0.1"), Local: &Link{Name: "eth1", MTU: 1500, Up: true, Multicast: true}, Route: "eth1",
			Node: node, Group: netip.AddrPortFrom(Group(), PortDefault),
			Unicast: ok, UnicastFull: ok, Multicast: ok, MulticastFull: ok, Far: ok}
	}
	for name, c := range map[string]struct {
		change     func(*Facts)
		what, does string // "": nothing is found
		warning    bool
	}{
		"well":              {change: func(*Facts) {}},
		"no such address":   {func(f *Facts) { f.Local = nil }, "no interface here", "interface", false},
		"down":              {func(f *Facts) { f.Local.Up = false }, "is down", "eth1 up", false},
		"multicast off":     {func(f *Facts) { f.Local.Multicast = false }, "multicast is off", "multicast on", false},
		"small MTU here":    {func(f *Facts) { f.Local.MTU = 1107 }, "MTU of this machine's interface eth1 is 1107", "mtu 1500", false},
		"MTU just enough":   {change: func(f *Facts) { f.Local.MTU = 1108 }},
		"routed elsewhere":  {func(f *Facts) { f.Route = "eth7" }, "reached through eth7", "wrong interface", false},
		"no route":          {func(f *Facts) { f.Unicast = Result{Err: unix.ENETUNREACH} }, "no route", "add the route", false},
		"firewall here":     {func(f *Facts) { f.Unicast = Result{Err: unix.EPERM} }, "cannot send", "firewall", false},
		"silent":            {func(f *Facts) { f.Unicast = Result{} }, "answers nothing", "hyzer-node doctor", false},
		"small MTU there":   {func(f *Facts) { f.Unicast.Answer.MTU = 600; f.UnicastFull = Result{} }, "node 10.0.0.9's interface eth0 is 600", "mtu 1500", false},
		"small MTU between": {func(f *Facts) { f.UnicastFull = Result{} }, "1080 bytes do not reach", "tracepath", false},
		"group forbidden":   {func(f *Facts) { f.Multicast = Result{Err: unix.EPERM} }, "cannot send to group", "firewall", false},
		"joined elsewhere":  {func(f *Facts) { f.Multicast = Result{}; f.Far = Result{}; f.Unicast.Answer.Joined = "eth3" }, "joined on eth3", "wrong interface", false},
		"far":               {func(f *Facts) { f.Multicast = Result{}; f.Far = Result{Answer: &Answer{TTL: 57}} }, "it is 7 hops away", "TTL too low", false},
		"snooping": {func(f *Facts) {
			f.Multicast, f.Far = Result{}, Result{}
			f.Local.Snooping, f.Local.Bridge = true, "br0"
		}, "bridge br0 snoops", "mcast_querier 1", false},
		"nobody asks":       {func(f *Facts) { f.Multicast, f.Far, f.QueryWaited = Result{}, Result{}, true }, "nobody on the network asks", "querier_secs", false},
		"dropped":           {func(f *Facts) { f.Multicast, f.Far = Result{}, Result{} }, "answers what is sent to it alone", "firewall", false},
		"multicast MTU":     {func(f *Facts) { f.MulticastFull = Result{} }, "multicast datagrams of 1080", "MTU", false},
		"snooping, for now": {func(f *Facts) { f.Local.Snooping, f.Local.Bridge = true, "br0" }, "bridge br0 snoops", "querier", true},
		"snooping, asked":   {change: func(f *Facts) { f.Local.Snooping, f.Local.Querier = true, true }},
		"nobody asks, yet":  {func(f *Facts) { f.QueryWaited = true }, "nobody on the network asks", "querier", true},
		"only here":         {change: func(f *Facts) { f.Node, f.Unicast = netip.Addr{}, Result{} }},
	} {
		f := well()
		one := *f.Unicast.Answer // each has its own
		f.Unicast.Answer = &one
		c.change(&f)
		found := Diagnose(f)
		if c.what == "" {
			if len(found) > 0 {
				t.Errorf("%s: %+v", name, found)
			}
			continue
		}
		if len(found) != 1 || !strings.Contains(found[0].What, c.what) || !strings.Contains(found[0].Do, c.does) || found[0].Warning != c.warning {
			t.Errorf("%s: %+v", name, found)
		}
	}
}

func TestWire(t *testing.T) {
	t.Parallel()
	for _, size := range []int{probeBytesMin, SessionBytes} {
		b := appendProbe(nil, 77, size)
		if seq, err := parseProbe(b); err != nil || seq != 77 || len(b) != size {
			t.Errorf("%d bytes: %d, %v", len(b), seq, err)
		}
	}
	a := Answer{Seq: 1<<32 - 1, Bytes: 65535, TTL: 255, Group: true, Iface: strings.Repeat("i", nameBytesMax), Joined: strings.Repeat("j", nameBytesMax), MTU: 65536}
	b, err := appendAnswer(nil, a)
	if err != nil || len(b) > answerBytesMax {
		t.Fatal(len(b), err)
	}
	if got, err := ParseAnswer(b); err != nil || got != a {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range [][]byte{nil, b[:9], append(b, '}'), appendProbe(nil, 1, 399)} {
		if _, err := ParseAnswer(bad); err == nil {
			t.Errorf("%.20q was taken", bad)
		}
		if _, err := parseProbe(bad); err == nil {
			t.Errorf("%.20q was taken for a probe", bad)
		}
	}
}

// TestAnswer is what a node says to a probe, by what the kernel says of it.
func TestAnswer(t *testing.T) {
	t.Parallel()
	link := Link{Name: "eth7", MTU: 1400}
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	probe := appendProbe(nil, 5, 1400)
	group := Group().AsSlice()
	for name, c := range map[string]struct {
		b    []byte
		cm   *ipv4.ControlMessage
		want Answer // the zero one: none
	}{
		"to the group": {probe, &ipv4.ControlMessage{TTL: 3, Dst: group, IfIndex: lo.Index},
			Answer{Seq: 5, Bytes: 1400, TTL: 3, Group: true, Iface: "lo", Joined: "eth7", MTU: 1400}},
		"to this machine": {probe, &ipv4.ControlMessage{TTL: 64, Dst: net.IPv4(127, 0, 0, 1), IfIndex: lo.Index},
			Answer{Seq: 5, Bytes: 1400, TTL: 64, Iface: "lo", Joined: "eth7", MTU: 1400}},
		"by which interface is not known": {probe, &ipv4.ControlMessage{TTL: 3, Dst: group}, Answer{}},
		"nothing is known of it":          {probe, nil, Answer{}},
		"no probe":                        {probe[:5], &ipv4.ControlMessage{TTL: 3, Dst: group, IfIndex: lo.Index}, Answer{}},
	} {
		got, ok := answer(c.b, c.cm, link)
		if got != c.want || ok != (c.want != Answer{}) {
			t.Errorf("%s: %+v, %v, want %+v", name, got, ok, c.want)
		}
	}
}
