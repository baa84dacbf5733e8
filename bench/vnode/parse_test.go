package vnode

import (
	"fmt"
	"net/netip"
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
