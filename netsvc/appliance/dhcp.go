package appliance

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"hyzer/netsvc/dhcp"
	"hyzer/netsvc/lifecycle/bootplan"
	"hyzer/storage/kv"
	"hyzer/storage/registry"
)

// directory is a registry snapshot as DHCP sees it.
type directory struct {
	snapshot *registry.Snapshot
	subnets  *dhcp.Subnets
}

// directories makes directories; subnets are checked again only when the site
// record changed.
type directories struct {
	reg *registry.Registry
	log *slog.Logger

	mu      sync.Mutex
	site    *registry.Site
	subnets *dhcp.Subnets
}

func (d *directories) now() dhcp.Directory {
	snapshot := d.reg.Snapshot()
	d.mu.Lock()
	defer d.mu.Unlock()
	if site := snapshot.Site(); site != d.site {
		subnets, err := dhcpSubnets(site)
		if err != nil {
			d.log.Error("subnets are not served; correct the site record", "service", "dhcp", "error", err)
			subnets = &dhcp.Subnets{}
		}
		d.site, d.subnets = site, subnets
	}
	return directory{snapshot, d.subnets}
}

func dhcpSubnets(site *registry.Site) (*dhcp.Subnets, error) {
	modes := map[string]dhcp.Mode{registry.DHCPProxy: dhcp.ModeProxy, registry.DHCPServe: dhcp.ModeServe}
	list := make([]dhcp.Subnet, 0, len(site.Subnets))
	for _, s := range site.Subnets {
		subnet := dhcp.Subnet{
			Prefix: s.Prefix, Mode: modes[s.DHCP], DNS: s.DNS, NTP: s.NTP, Domain: s.Domain,
			Lease: time.Duration(s.LeaseSecs) * time.Second, PoolFirst: s.RangeFirst, PoolLast: s.RangeLast,
			Server: s.Server,
		}
		if s.Router.IsValid() {
			subnet.Routers = []netip.Addr{s.Router}
		}
		if subnet.Domain == "" {
			subnet.Domain = site.Domain
		}
		list = append(list, subnet)
	}
	return dhcp.NewSubnets(list)
}

// Subnets implements dhcp.Directory.
func (d directory) Subnets() *dhcp.Subnets { return d.subnets }

// ByHardware implements dhcp.Directory.
func (d directory) ByHardware(hw dhcp.HardwareAddr) (dhcp.Reservation, bool) {
	if hw.Length != 6 {
		return dhcp.Reservation{}, false
	}
	port, ok := d.snapshot.NodeByMAC(registry.MAC(hw.Octets[:6]))
	if !ok || !bootsFrom(port) {
		return dhcp.Reservation{}, false
	}
	return dhcp.Reservation{Node: port.Node.ID, IP: port.Interface.IP, Hostname: port.Node.ID}, true
}

// ByAddress implements dhcp.Directory.
func (d directory) ByAddress(ip netip.Addr) (dhcp.Reservation, bool) {
	port, ok := d.snapshot.NodeByIP(ip)
	if !ok {
		return dhcp.Reservation{}, false
	}
	return dhcp.Reservation{Node: port.Node.ID, IP: ip, Hostname: port.Node.ID}, true
}

// bootsFrom reports whether a port is the one its node boots from: experiment
// interfaces get no address from the control net.
func bootsFrom(port registry.Port) bool {
	return port.Interface.Role == registry.InterfaceControl || port.Interface.Role == registry.InterfaceOuterControl
}

// Boot implements dhcp.Directory.
func (d directory) Boot(node string, asker dhcp.Asker) (dhcp.BootFile, bool) {
	file := bootplan.File(d.snapshot, d.snapshot.Node(node), bootClient(asker))
	if file.Name == "" {
		return dhcp.BootFile{}, false
	}
	boss := d.snapshot.Site().BossIP
	return dhcp.BootFile{NextServer: boss, Bootinfo: boss, Name: file.Name}, true
}

// bootClient names the asker's class, as site.boot_files does.
func bootClient(a dhcp.Asker) bootplan.Client {
	class := map[dhcp.Arch]string{
		dhcp.ArchBIOS: "bios", dhcp.ArchUnknown: "bios", dhcp.ArchIA32EFI: "efi-ia32", dhcp.ArchX64EFI: "efi-x64",
		dhcp.ArchARM32EFI: "efi-arm32", dhcp.ArchARM64EFI: "efi-arm64", dhcp.ArchRISCV64EFI: "efi-riscv64",
		dhcp.ArchX64HTTP: "http-x64", dhcp.ArchARM64HTTP: "http-arm64", dhcp.ArchX86HTTP: "http-ia32", dhcp.ArchBIOSHTTP: "http-bios",
	}[a.Arch.Normal()]
	if class == "" {
		class = fmt.Sprintf("arch-%d", a.Arch)
	}
	if a.IPXE {
		return bootplan.Client{Class: "ipxe", Fallback: class}
	}
	return bootplan.Client{Class: class}
}

// leaseStore keeps leases beside the registry's records.
type leaseStore struct{ store kv.Store }

const leasePrefix = "lease/"

// Commit implements dhcp.Leases: one transaction, durable when it returns.
func (l leaseStore) Commit(ctx context.Context, leases []dhcp.Lease) error {
	_, err := l.store.Update(ctx, func(tx kv.Tx) error {
		for i := range leases {
			key := []byte(leasePrefix + leases[i].IP.String())
			if leases[i].State == dhcp.LeaseFree && leases[i].Client == (dhcp.HardwareAddr{}) {
				if err := tx.Delete(key); err != nil {
					return err
				}
				continue
			}
			value, err := json.Marshal(&leases[i])
			if err != nil {
				return err
			}
			if err := tx.Put(key, value); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// Load implements dhcp.Leases.
func (l leaseStore) Load() (leases []dhcp.Lease, err error) {
	err = l.store.View(context.Background(), func(r kv.Reader) error {
		return r.Scan([]byte(leasePrefix), func(key, value []byte) error {
			var lease dhcp.Lease
			if err := json.Unmarshal(value, &lease); err != nil {
				return fmt.Errorf("lease record %s: %w", key, err)
			}
			leases = append(leases, lease)
			return nil
		})
	})
	return leases, err
}
