package appliance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hyzer/bench/tools"
	"hyzer/netsvc/control"
	"hyzer/netsvc/dhcp"
	"hyzer/storage/kv/pebblekv"
	"hyzer/storage/registry"
)

// loopback is every service on a port that the kernel chooses.
func loopback(dir string) Config {
	cfg := DefaultConfig()
	any := netip.MustParseAddrPort("127.0.0.1:0")
	cfg.DataDir, cfg.Control = filepath.Join(dir, "data"), filepath.Join(dir, "control.sock")
	cfg.TFTP.Listen, cfg.HTTP.Listen, cfg.Frisbee.Listen = any, any, any
	cfg.TMCD.Listen = []netip.AddrPort{any}
	cfg.Multicast.LoopbackLab = true
	return cfg
}

// fixed puts bootinfo and DHCP, which cannot ask for any port, on free ones.
func fixed(t *testing.T, cfg *Config) {
	t.Helper()
	port, local := tools.Ports(t, 3), netip.MustParseAddr("127.0.0.1")
	cfg.Bootinfo.Listen = netip.AddrPortFrom(local, port)
	cfg.DHCP = DHCP{Addresses: []netip.Addr{local}, Port: port + 1, BootServerPort: port + 2, LoopbackLab: true}
}

// runs starts an appliance; the function stops it and says how that went.
func runs(t *testing.T, cfg Config) (*Appliance, func() error) {
	t.Helper()
	a, err := New(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	stop := func() error {
		cancel()
		err := <-ended
		ended <- err
		return err
	}
	t.Cleanup(func() { _ = stop() })
	return a, stop
}

func TestAllServices(t *testing.T) {
	t.Parallel()
	cfg := loopback(t.TempDir())
	fixed(t, &cfg)
	_, stop := runs(t, cfg)
	client := control.Dial(cfg.Control)
	defer client.Close()
	var status control.Status
	if err := client.Call(t.Context(), "GET", "/v1/status", nil, &status); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range status.Services {
		names = append(names, s.Name)
		if strings.HasSuffix(s.Addr, ":0") {
			t.Errorf("%s shows no real port: %s", s.Name, s.Addr)
		}
	}
	if got := strings.Join(names, " "); got != "dhcp dhcp tftp http bootinfo tmcd frisbee control" {
		t.Errorf("services: %s", got)
	}
	for _, count := range []string{"bootinfo.requests", "frisbee.sessions"} {
		if _, ok := status.Counts[count]; !ok {
			t.Errorf("no count %s in %v", count, status.Counts)
		}
	}
	if info, err := os.Stat(cfg.Control); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("control socket: %v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(cfg.dbDir()); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("store's folder: %v, %v", info.Mode(), err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(cfg.Control); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the control socket stayed: %v", err)
	}
	if _, err := pebblekv.Verify(cfg.dbDir()); err != nil {
		t.Error(err)
	}
}

// TestPortInUse: the error names service and address, and nothing stays open:
// with the port free, the same configuration starts.
func TestPortInUse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		service string
		network string
		set     func(*Config, netip.AddrPort)
	}{
		{"dhcp", "udp", func(c *Config, a netip.AddrPort) { c.DHCP.Port = a.Port() }},
		{"tftp", "udp", func(c *Config, a netip.AddrPort) { c.TFTP.Listen = a }},
		{"http", "tcp", func(c *Config, a netip.AddrPort) { c.HTTP.Listen = a }},
		{"bootinfo", "udp", func(c *Config, a netip.AddrPort) { c.Bootinfo.Listen = a }},
		{"tmcd", "tcp", func(c *Config, a netip.AddrPort) { c.TMCD.Listen = []netip.AddrPort{a} }},
		{"frisbee", "tcp", func(c *Config, a netip.AddrPort) { c.Frisbee.Listen = a }},
		{"control", "tcp", func(c *Config, a netip.AddrPort) { c.Control = a.String() }},
	} {
		t.Run(c.service, func(t *testing.T) {
			t.Parallel()
			taken, release := occupy(t, c.network)
			cfg := loopback(t.TempDir())
			fixed(t, &cfg)
			c.set(&cfg, taken)
			_, err := New(t.Context(), cfg, slog.New(slog.DiscardHandler))
			if err == nil || !strings.HasPrefix(err.Error(), c.service+": ") || !strings.Contains(err.Error(), taken.String()) {
				t.Fatalf("got %v, want %s: ... %s ...", err, c.service, taken)
			}
			release()
			_, stop := runs(t, cfg)
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

func occupy(t *testing.T, network string) (netip.AddrPort, func()) {
	t.Helper()
	at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), tools.Ports(t, 1))
	var taken io.Closer
	var err error
	if network == "tcp" {
		taken, err = net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(at))
	} else {
		taken, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	return at, func() { taken.Close() }
}

func TestSecondAppliance(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := loopback(dir)
	_, _ = runs(t, cfg)
	log := slog.New(slog.DiscardHandler)
	_, err := New(t.Context(), cfg, log)
	if !errors.Is(err, pebblekv.ErrLocked) || !strings.Contains(err.Error(), cfg.dbDir()) {
		t.Errorf("same data folder: %v", err)
	}
	other := loopback(t.TempDir())
	other.Control = cfg.Control
	if _, err = New(t.Context(), other, log); err == nil || !strings.Contains(err.Error(), "in use by a running appliance") {
		t.Errorf("same control socket: %v", err)
	}
	if err := control.Dial(cfg.Control).Call(t.Context(), "GET", "/v1/status", nil, nil); err != nil {
		t.Errorf("the first one lost its socket: %v", err)
	}
}

func TestControlAddress(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	stale := filepath.Join(dir, "stale")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false) // as a process that was killed leaves it
	l.Close()
	for _, c := range []struct {
		address string
		public  bool
		want    string // of the error
	}{
		{"127.0.0.1:0", false, ""},
		{"[::1]:0", false, ""},
		{"localhost:0", false, ""},
		{"unix:" + filepath.Join(dir, "new", "s"), false, ""},
		{stale, false, ""},
		{"0.0.0.0:0", false, "control_public"},
		{":0", false, "control_public"},
		{"10.0.0.1:6970", false, "control_public"},
		{"boss.example:6970", false, "control_public"},
		{"127.0.0.2:0", true, ""},
		{"control.sock", false, "path of a unix socket"},
		{file, false, "is no socket"},
	} {
		l, err := listenControl(c.address, c.public)
		if err == nil {
			l.Close()
		}
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.address, err, c.want)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "precious" {
		t.Errorf("a file in the socket's place was touched: %q, %v", text, err)
	}
}

// TestRestart: site, states, leases and revision are there again.
func TestRestart(t *testing.T) {
	t.Parallel()
	cfg := loopback(t.TempDir())
	a, stop := runs(t, cfg)
	importSite(t, a)
	if err := a.runner.Report(t.Context(), "pc1", "client", "SHUTDOWN", "BOOTING"); err != nil {
		t.Fatal(err)
	}
	lease := dhcp.Lease{IP: netip.MustParseAddr("127.70.0.201"), Client: dhcp.EthernetAddr(mac(9)), State: dhcp.LeaseBound, Term: time.Hour}
	if err := (leaseStore{a.store}).Commit(t.Context(), []dhcp.Lease{lease}); err != nil {
		t.Fatal(err)
	}
	before := seen(t, cfg)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	a, _ = runs(t, cfg)
	if leases, err := (leaseStore{a.store}).Load(); err != nil || len(leases) != 1 || leases[0] != lease {
		t.Errorf("leases: %+v, %v", leases, err)
	}
	if after := seen(t, cfg); after != before {
		t.Errorf("before %s\nafter  %s", before, after)
	}
}

// seen is what an operator sees of node pc1 and the store.
func seen(t *testing.T, cfg Config) string {
	t.Helper()
	client := control.Dial(cfg.Control)
	defer client.Close()
	var node control.Node
	var status control.Status
	err := errors.Join(client.Call(t.Context(), "GET", "/v1/nodes/pc1", nil, &node), client.Call(t.Context(), "GET", "/v1/status", nil, &status))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(node)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("revision %d %s", status.Revision, text)
}

func importSite(t *testing.T, a *Appliance) {
	t.Helper()
	f, err := os.Open("testdata/site.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	file, err := registry.ParseSiteFile(f)
	if err == nil {
		err = a.reg.Import(t.Context(), file)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestFirstSite: the example of the manual can be imported as it is.
func TestFirstSite(t *testing.T) {
	t.Parallel()
	cfg := loopback(t.TempDir())
	a, _ := runs(t, cfg)
	site, err := os.Open("../../docs/site.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer site.Close()
	client := control.Dial(cfg.Control)
	defer client.Close()
	if err := client.Call(t.Context(), "POST", "/v1/import", site, nil); err != nil {
		t.Fatal(err)
	}
	snapshot := a.reg.Snapshot()
	if _, err := dhcpSubnets(snapshot.Site()); err != nil || snapshot.Node("pc1") == nil {
		t.Errorf("subnets %v, node %v", err, snapshot.Node("pc1"))
	}
}

// TestExplain: every service says what it would do.
func TestExplain(t *testing.T) {
	t.Parallel()
	cfg := loopback(t.TempDir())
	fixed(t, &cfg)
	a, _ := runs(t, cfg)
	importSite(t, a)
	if err := os.WriteFile(filepath.Join(cfg.bootFileDir(), "pxeboot.emu"), make([]byte, 300), 0o644); err != nil {
		t.Fatal(err)
	}
	client := control.Dial(cfg.Control)
	defer client.Close()
	for _, c := range []struct {
		subject string
		want    []string
	}{
		{"pc1", []string{
			"registry: node pc1 of type pc, 02:00:00:00:00:01 at 127.70.0.11", "reserved to testbed/exp",
			"dhcp: with bios firmware:", "answer: OFFER", `boot file "/tftpboot/pxeboot.emu" from 127.70.0.1`, "with efi-x64 firmware",
			"tftp: bios: /tftpboot/pxeboot.emu", "300 bytes", "efi-x64: /tftpboot/ipxe.efi", "cannot be served",
			"bootinfo: answer: part 1",
			"tmcd: nodeid: \"pc1\"", `status: "ALLOCATED=testbed/exp`,
			"frisbee: may have testbed/own:0: it is of the node's project"}},
		{"127.70.0.12", []string{"free", "bootinfo: answer: wait", `status: "FREE`, "frisbee: may have no image"}},
		{"02:00:00:00:00:99", []string{"no node has this address", "not a known node", "tmcd: answer: none", "frisbee: answer: none"}},
		{"127.70.0.99", []string{"dhcp: the hardware address is not known"}},
	} {
		var x control.Explanation
		if err := client.Call(t.Context(), "GET", "/v1/explain?subject="+c.subject, nil, &x); err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		for _, s := range x.Sections {
			fmt.Fprintf(&text, "%s: %s\n", s.Service, s.Text)
		}
		for _, want := range c.want {
			if !strings.Contains(text.String(), want) {
				t.Errorf("%s: no %q in\n%s", c.subject, want, &text)
			}
		}
	}
}
