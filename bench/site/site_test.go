package site_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hyzer/bench/site"
	"hyzer/storage/kv/pebblekv"
	"hyzer/storage/registry"
)

var quiet = slog.New(slog.DiscardHandler)

// TestImport gives sites to a real registry, which checks every rule across
// records.
func TestImport(t *testing.T) {
	t.Parallel()
	image := &site.Image{Path: "/images/x.ndz", DiskBytes: 64 << 20, ImageBytes: 5 << 20, SHA256: strings.Repeat("ab", 32)}
	for _, test := range []struct {
		name           string
		opts           site.Options
		last           string
		reserved, free int
	}{
		{"one", site.Options{Nodes: 1}, "127.77.0.10", 0, 1},
		{"all reserved", site.Options{Nodes: 300, Reserved: -1, Power: "http://127.0.0.1:1", Image: image}, "127.77.1.53", 300, 0},
		{"some reserved", site.Options{Nodes: 4, Reserved: 2, Subnet: netip.MustParsePrefix("10.99.0.0/24"), Boss: netip.MustParseAddr("10.99.0.1")}, "10.99.0.13", 2, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, err := site.New(test.opts)
			if err != nil {
				t.Fatal(err)
			}
			snapshot := imported(t, s)
			reserved := 0
			for i, name := range s.Names() {
				node := snapshot.Node(name)
				if node == nil || node.ControlIP() != s.IP(i) {
					t.Fatalf("node %s: %+v", name, node)
				}
				if port, ok := snapshot.NodeByMAC(s.MAC(i)); !ok || port.Node.ID != name {
					t.Errorf("MAC %v does not lead to %s", s.MAC(i), name)
				}
				if snapshot.Reservation(name) != nil {
					reserved++
				}
			}
			if got := s.IP(test.opts.Nodes - 1).String(); got != test.last || reserved != test.reserved || test.opts.Nodes-reserved != test.free {
				t.Errorf("last node at %s, %d reserved; want %s, %d", got, reserved, test.last, test.reserved)
			}
		})
	}
}

// imported is the snapshot of a registry that holds the site, by way of its
// YAML form.
func imported(t *testing.T, s *site.Site) *registry.Snapshot {
	t.Helper()
	var text bytes.Buffer
	if err := s.File.WriteYAML(&text); err != nil {
		t.Fatal(err)
	}
	file, err := registry.ParseSiteFile(&text)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	store, err := pebblekv.Open(t.TempDir(), pebblekv.Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	reg, err := registry.Open(ctx, store, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		reg.Close()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := reg.EnsureHoldings(ctx); err != nil {
		t.Fatal(err)
	}
	if err := reg.Import(ctx, file); err != nil {
		t.Fatal(err)
	}
	return reg.Snapshot()
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for _, opts := range []site.Options{
		{}, {Nodes: 60001}, {Nodes: 1, Reserved: 2},
		{Nodes: 300, Subnet: netip.MustParsePrefix("127.77.0.0/24")},
	} {
		if _, err := site.New(opts); err == nil {
			t.Errorf("a site with %+v was made", opts)
		}
	}
}

// TestMachine checks that a machine and its record agree.
func TestMachine(t *testing.T) {
	t.Parallel()
	s, err := site.New(site.Options{Nodes: 3})
	if err != nil {
		t.Fatal(err)
	}
	a, b := s.Machine(0), s.Machine(2)
	if a.MAC == b.MAC || a.IP == b.IP || a.UUID == b.UUID || a.Name == b.Name {
		t.Errorf("two machines share an identity: %+v %+v", a, b)
	}
	if port := s.File.Nodes[2].Interfaces[0]; port.MAC != b.MAC || port.IP != b.IP {
		t.Errorf("machine %v %v, record %v %v", b.MAC, b.IP, port.MAC, port.IP)
	}
}

func TestBootFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := site.WriteBootFiles(dir); err != nil {
		t.Fatal(err)
	}
	sums := site.BootFileSums()
	if len(sums) != 3 {
		t.Fatalf("%d boot files", len(sums))
	}
	for name, want := range sums {
		data, err := os.ReadFile(filepath.Join(dir, strings.TrimPrefix(name, "/tftpboot/")))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		if got := hex.EncodeToString(sum[:]); got != want {
			t.Errorf("%s: sum %s, want %s", name, got, want)
		}
	}
}
