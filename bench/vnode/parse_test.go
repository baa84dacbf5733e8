package vnode

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

func TestParseFault(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, want, err string }{
		{"", "", ""},
		{"dhcp", "dhcp", ""},
		{"hang@loadinfo", "hang@loadinfo", ""},
		{"tbsetup:2", "tbsetup:2", ""},
		{"slowdisk", "slowdisk=1048576", ""},
		{"slowdisk=5000:1", "slowdisk=5000:1", ""},
		{"lunch", "", `no step "lunch"`},
		{"hang@lunch", "", `no step "lunch"`},
		{"hang@", "", `no step ""`},
		{"dhcp:0", "", "no number of times"},
		{"dhcp:x", "", "no number of times"},
		{"slowdisk=0", "", "want slowdisk=BYTES"},
		{"slowdiskette", "", "want slowdisk=BYTES"},
	} {
		f, err := ParseFault(test.text)
		switch {
		case test.err != "":
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%q: error %v, want %q", test.text, err, test.err)
			}
		case err != nil || f.String() != test.want:
			t.Errorf("%q: %q, %v; want %q", test.text, f, err, test.want)
		}
	}
}

// TestFaultCounts checks that a fault strikes as often as it says.
func TestFaultCounts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		fault string
		at    Step
		want  string // what strikes at each of four visits
	}{
		{"tftp", StepTFTP, "fail fail fail fail"},
		{"tftp:2", StepTFTP, "fail fail - -"},
		{"hang@tftp:1", StepTFTP, "hang - - -"},
		{"tftp", StepDHCP, "- - - -"},
		{"slowdisk", StepUnzip, "- - - -"},
		{"", StepUnzip, "- - - -"},
	} {
		f, err := ParseFault(test.fault)
		if err != nil {
			t.Fatal(err)
		}
		var h faults
		h.set(f)
		var got []string
		for range 4 {
			kind := h.strike(test.at)
			if kind == "" {
				kind = "-"
			}
			got = append(got, kind)
		}
		if s := strings.Join(got, " "); s != test.want {
			t.Errorf("%q at %s: %s, want %s", test.fault, test.at, s, test.want)
		}
	}
}

func TestSlowDiskCounts(t *testing.T) {
	t.Parallel()
	var h faults
	f, err := ParseFault("slowdisk=77:1")
	if err != nil {
		t.Fatal(err)
	}
	h.set(f)
	if a, b := h.slowdown(), h.slowdown(); a != 77 || b != 0 {
		t.Errorf("rates %d and %d, want 77 once", a, b)
	}
}

// specLine is the example of the shared specs, page tmcd, section 4.1.
const specLine = "ADDR= PART=2 PARTOS=Linux SERVER=127.0.0.1 OSVERSION=20.04 DISK=sd0 ZFILL=0 ACPI=unknown MBRVERS=3 ASF=unknown PREPARE=1 NOCLFLUSH=unknown DOM0MEM=1024M IMAGEID=emulab-ops,emulab-ops,UBUNTU20-64-STD IMAGEMTIME=1620284889 IMAGECHUNKS=1025 IMAGELOW=63 IMAGEHIGH=33554432 IMAGESSIZE=512 IMAGERELOC=1 PATH=/usr/testbed/images/UBUNTU20-64-STD.ndz\n"

func TestParseLoadInfo(t *testing.T) {
	t.Parallel()
	first := LoadInfo{
		Part: 2, Server: netip.MustParseAddr("127.0.0.1"), Prepare: true, Chunks: 1025,
		ImageID: "emulab-ops,emulab-ops,UBUNTU20-64-STD", Path: "/usr/testbed/images/UBUNTU20-64-STD.ndz",
	}
	second := LoadInfo{Addr: "239.1.2.3:4567", ZeroFill: 2, Heartbeat: 5}
	for _, test := range []struct {
		name, text string
		want       []LoadInfo
		err        string
	}{
		{"nothing", "", nil, ""},
		{"one", specLine, []LoadInfo{first}, ""},
		{"two", specLine + "ADDR=239.1.2.3:4567 PART=0 ZFILL=2 HEARTBEAT=5\n", []LoadInfo{first, second}, ""},
		{"no line end", "ADDR=239.1.2.3:4567 PART=0 ZFILL=2 HEARTBEAT=5", []LoadInfo{second}, ""},
		{"newer loader", "ADDR=/NEWER-MFS-NEEDED PART=0 PARTOS=Bogus\n", nil, "newer disk loader"},
		{"no part", "ADDR= SERVER=127.0.0.1\n", nil, "no PART="},
		{"no key", "ADDR= PART=0 hello\n", nil, `word "hello"`},
		{"bad number", "PART=-1\n", nil, "PART=-1"},
		{"huge number", "PART=0 IMAGECHUNKS=99999999\n", nil, "IMAGECHUNKS=99999999"},
		{"bad server", "PART=0 SERVER=boss\n", nil, "SERVER=boss"},
		{"too many", strings.Repeat("PART=0\n", loadLinesMax+1), nil, "more than 16"},
	} {
		got, err := ParseLoadInfo(test.text)
		for i := range got {
			got[i].Keys = nil
		}
		if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: error %v, want %q", test.name, err, test.err)
		}
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

func TestParseFullConfig(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, want, err string }{
		{"", "map[]", ""},
		{"*** nodeid\npc1\n*** nodeid\n*** rpms\n*** rpms\n", "map[nodeid:pc1\n rpms:]", ""},
		{"*** a\n*** b\nx\n*** a\n", "map[a:*** b\nx\n]", ""},
		{"pc1\n", "", "outside"},
		{"*** a\nx\n", "", "does not end"},
	} {
		got, err := ParseFullConfig(test.text)
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%q: error %v, want %q", test.text, err, test.err)
			}
		} else if s := fmt.Sprint(got); err != nil || s != test.want {
			t.Errorf("%q: %s, %v; want %s", test.text, s, err, test.want)
		}
	}
}

func TestDiscoveryOff(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		hex  string
		want bool
	}{
		{"\x06\x01\x08\xff", true}, {"\x06\x01\x0b\xff", true}, {"\x06\x01\x03\xff", false},
		{"\x0a\x04\x00PXE\x06\x01\x08\xff", true}, {"\xff\x06\x01\x08", false}, {"", false},
		{"\x06", false}, {"\x0a\xf0\x00", false}, {"\x06\x02\x08\x08\xff", false},
	} {
		if got := discoveryOff([]byte(test.hex)); got != test.want {
			t.Errorf("%x: %v, want %v", test.hex, got, test.want)
		}
	}
}

func TestConfigRefused(t *testing.T) {
	t.Parallel()
	good := Config{
		Name: "pc1", MAC: [6]byte{2}, IP: netip.MustParseAddr("127.1.2.3"), DiskPath: "disk", DiskBytes: diskBytesMin,
		Server: Servers{IP: netip.MustParseAddr("127.0.0.1")},
	}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Config){
		"no name":      func(c *Config) { c.Name = "" },
		"no MAC":       func(c *Config) { c.MAC = [6]byte{} },
		"no IP":        func(c *Config) { c.IP = netip.Addr{} },
		"no server":    func(c *Config) { c.Server.IP = netip.Addr{} },
		"no link":      func(c *Config) { c.IP = netip.MustParseAddr("10.0.0.1") },
		"no disk":      func(c *Config) { c.DiskPath = "" },
		"small disk":   func(c *Config) { c.DiskBytes = 512 },
		"odd disk":     func(c *Config) { c.DiskBytes++ },
		"wrong fault":  func(c *Config) { c.FailAt = "lunch" },
		"IPv6 address": func(c *Config) { c.IP = netip.MustParseAddr("::1") },
	} {
		c := good
		spoil(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: a node was made", name)
		}
	}
}
