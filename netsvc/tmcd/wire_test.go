package tmcd

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"hyzer/storage/registry"
)

// TestParseHead reads the grammar of the specs, page tmcd, section 2.
func TestParseHead(t *testing.T) {
	t.Parallel()
	type want struct {
		word, args string
		head       Head
		err        error
	}
	v44 := Head{Version: 44}
	for _, tc := range []struct {
		name, data string
		open       bool // more may come
		want       want
	}{
		{"usual", "VERSION=44 status ", false, want{"status", "", v44, nil}},
		{"no version", "status", false, want{"status", "", Head{Version: 2}, nil}},
		{"arguments are verbatim", "VERSION=44 state A  B \n", false, want{"state", "A  B \n", v44, nil}},
		{"newline ends the word", "VERSION=44 status\nx", false, want{"status", "x", v44, nil}},
		{"NUL ends the request", "VERSION=44 status\x00junk", false, want{"status", "", v44, nil}},
		{"empty words", " VERSION=44  status ", false, want{"status", "", v44, nil}},
		{"word not whole", "VERSION=44 stat", true, want{err: ErrIncomplete}},
		{"word whole at the end", "VERSION=44 stat", false, want{"stat", "", v44, nil}},
		{"tag not whole", "VERSION=4", true, want{err: ErrIncomplete}},
		{"nothing yet", "", true, want{err: ErrIncomplete}},
		{"nothing", "", false, want{err: ErrMalformed}},
		{"tags only", "VERSION=44 ", false, want{err: ErrMalformed}},
		{"one tag only", "VERSION=44", false, want{err: ErrMalformed}},
		{"vnode", "VNODEID=pcvm6-1 VERSION=44 nodeid ", false, want{"nodeid", "", Head{Version: 44, VNode: "pcvm6-1"}, nil}},
		{"proxy", "PROXYFOR=v VERSION=44 nodeid ", false, want{"nodeid", "", Head{Version: 44, VNode: "v", ProxyFor: true}, nil}},
		{"name is cut", "VNODEID=" + strings.Repeat("a", 40) + " x ", false, want{"x", "", Head{Version: 2, VNode: strings.Repeat("a", 30)}, nil}},
		{"bad name", "VNODEID=a;b status ", false, want{err: ErrMalformed}},
		{"no name", "VNODEID= status ", false, want{err: ErrMalformed}},
		{"key", "PRIVKEY=0123456789abcdef status ", false, want{"status", "", Head{Version: 2, PrivKey: "0123456789abcdef"}, nil}},
		{"key is cut", "PRIVKEY=" + strings.Repeat("a", 129) + " status ", false, want{"status", "", Head{Version: 2, PrivKey: strings.Repeat("a", 128)}, nil}},
		{"short key", "PRIVKEY=0123456789abcde status ", false, want{err: ErrMalformed}},
		{"key not hex", "PRIVKEY=0123456789abcdeg status ", false, want{err: ErrMalformed}},
		{"id key after version", "VERSION=44 IDKEY=abc123 status ", false, want{"status", "", Head{Version: 44, IDKey: "abc123"}, nil}},
		{"redirect", "REDIRECT=127.0.1.2 nodeid ", false, want{"nodeid", "", Head{Version: 2, Redirect: netip.MustParseAddr("127.0.1.2")}, nil}},
		{"redirect to a name", "REDIRECT=host nodeid ", false, want{err: ErrMalformed}},
		{"redirect to IPv6", "REDIRECT=::1 nodeid ", false, want{err: ErrMalformed}},
		{"version is no number", "VERSION=x status ", false, want{err: ErrMalformed}},
		{"version overflows", "VERSION=99999999999 status ", false, want{err: ErrMalformed}},
		{"tags are upper case", "version=44 status ", false, want{"version=44", "status ", Head{Version: 2}, nil}},
		{"tag after the command", "status VERSION=44 ", false, want{"status", "VERSION=44 ", Head{Version: 2}, nil}},
		{"for a proxy", "USEUDP=1 VERSION=44 status ", false, want{"status", "", v44, nil}},
		{"endless", strings.Repeat("x", headBytesMax), true, want{err: ErrMalformed}},
		{"endless tags", strings.Repeat("VERSION=44 ", headBytesMax/10), true, want{err: ErrMalformed}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			head, rest, err := ParseHead([]byte(tc.data), !tc.open)
			if !errors.Is(err, tc.want.err) {
				t.Fatalf("error %v, want %v", err, tc.want.err)
			}
			if err != nil {
				return
			}
			word, args := string(head.Word), tc.data[rest:]
			head.Word = nil
			if word != tc.want.word || args != tc.want.args || !sameHead(head, tc.want.head) {
				t.Errorf("word %q args %q head %+v", word, args, head)
			}
		})
	}
}

func sameHead(a, b Head) bool {
	return a.Version == b.Version && a.PrivKey == b.PrivKey && a.VNode == b.VNode && a.ProxyFor == b.ProxyFor &&
		a.IDKey == b.IDKey && a.Redirect == b.Redirect
}

// TestClassify decides by the first bytes, and waits for enough of them.
func TestClassify(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		first string
		final bool
		want  Greeting
	}{
		{"", false, GreetingMore},
		{"", true, GreetingUnknown},
		{"V", false, GreetingText},
		{"IDKEY=x status ", false, GreetingText},
		{"I", false, GreetingMore},
		{"ISPEAK", false, GreetingMore},
		{"ISPEAK", true, GreetingText}, // C took it for TLS
		{"ISPEAKSSL_TMCDV10\x16", false, GreetingLegacyTLS},
		{"\xf5", false, GreetingMore},
		{"\xf5TM2", false, GreetingFramed},
		{"\xf5TM3", false, GreetingUnknown},
		{"\x16\x03", false, GreetingTLS},
		{"\x16", false, GreetingMore},
		{"\x00", false, GreetingUnknown},
		{"\n", false, GreetingUnknown},
	} {
		if got := Classify([]byte(tc.first), tc.final); got != tc.want {
			t.Errorf("Classify(%q, %v) = %v, want %v", tc.first, tc.final, got, tc.want)
		}
	}
}

// identitySite has one node for each way to be known.
func identitySite() *registry.Snapshot {
	ctrl := func(ip string) []registry.Interface {
		return []registry.Interface{{Name: "eth0", Role: registry.InterfaceControl, IP: netip.MustParseAddr(ip)}}
	}
	return registry.NewSnapshot(&registry.SiteFile{
		Site: &registry.Site{BossIP: netip.MustParseAddr("10.0.0.254")},
		Types: []registry.NodeType{{Name: "t", Class: "pc"}, {Name: "far", Class: "pc", Remote: true}, {Name: "vm", Class: "pcvm", Virtual: true},
			{Name: "mute", Class: "switch", Attributes: map[string]string{"notmcdinfo": "1"}}},
		Nodes: []registry.Node{
			{ID: "host", Type: "t", Interfaces: ctrl("10.0.0.1"), WideAreaKey: "00112233445566778899aabbccddeeff"},
			{ID: "other", Type: "t", Interfaces: ctrl("10.0.0.2")},
			{ID: "vm1", Type: "vm", Host: "host", JailIP: netip.MustParseAddr("172.16.0.1")},
			{ID: "remote", Type: "far", Interfaces: ctrl("10.0.0.3")},
			{ID: "switch", Type: "mute", Interfaces: ctrl("10.0.0.4")},
			{ID: "boss", Type: "t", Role: registry.RoleCtrlNode, Interfaces: ctrl("10.0.0.5")},
			{ID: "outer", Type: "t", Interfaces: []registry.Interface{{Name: "eth0", Role: registry.InterfaceOuterControl, IP: netip.MustParseAddr("10.0.0.6")}}},
		},
		Experiments:  []registry.Experiment{{Project: "p", ID: "e"}},
		Reservations: []registry.Reservation{{Node: "vm1", Experiment: "p/e", ExternalID: "abc123"}, {Node: "remote", Experiment: "p/e"}},
	})
}

// TestWhoMayAskWhat runs the checks of sections 2.1 and 2.2.
func TestWhoMayAskWhat(t *testing.T) {
	t.Parallel()
	snap, handler := identitySite(), NewHandler()
	const key = "PRIVKEY=00112233445566778899aabbccddeeff "
	for _, tc := range []struct {
		from, request string
		via           Transport
		node, refused string
	}{
		{"10.0.0.1", "nodeid ", TCP, "host", ""},
		{"10.0.0.9", "nodeid ", TCP, "", RefusedUnknown},
		{"10.0.0.6", "nodeid ", TCP, "", RefusedUnknown},
		{"10.0.0.9", key + "nodeid ", TCP, "host", ""},
		{"10.0.0.9", "PRIVKEY=ffffffffffffffff nodeid ", TCP, "", RefusedUnknown},
		{"10.0.0.1", "VNODEID=vm1 nodeid ", TCP, "vm1", ""},
		{"10.0.0.2", "VNODEID=vm1 nodeid ", TCP, "", RefusedUnknown},
		{"172.16.0.1", "VNODEID=vm1 nodeid ", TCP, "vm1", ""},
		{"10.0.0.9", key + "VNODEID=vm1 nodeid ", TCP, "vm1", ""},
		{"10.0.0.9", "VNODEID=vm1 IDKEY=abc123 nodeid ", TCP, "vm1", ""},
		{"10.0.0.9", "VNODEID=vm1 IDKEY=abc124 nodeid ", TCP, "", RefusedUnknown},
		{"10.0.0.1", "VNODEID=other nodeid ", TCP, "", RefusedUnknown},
		{"10.0.0.9", "IDKEY=abc123 nodeid ", TCP, "vm1", ""},
		{"10.0.0.4", "nodeid ", TCP, "", RefusedUnknown},
		{"10.0.0.5", "nodeid ", TCP, "boss", RefusedControl},
		{"10.0.0.5", "nodeid ", TLS, "boss", ""},
		{"10.0.0.3", "nodeid ", TCP, "remote", ""},
		{"10.0.0.3", "accounts ", TCP, "remote", RefusedRemote},
		{"10.0.0.3", "accounts ", TLS, "remote", ""},
		{"10.0.0.3", "nodeid ", UDP, "remote", RefusedRemoteUDP},
		{"10.0.0.3", "isalive ", UDP, "remote", ""},
		{"10.0.0.1", "creator ", TCP, "host", RefusedFree},
		{"10.0.0.1", "imagekey ", TCP, "host", RefusedTPM},
		{"10.0.0.1", "nosuch ", TCP, "host", RefusedCommand},
		{"10.0.0.1", "NODEID ", TCP, "host", RefusedCommand},
		{"10.0.0.1", "geni_nosuch ", TCP, "host", ""},
		{"127.0.0.1", "REDIRECT=10.0.0.1 nodeid ", TCP, "host", ""},
		{"10.0.0.254", "REDIRECT=10.0.0.1 nodeid ", TCP, "host", ""},
		{"127.0.0.2", "REDIRECT=10.0.0.1 nodeid ", TCP, "", RefusedRedirect},
	} {
		head, _, err := ParseHead([]byte(tc.request), true)
		if err != nil {
			t.Fatalf("%q: %v", tc.request, err)
		}
		adm := handler.Admit(snap, Request{Head: head, From: netip.MustParseAddr(tc.from), Transport: tc.via})
		if adm.Node != tc.node || adm.Refused != tc.refused {
			t.Errorf("%s %s %q: node %q, refused %q, want %q, %q", tc.from, tc.via, tc.request, adm.Node, adm.Refused, tc.node, tc.refused)
		}
	}
}

// TestCommandTable: a name that another one begins with must come after it.
func TestCommandTable(t *testing.T) {
	t.Parallel()
	table := newCommands()
	for i := range table {
		if found := table.find([]byte(table[i].name)); found != &table[i] {
			t.Errorf("%s is shadowed by %s", table[i].name, found.name)
		}
	}
	if len(table) != 96 { // with the 20 geni_ ones, the C table's 116
		t.Errorf("%d commands", len(table))
	}
}
