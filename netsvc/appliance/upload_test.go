package appliance

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"testing"

	"hyzer/bench/shared"
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
