package appliance

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
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
// record changed. It is on the packet path and takes no lock: two goroutines
// that meet a new site both check it, and either result serves.
type directories struct {
	reg    *registry.Registry
	log    *slog.Logger
	latest atomic.Pointer[checkedSite]
}

type checkedSite struct {
	site    *registry.Site
	subnets *dhcp.Subnets
}

func (d *directories) now() dhcp.Directory {
	snapshot := d.reg.Snapshot()
	checked := d.latest.Load()
	if checked == nil || checked.site != snapshot.Site() {
		checked = d.check(snapshot.Site())
	}
	return directory{snapshot, checked.subnets}
}

// check makes the subnets of a site. The same content keeps the same pointer
// only with the same record; dhcp.Directory asks for no more.
func (d *directories) check(site *registry.Site) *checkedSite {
	subnets, err := dhcpSubnets(site)
	if err != nil {
		d.log.Error("subnets are not served; correct the site record", "service", "dhcp", "error", err)
		subnets = &dhcp.Subnets{}
	}
	checked := &checkedSite{site, subnets}
	d.latest.Store(checked)
	return checked
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
	record := d.snapshot.Node(node)
	file := bootplan.File(d.snapshot, record, bootClient(asker))
	if file.Name == "" {
		return dhcp.BootFile{}, false
	}
	boss := d.snapshot.Site().BossIP
	return dhcp.BootFile{NextServer: d.fileServer(record), Bootinfo: boss, Name: file.Name}, true
}

// fileServer is who serves a node's boot files: its subboss, else the
// appliance.
func (d directory) fileServer(node *registry.Node) netip.Addr {
	if node != nil {
		if subboss := d.snapshot.Node(node.Subbosses["tftp"]); subboss != nil && subboss.ControlIP().IsValid() {
			return subboss.ControlIP()
		}
	}
	return d.snapshot.Site().BossIP
}

// bootClient names the asker's class, as site.boot_files does.
func bootClient(a dhcp.Asker) bootplan.Client {
	class := archClass(a.Arch.Normal())
	if class == "" {
		class = fmt.Sprintf("arch-%d", a.Arch)
	}
	if a.IPXE {
		return bootplan.Client{Class: "ipxe", Fallback: class}
	}
	return bootplan.Client{Class: class}
}

func archClass(a dhcp.Arch) string {
	switch a {
	case dhcp.ArchBIOS, dhcp.ArchUnknown:
		return "bios"
	case dhcp.ArchIA32EFI:
		return "efi-ia32"
	case dhcp.ArchX64EFI:
		return "efi-x64"
	case dhcp.ArchARM32EFI:
		return "efi-arm32"
	case dhcp.ArchARM64EFI:
		return "efi-arm64"
	case dhcp.ArchRISCV64EFI:
		return "efi-riscv64"
	case dhcp.ArchX64HTTP:
		return "http-x64"
	case dhcp.ArchARM64HTTP:
		return "http-arm64"
	case dhcp.ArchX86HTTP:
		return "http-ia32"
	case dhcp.ArchBIOSHTTP:
		return "http-bios"
	}
	return ""
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
