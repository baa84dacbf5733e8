package control_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hyzer/bench/shared"
	"hyzer/netsvc/control"
	"hyzer/netsvc/control/controltest"
)

// send does a request as any HTTP client would, over the site's socket.
func send(t *testing.T, s *controltest.Site, method, path, body string, header ...string) (int, string) {
	t.Helper()
	network := "tcp"
	if strings.HasPrefix(s.Address, "/") {
		network = "unix"
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.Address)
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://localhost"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if req.Header.Set(header[i], header[i+1]); header[i] == "Host" {
			req.Host = header[i+1]
		}
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// request is one exchange of a sequence; want is text in the answer.
type request struct {
	do, body string
	status   int
	want     string
}

func run(t *testing.T, s *controltest.Site, requests []request) {
	t.Helper()
	for _, r := range requests {
		method, path, _ := strings.Cut(r.do, " ")
		status, text := send(t, s, method, path, r.body)
		if status != r.status || !strings.Contains(text, r.want) {
			t.Errorf("%s %.80s\n got %d %.400s\nwant %d ...%s...", r.do, r.body, status, text, r.status, r.want)
		}
	}
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	for _, network := range []struct{ name, address string }{{"unix", ""}, {"tcp", "127.0.0.1:0"}, {"tcp", "[::1]:0"}} {
		t.Run(network.name+network.address, func(t *testing.T) {
			t.Parallel()
			if network.name == "unix" {
				network.address = filepath.Join(t.TempDir(), "s")
			}
			s := controltest.NewOn(t, network.name, network.address)
			run(t, s, routeRequests())
		})
	}
}

func routeRequests() []request {
	node := `{"node":{"id":"pc9","type":"pc3000","interfaces":[{"name":"eth0","role":"ctrl","mac":"02:00:00:00:00:09","ip":"10.0.0.19"}]}`
	return []request{
		{"GET /v1/status", "", 200, `"version":"test"`},
		{"POST /v1/status", "", 405, "Method Not Allowed"},
		{"GET /v2/status", "", 404, "not found"},

		{"GET /v1/nodes", "", 200, `"id":"bare1"`},
		{"GET /v1/nodes/pc1", "", 200, `"experiment":"testbed/exp"`},
		{"GET /v1/nodes/pc9", "", 404, `{"error":"there is no node \"pc9\""}`},
		{"POST /v1/nodes", node + `,"reservation":{"experiment":"testbed/exp","vname":"gamma"}}`, 200, `"vname":"gamma"`},
		{"GET /v1/nodes/pc9", "", 200, `"node":"pc9"`},
		{"POST /v1/nodes", node + `}`, 409, "pc9 exists"},
		{"POST /v1/nodes", strings.ReplaceAll(node, "pc9", "pc10") + `}`, 409, "belongs to node pc9"},
		{"POST /v1/nodes", `{"node":{"id":"../x","type":"pc3000"}}`, 409, "is not allowed"},
		{"POST /v1/nodes", `{"node":{"id":"pc11","type":"none"}}`, 409, `does not exist`},
		{"POST /v1/nodes", `{"node":{"id":"pc11","type":"pc3000"},"reservation":{"experiment":"testbed/none"}}`, 409, "does not exist"},
		{"GET /v1/nodes/pc11", "", 404, ""},
		{"DELETE /v1/nodes/pc9", "", 409, "is reserved"},
		{"DELETE /v1/nodes/pc3", "", 200, "{}"},
		{"DELETE /v1/nodes/pc3", "", 404, "pc3"},

		{"GET /v1/nodes/pc1/log", "", 200, "[]"},
		{"GET /v1/nodes/pc8/log", "", 404, "pc8"},
		{"GET /v1/nodes/pc1/log?after=x", "", 400, "want a number"},
		{"GET /v1/nodes/pc1/boots", "", 200, "[]"},
		{"GET /v1/nodes/pc8/boots", "", 404, "pc8"},
		{"GET /v1/nodes/pc1/boot", "", 404, "pc1"},
		{"GET /v1/nodes/pc1/boot?id=7", "", 404, "pc1"},
		{"GET /v1/nodes/pc1/boot?id=zz", "", 400, "want a number"},

		{"GET /v1/changes?after=x", "", 400, "want a number"},
		{"GET /v1/changes?after=99999", "", 400, "future"},

		{"POST /v1/import", "nodes:\n  - id: pc1\n    typo: x\n", 400, "line 2"},
		{"POST /v1/import", "nodes:\n  - id: pc20\n    type: none\n", 409, "does not exist"},
		{"POST /v1/import", "projects:\n  - id: other\n", 200, `"nodes":4`},
		{"GET /v1/export", "", 200, "id: other"},
		{"GET /v1/export?format=json", "", 200, `{"id":"other"}`},
		{"GET /v1/export?format=xml", "", 400, "want yaml or json"},

		{"GET /v1/images", "", 200, `"name":"DEBIAN-STD"`},
		{"POST /v1/images", `{"image":"emulab-ops/NEW","file":"/etc/passwd","boot_os":"emulab-ops/DEBIAN","part":1}`, 400, "put it below"},
		{"POST /v1/grants", `{"nodes":["pc1"]}`, 400, "want an image"},
		{"POST /v1/grants", `{"image":"emulab-ops/NEW:1","nodes":["pc1"]}`, 400, "name none"},
		{"POST /v1/grants", `{"image":"emulab-ops/NEW","nodes":["pc1"]}`, 400, "system that it boots"},
		{"POST /v1/grants", `{"image":"emulab-ops/NEW","nodes":["pc1"],"boot_os":"emulab-ops/NONE","part":1}`, 404, "NONE"},
		{"POST /v1/grants", `{"image":"emulab-ops/NEW","nodes":["pc1"],"boot_os":"emulab-ops/DEBIAN","part":1,"secs":-1}`, 400, "seconds"},
		{"POST /v1/grants", `{"image":"emulab-ops/NEW","nodes":["pc1"],"boot_os":"emulab-ops/DEBIAN","part":1,"bytes":-1}`, 400, "bytes"},
		{"DELETE /v1/grants/pc1", "", 404, "pc1"},
		{"POST /v1/grants", `{"image":"emulab-ops/NEW","nodes":["pc1"],"boot_os":"emulab-ops/DEBIAN","part":1,"by":"ann"}`, 200, `"by":"ann"`},
		{"GET /v1/grants", "", 200, `"node":"pc1"`},
		{"DELETE /v1/grants/pc1", "", 200, ""},
		{"GET /v1/grants", "", 200, "[]"},
		{"POST /v1/images", `{"image":"nowhere/NEW","file":"/etc/passwd","boot_os":"emulab-ops/DEBIAN","part":1}`, 404, "nowhere"},
		{"POST /v1/images", `{"image":"emulab-ops/NEW","file":"/etc/passwd","boot_os":"emulab-ops/NONE","part":1}`, 404, "NONE"},
		{"POST /v1/images", `{"image":"emulab-ops/NEW:3","file":"x","boot_os":"emulab-ops/DEBIAN","part":1}`, 400, "name none"},
		{"POST /v1/images", `{"image":"emulab-ops/NEW","file":"x","boot_os":"emulab-ops/DEBIAN"}`, 400, "which partition boots"},
		{"POST /v1/images", `{"file":"x","part":1}`, 400, "want an image"},

		{"GET /v1/loads", "", 200, "[]"},
		{"GET /v1/loads/none", "", 404, "none"},
		{"GET /v1/loads/none/follow", "", 404, "none"},
		{"DELETE /v1/loads/none", "", 404, "none"},
		{"POST /v1/loads", `{"nodes":[],"images":["emulab-ops/DEBIAN-STD"]}`, 400, "0 nodes"},
		{"POST /v1/loads", `{"nodes":["pc1"],"images":[]}`, 400, "no images"},
		{"POST /v1/loads", `{"nodes":["pc8"],"images":["emulab-ops/DEBIAN-STD"]}`, 404, "pc8"},
		{"POST /v1/loads", `{"nodes":["pc1"],"images":["emulab-ops/NONE"]}`, 404, "NONE"},
		{"POST /v1/loads", `{"nodes":["pc1"],"images":["emulab-ops/EMPTY"]}`, 409, "empty"},
		{"POST /v1/loads", `{"nodes":["bare1"],"images":["emulab-ops/DEBIAN-STD"]}`, 409, "loader_os"},
		{"POST /v1/loads", `{"nodes":["pc1"],"images":["emulab-ops/DEBIAN-STD"],"zero_free":3}`, 400, "zero_free"},

		{"POST /v1/commands", `{"nodes":["pc1"],"kind":"DANCE"}`, 400, "DANCE"},
		{"POST /v1/commands", `{"nodes":["pc1"],"kind":"REBOOT","force":9}`, 400, "force 9"},
		{"POST /v1/commands", `{"nodes":["pc8"],"kind":"REBOOT"}`, 404, "pc8"},
		{"POST /v1/commands", `{"nodes":[],"kind":"REBOOT"}`, 400, "0 nodes"},
		{"POST /v1/commands", `{"nodes":["pc1","pc1"],"kind":"REBOOT"}`, 200, `[{"node":"pc1","error":"stated: command refused`},

		{"POST /v1/orders", `{"nodes":["pc1"],"order":"dance"}`, 400, "dance"},
		{"POST /v1/orders", `{"nodes":["pc8"],"order":"wakeup"}`, 404, "pc8"},
		{"POST /v1/orders", `{"nodes":["pc1"]}`, 400, "want one of [wakeup reboot restart answer]"},
		{"POST /v1/orders", `{"nodes":["pc1"],"order":"wakeup"}`, 200, `[{"node":"pc1","error":"node pc1 does not wait for orders`},
		{"POST /v1/orders", `{"nodes":["pc1"],"order":"wakeup","force":true}`, 200, `[{"node":"pc1"}]`},

		{"POST /v1/select", `{"nodes":["pc2"],"slot":"def","os":"emulab-ops/FREEBSD","cmdline":"-s"}`, 200, "{}"},
		{"POST /v1/select", `{"nodes":["pc2"],"slot":"temp","os":"emulab-ops/FREEBSD","cmdline":"-s"}`, 400, "no command line"},
		{"POST /v1/select", `{"nodes":["pc2"],"slot":"once","os":"emulab-ops/FREEBSD"}`, 400, "want def, temp or next"},
		{"POST /v1/select", `{"nodes":["pc2"],"slot":"def"}`, 400, "no system"},
		{"POST /v1/select", `{"nodes":["pc2"],"clear":true,"os":"emulab-ops/FREEBSD"}`, 400, "clear goes"},
		{"POST /v1/select", `{"nodes":["pc2"],"os":"emulab-ops/FREEBSD:7"}`, 404, "FREEBSD:7"},
		{"POST /v1/select", `{"nodes":["pc8"],"os":"emulab-ops/FREEBSD"}`, 404, "pc8"},
		{"POST /v1/select", `{"nodes":[],"os":"emulab-ops/FREEBSD"}`, 400, "0 nodes"},
		{"GET /v1/nodes/pc2", "", 200, `"def":"emulab-ops/FREEBSD","def_cmdline":"-s"`},
		{"POST /v1/select", `{"nodes":["pc2"],"clear":true}`, 200, "{}"},

		{"POST /v1/wait", `{"nodes":["pc8"],"pattern":"ISUP"}`, 404, "pc8"},
		{"POST /v1/wait", `{"nodes":[],"pattern":"ISUP"}`, 400, "0 nodes"},
		{"POST /v1/wait", `{"nodes":["pc1"],"pattern":""}`, 400, "0 steps"},
		{"POST /v1/wait", `{"nodes":["pc1"],"pattern":"ISUP","timeout_secs":-1}`, 400, "timeout_secs"},
		{"POST /v1/wait", `{"nodes":["pc1"],"pattern":"ISUP","timeout_secs":1e300}`, 400, "timeout_secs"},
		{"POST /v1/wait", `{"nodes":["pc1"],"pattern":"ISUP","after":99999}`, 400, "future"},

		{"GET /v1/explain?subject=pc1", "", 200, `mac 02:00:00:00:00:01 ip 10.0.0.11`},
		{"GET /v1/explain?subject=10.0.0.12", "", 200, `"node":"pc2"`},
		{"GET /v1/explain?subject=020000000101", "", 200, `"node":"pc1"`},
		{"GET /v1/explain?subject=10.9.9.9", "", 200, `"subject":"10.9.9.9"`},
		{"GET /v1/explain?subject=pc8", "", 404, "pc8"},
		{"GET /v1/explain", "", 400, "want a MAC"},

		{"POST /v1/backup", `{"dir":"relative"}`, 400, "absolute"},
		{"POST /v1/backup", `{"dir":"/copy"}`, 200, "{}"},
		{"POST /v1/backup", `{"dir":"/copy"}`, 409, "exist"},

		{"POST /v1/select", `{"nodes":`, 400, "unexpected EOF"},
		{"POST /v1/select", ``, 400, "EOF"},
		{"POST /v1/select", `{"nodez":[]}`, 400, "unknown field"},
		{"POST /v1/select", `{} {}`, 400, "more than one"},
		{"POST /v1/select", strings.Repeat("[", 20_000), 400, "depth"},
		{"POST /v1/select", `{"slot":"` + strings.Repeat("x", 5<<20) + `"}`, 413, "too large"},
	}
}

func TestBootLogs(t *testing.T) {
	t.Parallel()
	s := controltest.New(t)
	s.StoreBootLog(t, "pc1", "first boot\n")
	s.StoreBootLog(t, "pc1", "second boot\n")
	run(t, s, []request{
		{"GET /v1/nodes/pc1/boot", "", 200, "second boot\n"},
		{"GET /v1/nodes/pc1/boot?id=1", "", 200, "first boot\n"},
		{"GET /v1/nodes/pc1/boot?id=9", "", 404, "boot 9"},
		{"GET /v1/nodes/pc1/boots", "", 200, `[{"id":"2","began"`},
		{"POST /v1/nodes/pc1/boot", "", 200, "{}"},
		{"POST /v1/nodes/pc2/boot", "", 409, "does not watch"},
		{"POST /v1/nodes/pc99/boot", "", 404, "pc99"},
	})
}

// TestAddImage registers a real image, twice.
func TestAddImage(t *testing.T) {
	t.Parallel()
	s := controltest.New(t)
	packed, err := os.Open(shared.Path(t, "vectors/ndz/ext2-1k.ndz.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	plain, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(plain)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(s.ImageDir, "new.ndz")
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(s.ImageDir, "broken.ndz")
	if err := os.WriteFile(broken, bytes.Repeat([]byte{0xa5}, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	add := `{"image":"emulab-ops/NEW","file":"FILE","boot_os":"emulab-ops/DEBIAN","part":1}`
	run(t, s, []request{
		{"POST /v1/images", strings.Replace(add, "FILE", file, 1), 200, `"version":0`},
		{"POST /v1/images", strings.Replace(add, "FILE", file, 1), 200, `"version":1`},
		{"POST /v1/images", strings.Replace(add, "FILE", broken, 1), 400, "broken.ndz"},
		{"POST /v1/images", strings.Replace(add, "FILE", s.ImageDir+"/../x", 1), 400, "put it below"},
		{"GET /v1/images", "", 200, file},
	})
}

// TestWebPagesKeptOut: a browser near the appliance is not an operator.
func TestWebPagesKeptOut(t *testing.T) {
	t.Parallel()
	s := controltest.NewOn(t, "tcp", "127.0.0.1:0")
	for _, c := range []struct {
		name   string
		method string
		status int
		header []string
	}{
		{"program", "DELETE", 200, nil},
		{"other origin", "DELETE", 403, []string{"Origin", "http://evil.example"}},
		{"other site", "DELETE", 403, []string{"Sec-Fetch-Site", "cross-site"}},
		{"name that resolves here", "GET", 403, []string{"Host", "evil.example"}},
	} {
		path := "/v1/nodes/pc3"
		if c.method == "GET" {
			path = "/v1/status"
		}
		if status, text := send(t, s, c.method, path, "", c.header...); status != c.status {
			t.Errorf("%s: status %d %s, want %d", c.name, status, text, c.status)
		}
	}
}

func TestClientErrors(t *testing.T) {
	t.Parallel()
	c := control.Dial("unix:" + filepath.Join(t.TempDir(), "none"))
	err := c.Call(t.Context(), "GET", "/v1/status", nil, nil)
	if err == nil || !strings.Contains(err.Error(), "is hyzerd running") {
		t.Errorf("no appliance: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Call(ctx, "GET", "/v1/status", nil, nil); err != context.Canceled {
		t.Errorf("cancelled: %v", err)
	}
}
