package appliance

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"hyzer/multicast/master"
	"hyzer/multicast/server"
	"hyzer/multicast/wire"
	"hyzer/netsvc/control"
	"hyzer/netsvc/dhcp"
	"hyzer/netsvc/lifecycle/bootplan"
	"hyzer/storage/kv"
	"hyzer/storage/kv/pebblekv"
	"hyzer/storage/registry"
)

// testSite is the site of testdata as a snapshot.
func testSite(t testing.TB) *registry.SiteFile {
	t.Helper()
	f, err := os.Open("testdata/site.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	file, err := registry.ParseSiteFile(f)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func openStore(t testing.TB) kv.Store {
	t.Helper()
	store, err := pebblekv.Open("/db", pebblekv.Options{FS: vfs.NewMem(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

func openRegistry(t testing.TB, site *registry.SiteFile) *registry.Registry {
	t.Helper()
	reg, err := registry.Open(t.Context(), openStore(t), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(reg.Close)
	if err := reg.Import(t.Context(), site); err != nil {
		t.Fatal(err)
	}
	return reg
}

func mac(last byte) registry.MAC { return registry.MAC{2, 0, 0, 0, 0, last} }

func TestDirectory(t *testing.T) {
	t.Parallel()
	snapshot := registry.NewSnapshot(testSite(t))
	subnets, err := dhcpSubnets(snapshot.Site())
	if err != nil {
		t.Fatal(err)
	}
	d := directory{snapshot, subnets}
	for _, c := range []struct {
		mac  registry.MAC
		want dhcp.Reservation
		ok   bool
	}{
		{mac(1), dhcp.Reservation{Node: "pc1", IP: netip.MustParseAddr("127.70.0.11"), Hostname: "pc1"}, true},
		{registry.MAC{2, 0, 0, 0, 1, 1}, dhcp.Reservation{}, false}, // an experiment interface
		{mac(4), dhcp.Reservation{Node: "noip", Hostname: "noip"}, true},
		{mac(99), dhcp.Reservation{}, false},
	} {
		if got, ok := d.ByHardware(dhcp.EthernetAddr(c.mac)); ok != c.ok || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v %v", c.mac, got, ok)
		}
	}
	if _, ok := d.ByHardware(dhcp.HardwareAddr{Type: 32, Length: 8}); ok {
		t.Error("an address that is not Ethernet was found")
	}
	if got, ok := d.ByAddress(netip.MustParseAddr("127.70.0.12")); !ok || got.Node != "pc2" {
		t.Errorf("by address: %+v %v", got, ok)
	}
	if got, ok := d.ByAddress(netip.MustParseAddr("192.168.1.1")); ok {
		t.Errorf("by an experiment's address: %+v", got)
	}
	if s := subnets.Find(netip.MustParseAddr("127.71.0.7")); s == nil || s.Lease != 10*time.Minute || s.Server.String() != "127.71.0.1" || s.Domain != "testbed.example" {
		t.Errorf("subnet: %+v", s)
	}
}

func TestDirectoryBoot(t *testing.T) {
	t.Parallel()
	d := directory{registry.NewSnapshot(testSite(t)), nil}
	for _, c := range []struct {
		node string
		arch dhcp.Arch
		want string // "server file", "" for none
	}{
		{"pc1", dhcp.ArchBIOS, "127.70.0.1 /tftpboot/pxeboot.emu"},
		{"pc1", dhcp.ArchX64EFI, "127.70.0.1 /tftpboot/ipxe.efi"},
		{"pc2", dhcp.ArchX64EFI, "127.70.0.13 /tftpboot/ipxe.efi"}, // its subboss serves files
		{"", dhcp.ArchBIOS, "127.70.0.1 /tftpboot/pxeboot.emu"},    // an unknown machine
		{"pc1", dhcp.ArchARM64EFI, ""},
	} {
		got, ok := d.Boot(c.node, dhcp.Asker{Arch: c.arch})
		text := ""
		if ok {
			text = got.NextServer.String() + " " + got.Name
		}
		if text != c.want {
			t.Errorf("%s %v: got %q, want %q", c.node, c.arch, text, c.want)
		}
		if ok && got.Bootinfo.String() != "127.70.0.1" {
			t.Errorf("%s: bootinfo %s", c.node, got.Bootinfo)
		}
	}
}

func TestBootClient(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		asker dhcp.Asker
		want  bootplan.Client
	}{
		{dhcp.Asker{Arch: dhcp.ArchBIOS}, bootplan.Client{Class: "bios"}},
		{dhcp.Asker{Arch: dhcp.ArchUnknown}, bootplan.Client{Class: "bios"}},
		{dhcp.Asker{Arch: dhcp.ArchX64EFI}, bootplan.Client{Class: "efi-x64"}},
		{dhcp.Asker{Arch: 9}, bootplan.Client{Class: "efi-x64"}}, // EBC, which x64 firmware sends
		{dhcp.Asker{Arch: dhcp.ArchARM64EFI, IPXE: true}, bootplan.Client{Class: "ipxe", Fallback: "efi-arm64"}},
		{dhcp.Asker{Arch: dhcp.ArchX64HTTP}, bootplan.Client{Class: "http-x64"}},
		{dhcp.Asker{Arch: 77}, bootplan.Client{Class: "arch-77"}},
	} {
		if got := bootClient(c.asker); got != c.want {
			t.Errorf("%+v: got %+v, want %+v", c.asker, got, c.want)
		}
	}
}

// TestSubnetsFollowSite: the same site keeps its checked subnets, another one
// replaces them, and one that makes no sense serves nobody.
func TestSubnetsFollowSite(t *testing.T) {
	t.Parallel()
	site := testSite(t)
	reg := openRegistry(t, site)
	d := &directories{reg: reg, log: slog.New(slog.DiscardHandler)}
	first := d.now().Subnets()
	change := func(fn func(*registry.Tx) error) {
		t.Helper()
		if _, err := reg.Update(t.Context(), fn); err != nil {
			t.Fatal(err)
		}
	}
	change(func(tx *registry.Tx) error { return registry.Put(tx, &registry.Project{ID: "another"}) })
	if d.now().Subnets() != first {
		t.Error("a change elsewhere made new subnets")
	}
	next := *site.Site
	next.Subnets = next.Subnets[1:]
	change(func(tx *registry.Tx) error { return registry.Put(tx, &next) })
	if d.now().Subnets().Find(netip.MustParseAddr("127.70.0.1")) != nil {
		t.Error("a removed subnet is still served")
	}
	next.Subnets = []registry.Subnet{{Prefix: netip.MustParsePrefix("127.70.0.0/24")}, {Prefix: netip.MustParsePrefix("127.70.0.0/16")}}
	change(func(tx *registry.Tx) error { return registry.Put(tx, &next) })
	if d.now().Subnets().Find(netip.MustParseAddr("127.70.0.1")) != nil {
		t.Error("overlapping subnets are served")
	}
}

func TestLeaseStore(t *testing.T) {
	t.Parallel()
	store := leaseStore{openStore(t)}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	lease := func(ip string, state dhcp.LeaseState) dhcp.Lease {
		return dhcp.Lease{IP: netip.MustParseAddr(ip), Client: dhcp.EthernetAddr(mac(1)), State: state, Node: "pc1", Term: time.Hour, At: at}
	}
	want := []dhcp.Lease{lease("10.0.0.1", dhcp.LeaseBound), lease("10.0.0.2", dhcp.LeaseDeclined), lease("10.0.0.3", dhcp.LeaseFree)}
	gone := lease("10.0.0.2", dhcp.LeaseBound)
	gone.IP = netip.MustParseAddr("10.0.0.4")
	commit := func(leases ...dhcp.Lease) {
		t.Helper()
		if err := store.Commit(t.Context(), leases); err != nil {
			t.Fatal(err)
		}
	}
	commit(append([]dhcp.Lease{lease("10.0.0.1", dhcp.LeaseFree), gone}, want...)...) // a later record replaces an earlier
	commit(dhcp.Lease{IP: gone.IP})                                                   // nobody ever: forgotten
	got, err := store.Load()
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(got, func(a, b dhcp.Lease) int { return a.IP.Compare(b.IP) })
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	_, err = store.store.Update(t.Context(), func(tx kv.Tx) error { return tx.Put([]byte(leasePrefix+"10.0.0.9"), []byte("junk")) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Load(); err == nil || !strings.Contains(err.Error(), "10.0.0.9") {
		t.Errorf("a damaged record: %v", err)
	}
}

func TestSessionStore(t *testing.T) {
	t.Parallel()
	store := sessionStore{openStore(t)}
	a := master.Assignment{ImageID: "p/i:0", Path: "/images/i.ndz", Method: wire.Multicast,
		Version: server.Identity{Device: 1, Inode: 2, Bytes: 3, MTimeNS: 4}, Address: netip.MustParseAddrPort("239.192.64.1:21000"),
		Pace: server.Pace{BitsPerSec: 5, Dynamic: true}}
	b := a
	b.Path = "/images/j.ndz"
	for _, err := range []error{store.Save(a), store.Save(a), store.Save(b), store.Delete(b.Key()), store.Delete(b.Key())} {
		if err != nil {
			t.Fatal(err)
		}
	}
	got, err := store.Load()
	if err != nil || !reflect.DeepEqual(got, []master.Assignment{a}) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, a)
	}
}

func TestCatalog(t *testing.T) {
	t.Parallel()
	site := testSite(t)
	site.Images = append(site.Images, registry.Image{Project: "other", Name: "everyone", Global: true,
		Versions: []registry.ImageVersion{{Path: "/images/everyone.ndz", LoadPart: 1, BootOS: registry.HeadRef("testbed", "LINUX")}}})
	site.Loads = []registry.NodeLoad{{Node: "pc2", Images: []registry.LoadImage{{Image: registry.Ref{Project: "other", Name: "foreign"}}}}}
	c := catalog{openRegistry(t, site)}
	for _, q := range []struct {
		client, image string
		path          string // or an error
		refused       wire.MasterError
	}{
		{"127.70.0.11", "testbed/own", "/images/own.ndz", 0},
		{"127.70.0.11", "testbed,testbed,own", "/images/own.ndz", 0},
		{"127.70.0.11", "testbed,group,own:0", "/images/own.ndz", 0},
		{"127.70.0.11", "other/everyone", "/images/everyone.ndz", 0},
		{"127.70.0.11", "other/foreign", "", wire.MasterNoAccess},
		{"127.70.0.12", "testbed/own", "", wire.MasterNoAccess}, // a free node
		{"127.70.0.12", "other/everyone", "/images/everyone.ndz", 0},
		{"127.70.0.12", "other/foreign:0", "/images/foreign.0.ndz", 0}, // its load
		{"127.70.0.12", "other/foreign", "/images/foreign.0.ndz", 0},   // the load's version, not the newest
		{"127.70.0.12", "other/foreign:1", "", wire.MasterNoAccess},
		{"127.70.0.12", "other/foreign:7", "", wire.MasterNoImage},
		{"127.70.0.11", "other/none", "", wire.MasterNoImage},
		{"127.70.0.11", "own", "", wire.MasterNoImage},
		{"127.70.0.11", "../../etc/passwd", "", wire.MasterNoImage},
		{"127.70.0.11", "", "", wire.MasterNoImage},
		{"127.70.0.99", "other/everyone", "", wire.MasterNoHost},
		{"192.168.1.1", "testbed/own", "", wire.MasterNoHost},
	} {
		image, err := c.Lookup(context.Background(), netip.MustParseAddr(q.client), q.image)
		var code wire.MasterError
		errors.As(err, &code)
		if image.Path != q.path || code != q.refused || (err == nil) != (q.path != "") {
			t.Errorf("%s asks for %q: got %q, %v", q.client, q.image, image.Path, err)
		}
	}
}

// TestProgress: a loader's reports are kept until it leaves or falls silent.
func TestProgress(t *testing.T) {
	t.Parallel()
	reg := registry.NewSnapshot(testSite(t))
	synctest.Test(t, func(t *testing.T) {
		p := newProgress()
		session := master.Assignment{ImageID: "testbed/own:0", Version: server.Identity{Bytes: 3*wire.ChunkBytes + 1}}
		event := server.Event{Kind: server.ClientReport, Client: netip.MustParseAddr("127.70.0.11"),
			Report: &wire.Progress{Summary: wire.Summary{ChunksOut: 2}}}
		p.take(reg, session, event)
		stranger := event
		stranger.Client = netip.MustParseAddr("127.70.0.99")
		p.take(reg, session, stranger)
		want := control.Progress{Image: "testbed/own:0", ChunksDone: 2, ChunksTotal: 4, At: time.Now().UTC()}
		if got := p.all(); len(got) != 1 || got["pc1"] != want {
			t.Errorf("got %+v, want pc1: %+v", got, want)
		}
		event.Kind = server.ClientLeft
		p.take(reg, session, event)
		if got := p.all(); len(got) != 0 {
			t.Errorf("left: %+v", got)
		}
		event.Kind = server.ClientReport
		p.take(reg, session, event)
		time.Sleep(progressAgeMax + time.Second) // virtual
		if got := p.all(); len(got) != 0 {
			t.Errorf("silent: %+v", got)
		}
	})
}

// BenchmarkDirectory is what each DHCP request asks of the registry.
func BenchmarkDirectory(b *testing.B) {
	dirs := &directories{reg: openRegistry(b, testSite(b)), log: slog.New(slog.DiscardHandler)}
	client := dhcp.EthernetAddr(mac(1))
	b.ReportAllocs()
	for b.Loop() {
		d := dirs.now()
		if res, ok := d.ByHardware(client); !ok || d.Subnets().Find(res.IP) == nil {
			b.Fatal("not found")
		}
		if _, ok := d.Boot("pc1", dhcp.Asker{Arch: dhcp.ArchX64EFI}); !ok {
			b.Fatal("no boot file")
		}
	}
}
