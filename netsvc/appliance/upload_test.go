package appliance

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"hyzer/bench/shared"
	"hyzer/imaging/manifest"
	"hyzer/multicast/carrier"
	"hyzer/multicast/master"
	"hyzer/multicast/upload"
	"hyzer/multicast/wire"
	"hyzer/netsvc/control"
	"hyzer/storage/registry"
)

// serviceAddr is where a service of a running appliance listens.
func serviceAddr(t *testing.T, a *Appliance, name string) netip.AddrPort {
	t.Helper()
	for _, s := range a.status().Services {
		if s.Name == name {
			return netip.MustParseAddrPort(s.Addr)
		}
	}
	t.Fatalf("no service %s", name)
	return netip.AddrPort{}
}

// TestUpload: a node writes the image that it was granted, and no other node
// and image; what it wrote is the newest version, and can be fetched.
func TestUpload(t *testing.T) {
	t.Parallel()
	image := shared.ReadFile(t, "vectors/frisbee/a.ndz")
	a, _ := runs(t, loopback(t.TempDir()))
	if err := a.reg.Import(t.Context(), testSite(t)); err != nil {
		t.Fatal(err)
	}
	client := control.Dial(a.cfg.Control)
	defer client.Close()
	in := control.GrantRequest{Image: registry.HeadRef("testbed", "own"), Nodes: []string{"pc1"}}
	if err := client.Call(t.Context(), "POST", "/v1/grants", in, nil); err != nil {
		t.Fatal(err)
	}
	send := func(from, id string, data []byte) error {
		c := upload.Config{Server: serviceAddr(t, a, "frisbee"), From: netip.MustParseAddr(from), ImageID: id, Bytes: int64(len(data))}
		_, err := upload.Send(t.Context(), c, bytes.NewReader(data))
		return err
	}
	for _, c := range []struct {
		from, id string
		want     error
	}{
		{"127.70.0.12", "testbed/own", wire.MasterNoAccess},
		{"127.70.0.99", "testbed/own", wire.MasterNoHost},
		{"127.70.0.11", "other/foreign", wire.MasterNoAccess},
		{"127.70.0.11", "testbed/own:0", wire.MasterNoAccess},
		{"127.70.0.11", "../../etc/passwd", wire.MasterFailed},
		{"127.70.0.11", "testbed,testbed,own", nil},
	} {
		if err := send(c.from, c.id, image); !errors.Is(err, c.want) {
			t.Errorf("%s writes %s: %v, want %v", c.from, c.id, err, c.want)
		}
	}
	img, v := a.reg.Snapshot().ImageVersion(registry.HeadRef("testbed", "own"))
	if v == nil || v.Version != 1 || v.UploadedBy != "pc1" || len(img.Versions) != 2 || v.LoadPart != 1 {
		t.Fatalf("image %+v", img)
	}
	if got, err := os.ReadFile(v.Path); err != nil || !bytes.Equal(got, image) {
		t.Errorf("%s: %d bytes, %v", v.Path, len(got), err)
	}
	if err := client.Call(t.Context(), "DELETE", "/v1/grants/pc1", nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := send("127.70.0.11", "testbed/own", image); !errors.Is(err, wire.MasterNoAccess) {
		t.Errorf("after the grant is gone: %v", err)
	}
}

// TestImagesByHTTP: nodes get by HTTP what the master server would give them,
// in ranges of one version, with its manifest; the master tells where.
func TestImagesByHTTP(t *testing.T) {
	t.Parallel()
	image := shared.ReadFile(t, "vectors/frisbee/a.ndz")
	a, _ := runs(t, loopback(t.TempDir()))
	site := testSite(t)
	path := filepath.Join(a.cfg.imageDir(), "own.ndz")
	site.Images[0].Versions[0].Path = path
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := a.reg.Import(t.Context(), site); err != nil {
		t.Fatal(err)
	}
	q := master.Query{Server: serviceAddr(t, a, "frisbee"), From: netip.MustParseAddr("127.70.0.11")}
	q.Request = wire.GetRequest{Host: netip.IPv4Unspecified(), Methods: wire.AnyMethod, Status: true, HTTP: true, ImageID: "testbed,testbed,own"}
	answer, err := master.Get(t.Context(), q)
	if err != nil || answer.HTTPPort != serviceAddr(t, a, "http").Port() {
		t.Fatalf("%+v, %v", answer, err)
	}
	for range 2 { // the second finds the manifest beside the image
		f := answer.Carrier(q)
		size, m, err := f.Describe(t.Context())
		if err != nil || size != int64(len(image)) || m == nil {
			t.Fatalf("%d bytes, manifest %v, %v", size, m, err)
		}
		got := make([]byte, size)
		if err := f.FetchChunk(t.Context(), 0, got); err != nil || !bytes.Equal(got, image) {
			t.Error(err)
		}
		f.Close()
	}
	if _, err := os.Stat(path + manifest.Suffix); err != nil {
		t.Error(err)
	}
	for from, id := range map[string]string{"127.70.0.12": "testbed/own", "127.70.0.99": "testbed/own", "127.70.0.11": "other/foreign"} {
		q := q
		q.From, q.Request.ImageID = netip.MustParseAddr(from), id
		f := answer.Carrier(q)
		if _, _, err := f.Describe(t.Context()); !errors.Is(err, carrier.ErrRefused) {
			t.Errorf("%s gets %s: %v", from, id, err)
		}
		f.Close()
	}
}
