package dhcp

import (
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"testing"

	"hyzer/bench/shared"
)

// captured is one DHCP message of the real firmware captures, as their
// manifest describes it.
type captured struct {
	T         float64    `json:"t"`
	Msg       string     `json:"msg"`
	Src       string     `json:"src"`
	Dst       string     `json:"dst"`
	Op        uint8      `json:"op"`
	Secs      uint16     `json:"secs"`
	CIAddr    netip.Addr `json:"ciaddr"`
	YIAddr    netip.Addr `json:"yiaddr"`
	SIAddr    netip.Addr `json:"siaddr"`
	File      string     `json:"file"`
	Arch      *int       `json:"arch"`
	UserClass string     `json:"user_class"`
	Options   [][2]any   `json:"options"`
	Payload   string     `json:"payload_hex"`

	file    string
	payload []byte
	options []capturedOption
}

type capturedOption struct {
	code uint8
	data []byte
}

// capturedMessages reads the DHCP messages of the manifest, in order. Of the
// server's it has no octets.
func capturedMessages(t *testing.T) []captured {
	t.Helper()
	var manifest struct {
		Captures []struct {
			File string     `json:"file"`
			DHCP []captured `json:"dhcp"`
		} `json:"captures"`
	}
	if err := json.Unmarshal(shared.ReadFile(t, "vectors/pxe/MANIFEST.json"), &manifest); err != nil {
		t.Fatal(err)
	}
	var list []captured
	for _, c := range manifest.Captures {
		for _, m := range c.DHCP {
			m.file = c.File
			m.payload = unhex(t, m.Payload)
			for _, o := range m.Options {
				m.options = append(m.options, capturedOption{uint8(o[0].(float64)), unhex(t, o[1].(string))})
			}
			list = append(list, m)
		}
	}
	return list
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (m captured) option(code uint8) []byte {
	for _, o := range m.options {
		if o.code == code {
			return o.data
		}
	}
	return nil
}

// bootName is what a captured server told the client to load.
func (m captured) bootName() string {
	if name := untilNUL(m.option(OptBootFileName)); len(name) > 0 {
		return string(name)
	}
	return m.File
}

// A firmware that booted with the captured server's answer gets from us what
// made it boot: the same type, address, destination, next server and file.
func TestAnswersAsCaptured(t *testing.T) {
	t.Parallel()
	messages := capturedMessages(t)
	compared := map[string]int{}
	for i, request := range messages {
		if request.Op != opBootRequest || i+1 == len(messages) {
			continue
		}
		for _, reply := range messages[i+1:] {
			if reply.Op == opBootRequest || reply.file != request.file {
				break
			}
			from := netip.MustParseAddrPort(reply.Src)
			if asked := netip.MustParseAddrPort(request.Dst); asked.Port() != from.Port() {
				continue
			}
			compared[from.Addr().String()]++
			compareAnswer(t, request, reply)
		}
	}
	if compared["10.50.0.1"] < 80 || compared["10.50.0.2"] < 15 {
		t.Errorf("only %v compared", compared)
	}
}

func compareAnswer(t *testing.T, request, reply captured) {
	t.Helper()
	p := mustParse(t, request.payload)
	client, _ := p.Client()
	local := netip.MustParseAddrPort(reply.Src)
	proxy := local.Addr() == netip.MustParseAddr("10.50.0.2")
	mode := ModeServe
	if proxy {
		mode = ModeProxy
	}
	subnets, err := NewSubnets([]Subnet{{Prefix: netip.MustParsePrefix("10.50.0.0/24"), Mode: mode}})
	if err != nil {
		t.Fatal(err)
	}
	site := &testSite{subnets: subnets, byHW: map[HardwareAddr]Reservation{client: {Node: "vm", IP: reply.YIAddr}}}
	name := reply.bootName()
	if name != "" || proxy {
		site.boots = []bootRule{{node: "*", file: BootFile{Name: name}}}
	}
	table, err := NewTable(nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	table.Configure(subnets)
	in := Ingress{Local: local.Addr(), Source: netip.MustParseAddrPort(request.Src), BootServer: local.Port() == bootServerPort}
	in.Unicast = in.BootServer
	d := Decide(nil, p, in, site, table, 0)
	what := request.file + " " + request.Msg + " " + reply.Msg
	if d.Type.String() != reply.Msg || d.Dest.Addr.String() != reply.Dst {
		t.Errorf("%s: %s (%s) to %s, captured to %s", what, d.Type, d.Reason, d.Dest.Addr, reply.Dst)
		return
	}
	compareReply(t, what, mustParse(t, d.Reply), reply, proxy)
}

func compareReply(t *testing.T, what string, got *Packet, want captured, proxy bool) {
	t.Helper()
	wantAddr := want.YIAddr
	if proxy {
		wantAddr = netip.IPv4Unspecified() // dnsmasq fills it in on 4011; the client has it already
	}
	if got.YIAddr() != wantAddr {
		t.Errorf("%s: yiaddr %s, captured %s", what, got.YIAddr(), wantAddr)
	}
	name := want.bootName()
	if name != "" && (got.SIAddr() != want.SIAddr || string(got.File()) != name) {
		t.Errorf("%s: %s %q, captured %s %q", what, got.SIAddr(), got.File(), want.SIAddr, name)
	}
	if id := want.option(OptClientUUID); proxy && len(id) > 0 {
		if back, _ := got.Option(OptClientUUID); string(back) != string(id) {
			t.Errorf("%s: option 97 %x, captured %x", what, back, id)
		}
	}
	if class := want.option(OptVendorClass); len(class) > 0 && name != "" {
		if back, _ := got.Option(OptVendorClass); string(back) != string(class) {
			t.Errorf("%s: option 60 %q, captured %q", what, back, class)
		}
	}
}
