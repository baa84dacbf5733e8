package dhcp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hyzer/bench/shared"
)

func mustBuild(tb testing.TB, kind MessageType, words string) []byte {
	tb.Helper()
	data, err := buildRequest(kind, strings.Fields(words))
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func mustParse(tb testing.TB, data []byte) *Packet {
	tb.Helper()
	p := new(Packet)
	if err := p.Parse(data); err != nil {
		tb.Fatal(err)
	}
	return p
}

// bare makes a message of the given options octets, without END.
func bare(options ...byte) []byte {
	m := make([]byte, optionsOffset, optionsOffset+len(options))
	m[0], m[1], m[2] = 1, 1, 6
	binary.BigEndian.PutUint32(m[headerBytes:], magicCookie)
	return append(m, options...)
}

func TestParseRejects(t *testing.T) {
	t.Parallel()
	many := make([]byte, 0, 600)
	for range 256 {
		many = append(many, OptRelayAgent, 0)
	}
	longHLen := bare(53, 1, 1)
	longHLen[2] = 17
	noCookie := bare(53, 1, 1)
	noCookie[headerBytes] = 0
	badFile := bare(52, 1, 1)
	badFile[fileOffset], badFile[fileOffset+1] = 12, 200
	for name, c := range map[string]struct {
		data []byte
		want error
	}{
		"empty":             {nil, ErrShort},
		"239 octets":        {bare()[:239], ErrShort},
		"no cookie":         {noCookie, ErrCookie},
		"hlen 17":           {longHLen, ErrHardwareLength},
		"length missing":    {bare(53), ErrOption},
		"data missing":      {bare(53, 1), ErrOption},
		"runs past end":     {bare(53, 1, 1, 12, 200, 'x'), ErrOption},
		"runs past file":    {badFile, ErrOption},
		"256 fragments":     {bare(many...), ErrManyOptions},
		"over 2048 octets":  {make([]byte, packetBytesMax+1), ErrLong},
		"overrun in option": {bare(82, 255), ErrOption},
	} {
		var p Packet
		if err := p.Parse(c.data); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestParseAccepts(t *testing.T) {
	t.Parallel()
	full := make([]byte, 0, 600)
	for range 255 {
		full = append(full, OptRelayAgent, 1, 7)
	}
	for name, c := range map[string]struct {
		options []byte
		code    uint8
		want    []byte
	}{
		"no END":                       {[]byte{53, 1, 1}, 53, []byte{1}},
		"PAD between":                  {[]byte{0, 0, 12, 1, 'a', 0, 53, 1, 1, 255}, 53, []byte{1}},
		"nothing counts after END":     {[]byte{255, 12, 200}, 53, nil},
		"empty option":                 {[]byte{61, 0, 255}, 61, []byte{}},
		"concatenated (RFC 3396)":      {[]byte{12, 2, 'a', 'b', 53, 1, 1, 12, 1, 'c', 12, 1, 'd', 255}, 12, []byte("abcd")},
		"concatenated of nothing":      {[]byte{15, 1, 'x', 15, 1, 'y', 12, 0, 12, 0}, 12, []byte{}},
		"255 fragments of option 82":   {full, 82, bytes.Repeat([]byte{7}, 255)},
		"overload of a senseless kind": {[]byte{52, 1, 9, 53, 1, 1}, 53, []byte{1}},
	} {
		p := mustParse(t, bare(c.options...))
		got, ok := p.Option(c.code)
		if ok != (c.want != nil) || !bytes.Equal(got, c.want) {
			t.Errorf("%s: option %d is %x, %v; want %x", name, c.code, got, ok, c.want)
		}
	}
}

// Options stand in the options field, then file, then sname, and END ends one
// field only (RFC 2131 §4.1).
func TestParseOverload(t *testing.T) {
	t.Parallel()
	for overload, want := range map[byte]string{0: "a", 1: "af", 2: "as", 3: "afs"} {
		m := bare(52, 1, overload, 12, 1, 'a', 255)
		copy(m[fileOffset:], []byte{12, 1, 'f', 52, 1, 3, 255, 12, 9})
		copy(m[snameOffset:], []byte{12, 1, 's', 255})
		p := mustParse(t, m)
		if got, _ := p.Option(OptHostName); string(got) != want {
			t.Errorf("overload %d: %q, want %q", overload, got, want)
		}
		if fileIsText := len(p.File()) > 0; fileIsText != (overload&1 == 0) {
			t.Errorf("overload %d: file read as text: %v", overload, fileIsText)
		}
		if snameIsText := len(p.ServerName()) > 0; snameIsText != (overload&2 == 0) {
			t.Errorf("overload %d: sname read as text: %v", overload, snameIsText)
		}
	}
}

// Parsing a second message leaves nothing of the first.
func TestParseReuse(t *testing.T) {
	t.Parallel()
	p := mustParse(t, bare(12, 1, 'a', 12, 1, 'b', 60, 1, 'x', 52, 1, 3))
	if err := p.Parse(bare(53, 1, 3)); err != nil {
		t.Fatal(err)
	}
	for code := range 256 {
		if _, ok := p.Option(uint8(code)); ok != (code == 53) {
			t.Errorf("option %d: %v", code, ok)
		}
	}
}

// The manifest of the captures says what a right reader must get.
func TestCapturedPayloads(t *testing.T) {
	t.Parallel()
	var seen int
	for _, m := range capturedMessages(t) {
		if len(m.payload) == 0 {
			continue
		}
		p := mustParse(t, m.payload)
		seen++
		if got := p.Type().String(); got != m.Msg || p.Op() != m.Op || p.Secs() != m.Secs {
			t.Errorf("%s at %v: type %s op %d secs %d", m.file, m.T, got, p.Op(), p.Secs())
		}
		if p.CIAddr() != m.CIAddr || p.YIAddr() != m.YIAddr || p.SIAddr() != m.SIAddr || string(p.File()) != m.File {
			t.Errorf("%s at %v: header %s %s %s %q", m.file, m.T, p.CIAddr(), p.YIAddr(), p.SIAddr(), p.File())
		}
		if m.Arch != nil && AskerOf(p).Arch != Arch(*m.Arch).Normal() {
			t.Errorf("%s at %v: arch %s, want %d", m.file, m.T, AskerOf(p).Arch, *m.Arch)
		}
		if got := AskerOf(p).IPXE; p.Op() == 1 && got != (m.UserClass == "iPXE") {
			t.Errorf("%s at %v: iPXE %v", m.file, m.T, got)
		}
		for _, o := range m.options {
			if got, ok := p.Option(o.code); !ok || !bytes.Equal(got, o.data) {
				t.Errorf("%s at %v: option %d is %x, want %x", m.file, m.T, o.code, got, o.data)
			}
		}
	}
	if seen < 100 {
		t.Errorf("only %d captured messages have a payload", seen)
	}
}

func TestFirmwareAskers(t *testing.T) {
	t.Parallel()
	type want struct {
		arch              Arch
		pxe, http, ipxe   bool
		uefi, uuid, http2 bool
	}
	cases := map[string]want{
		"req-00-discover-arch0-iPXE-p67.bin": {arch: ArchBIOS, pxe: true, ipxe: true, uuid: true, http2: true},
		"req-02-discover-archnone-p67.bin":   {arch: ArchUnknown},
		"req-04-discover-arch7-p67.bin":      {arch: ArchX64EFI, pxe: true, uefi: true, uuid: true},
		"req-06-discover-arch7-iPXE-p67.bin": {arch: ArchX64EFI, pxe: true, ipxe: true, uefi: true, uuid: true, http2: true},
		"req-08-discover-arch16-p67.bin":     {arch: ArchX64HTTP, http: true, uefi: true, uuid: true},
	}
	for file, w := range cases {
		data, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		a := AskerOf(mustParse(t, data))
		got := want{a.Arch, a.PXE, a.HTTP, a.IPXE, a.UEFI(), a.HasUUID, a.Features&FeatureHTTP != 0}
		if got != w {
			t.Errorf("%s: %+v, want %+v", file, got, w)
		}
	}
}

func TestAskerOddities(t *testing.T) {
	t.Parallel()
	check := func(name string, words string, ok func(Asker) bool) {
		if a := AskerOf(mustParse(t, mustBuild(t, Discover, "mac=52:54:00:00:00:01 "+words))); !ok(a) {
			t.Errorf("%s: %+v", name, a)
		}
	}
	check("93 of odd length", "93=000b00", func(a Asker) bool { return a.Arch == ArchARM64EFI && a.ArchCount == 1 })
	check("93 empty", "93=", func(a Asker) bool { return a.Arch == ArchUnknown })
	check("93 list", "93=00090010", func(a Asker) bool { return a.Arch == ArchX64EFI && a.Arches[1] == ArchX64HTTP })
	check("arch in 60 only", "60=text:PXEClient:Arch:00011:UNDI:003000", func(a Asker) bool { return a.Arch == ArchARM64EFI })
	check("arch in 60 not digits", "60=text:PXEClient:Arch:0x011:", func(a Asker) bool { return a.Arch == ArchUnknown && a.PXE })
	check("97 of zeros", "97=0000000000000000000000000000000000", func(a Asker) bool { return !a.HasUUID })
	check("97 of ones", "97=00ffffffffffffffffffffffffffffffff", func(a Asker) bool { return !a.HasUUID })
	check("97 short", "97=0001", func(a Asker) bool { return !a.HasUUID })
	check("77 as RFC 3004 wants", "77=046950584503616263", func(a Asker) bool { return a.IPXE })
	check("77 of another", "77=text:pixie", func(a Asker) bool { return !a.IPXE })
	check("175 overruns", "175=130101ffff", func(a Asker) bool { return a.IPXE && a.Features == FeatureHTTP })
	check("long list of 93", "93=0001000200030004000500060007000800090010", func(a Asker) bool { return a.ArchCount == archesPerListMax })
}

func TestClientIdentity(t *testing.T) {
	t.Parallel()
	identity := func(words string) (HardwareAddr, bool) {
		return mustParse(t, mustBuild(t, Discover, words)).Client()
	}
	withMAC, _ := identity("mac=52:54:00:00:00:01 61=00aabb")
	if want := EthernetAddr([6]byte{0x52, 0x54, 0, 0, 0, 1}); withMAC != want {
		t.Errorf("client identifier counts before chaddr: %v", withMAC)
	}
	infiniband, ok := identity("htype=32 hlen=0 61=ff00112233")
	if !ok || infiniband.Type != hardwareTypeClientID {
		t.Errorf("RFC 4390 client: %v, %v", infiniband, ok)
	}
	other, _ := identity("htype=32 hlen=0 61=ff00112234")
	if other == infiniband {
		t.Error("two client identifiers make one identity")
	}
	if _, ok := identity("hlen=0 61=0000"); ok {
		t.Error("an empty identifier identifies")
	}
}

func TestReplyLimit(t *testing.T) {
	t.Parallel()
	for words, want := range map[string]int{
		"":            548,
		"57=0240":     548,
		"57=0100":     548, // under the least allowed
		"57=05c0":     1444,
		"57=ff00":     1472, // OVMF says 65280 in REQUEST
		"57=ff00 82=": 1472,
		"82=0102aabb": 554, // the relay takes its option out again
		"57=05":       548,
	} {
		if got := replyLimit(mustParse(t, mustBuild(t, Discover, words)), 1500); got != want {
			t.Errorf("%q: %d, want %d", words, got, want)
		}
	}
	if got := replyLimit(mustParse(t, mustBuild(t, Discover, "57=ff00")), 1000); got != 972 {
		t.Errorf("MTU 1000: %d", got)
	}
}

// When room is short, what is written first stays, and option 82 is kept.
func TestReplyShortOfRoom(t *testing.T) {
	t.Parallel()
	relay := strings.Repeat("ab", 250)
	p := mustParse(t, mustBuild(t, Discover, "mac=52:54:00:00:00:01 giaddr=10.0.0.1 82=01fa"+relay+" 61="+strings.Repeat("cd", 100)))
	limit := replyLimit(p, 0)
	w := newReplyWriter(nil, p, limit)
	w.byteOption(OptMessageType, uint8(Offer))
	w.echo(p, OptClientID)
	w.textOption(OptDomainName, strings.Repeat("x", 190), false)
	w.textOption(OptHostName, strings.Repeat("y", 200), false) // does not fit
	w.addrOption(OptRouter, netip.MustParseAddr("10.0.0.1"))   // does
	out := w.finish(p)
	got := mustParse(t, out)
	if len(out) > limit {
		t.Errorf("%d octets, limit %d", len(out), limit)
	}
	for code, want := range map[uint8]bool{53: true, 61: true, 15: true, 12: false, 3: true, 82: true} {
		if _, ok := got.Option(code); ok != want {
			t.Errorf("option %d: %v, want %v", code, ok, want)
		}
	}
	sent, _ := p.Option(OptRelayAgent)
	if back, _ := got.Option(OptRelayAgent); !bytes.Equal(sent, back) || got.fragments[got.count-1].code != 82 {
		t.Error("option 82 is not last and as received")
	}
}

// A long option is split and comes back whole (RFC 3396).
func TestReplyLongOption(t *testing.T) {
	t.Parallel()
	url := "http://" + strings.Repeat("a", 300)
	p := mustParse(t, mustBuild(t, Discover, "57=05c0"))
	w := newReplyWriter(nil, p, replyLimit(p, 1500))
	w.textOption(OptBootFileName, url, true)
	got, _ := mustParse(t, w.finish(p)).Option(OptBootFileName)
	if string(got) != url+"\x00" {
		t.Errorf("%q", got)
	}
}

func TestSanitize(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain":                 `"plain"`,
		"\x1b[31mred\n":         `"\x1b[31mred\n"`,
		"\xff\x00":              `"\xff\x00"`,
		strings.Repeat("a", 70): `"` + strings.Repeat("a", 64) + `"+6`,
	} {
		if got := sanitize([]byte(in)); got != want {
			t.Errorf("%q: %s", in, got)
		}
	}
}

func TestAppendDatagram(t *testing.T) {
	t.Parallel()
	from, to := netip.MustParseAddrPort("10.50.0.1:67"), netip.MustParseAddrPort("10.50.0.11:68")
	for _, payload := range [][]byte{{}, []byte("odd"), bytes.Repeat([]byte{0xff}, 1472)} {
		d := appendDatagram([]byte("before"), from, to, payload)[6:]
		if len(d) != 28+len(payload) || !bytes.Equal(d[28:], payload) {
			t.Fatalf("%d octets of payload: %x", len(payload), d)
		}
		if fold(sum16(0, d[:20])) != 0xffff {
			t.Errorf("%d octets: IP checksum", len(payload))
		}
		if fold(sum16(17+uint32(8+len(payload)), append(d[12:20:20], d[20:]...))) != 0xffff {
			t.Errorf("%d octets: UDP checksum", len(payload))
		}
	}
}

func BenchmarkParse(b *testing.B) {
	data := shared.ReadFile(b, "vectors/pxe/req-00-discover-arch0-iPXE-p67.bin")
	var p Packet
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Parse(data); err != nil {
			b.Fatal(err)
		}
	}
}
