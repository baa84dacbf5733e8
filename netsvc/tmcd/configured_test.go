package tmcd

import (
	"bytes"
	goflag "flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"hyzer/storage/registry"
	"hyzer/storage/registry/emulab"
)

var rewrite = goflag.Bool("rewrite", false, "write the replies to testdata/configured.txt")

// configuredSite is the site of testdata/configured.sql.
func configuredSite(tb testing.TB) *registry.SiteFile {
	tb.Helper()
	dump, err := os.Open("testdata/configured.sql")
	if err != nil {
		tb.Fatal(err)
	}
	defer dump.Close()
	maps := tb.TempDir()
	for name, text := range map[string]string{"topomap": "what is in topomap.gz", "ltmap": "what is in ltmap.gz", "ltpmap": "what is in ltpmap.gz"} {
		dir := filepath.Join(maps, "p", "e")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".gz"), []byte(text), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	file, report, err := emulab.Import(emulab.Options{Taken: time.Unix(1, 0).UTC(), Site: registry.Site{
		Domain: "example.org", BossName: "boss", BossIP: netip.MustParseAddr("127.0.0.1"),
		Dirs: registry.SiteDirs{ExptWork: maps}, WebBase: "https://www.example.org", RootKeys: []string{"ssh-rsa OUTER"},
		HWCollect: registry.HWCollect{OutDir: "/proj/hw", IntervalHours: 24, Commands: []registry.HWCommand{{OS: "Linux", Name: "lspci", Line: "lspci -v"}}},
	}}, dump)
	if err != nil {
		tb.Fatal(err)
	}
	for _, note := range report.Notes {
		tb.Error(note)
	}
	return file
}

// configuredReply answers "address[/tls] request".
func configuredReply(tb testing.TB, h *Handler, snap *registry.Snapshot, line string) (string, []Effect) {
	tb.Helper()
	where, request, _ := strings.Cut(line, " ")
	request = strings.ReplaceAll(request, `\n`, "\n")
	from, tls := strings.CutSuffix(where, "/tls")
	head, rest, err := ParseHead([]byte(request), true)
	if err != nil {
		tb.Fatalf("%s: %v", line, err)
	}
	req := Request{Head: head, From: netip.MustParseAddr(from)}
	if tls {
		req.Transport = TLS
	}
	result := h.Handle(snap, req, []byte(request)[rest:])
	return string(result.Reply), result.Effects
}

func fixedHandler() *Handler {
	h := NewHandler()
	h.Random = func(b []byte) {
		for i := range b {
			b[i] = byte(i)
		}
	}
	h.Now = func() time.Time { return time.Unix(1_700_000_000, 0) }
	return h
}

// TestConfigured asks a site that uses what the golden one does not. The rows
// come from a database dump, go through a store, and through a site file and
// back: each must give the same replies.
func TestConfigured(t *testing.T) {
	t.Parallel()
	site := configuredSite(t)
	var yaml bytes.Buffer
	if err := site.WriteYAML(&yaml); err != nil {
		t.Fatal(err)
	}
	again, err := registry.ParseSiteFile(&yaml)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(site, again) {
		t.Error("the site is another after it was written and read")
	}
	want, err := os.ReadFile("testdata/configured.txt")
	if err != nil {
		t.Fatal(err)
	}
	got := configuredReplies(t, registry.NewSnapshot(site), string(want))
	if *rewrite {
		if err := os.WriteFile("testdata/configured.txt", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != string(want) {
		t.Errorf("replies differ from testdata/configured.txt; -rewrite writes them:\n%s", got)
	}
	if second := configuredReplies(t, registry.NewSnapshot(again), string(want)); second != got {
		t.Errorf("replies differ after a round through a site file:\n%s", second)
	}
}

// configuredReplies answers the lines that begin with "> ".
func configuredReplies(t *testing.T, snap *registry.Snapshot, text string) string {
	t.Helper()
	h := fixedHandler()
	var out strings.Builder
	for line := range strings.Lines(text) {
		switch request, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "> "); {
		case ok:
			reply, effects := configuredReply(t, h, snap, request)
			out.WriteString(line)
			out.WriteString(reply)
			if reply != "" && !strings.HasSuffix(reply, "\n") {
				out.WriteString("<no line end>\n")
			}
			for _, e := range effects {
				out.WriteString("! " + effectText(e) + "\n")
			}
		case strings.HasPrefix(line, "#"):
			out.WriteString(line)
		}
	}
	return out.String()
}

func effectText(e Effect) string {
	kind := reflect.TypeOf(e)
	text := kind.Name()
	for i := range kind.NumField() {
		if v := reflect.ValueOf(e).Field(i); !v.IsZero() {
			text += fmt.Sprintf(" %s=%v", kind.Field(i).Name, v.Interface())
		}
	}
	return text
}

// TestMD5Crypt compares with crypt(3)'s hashes.
func TestMD5Crypt(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ password, salt, want string }{
		{"abcdef012345", "abcdefgh", "$1$abcdefgh$f6By0S.mvh2u7uOB0ifxs1"},
		{"a", "abcdefgh", "$1$abcdefgh$jUYc1Xi7pkozuzWQ0Dft71"},
		{"12345678901234567890", "abcdefgh", "$1$abcdefgh$Q9Cx2AJv/djPmsNtyXL.l/"},
		{"000102030405", "./zZ09aB", "$1$./zZ09aB$dZsftheenYE9ly8.0w/cQ0"},
	} {
		if got := md5Crypt(tc.password, tc.salt); got != tc.want {
			t.Errorf("%q: %s, want %s", tc.password, got, tc.want)
		}
	}
}
