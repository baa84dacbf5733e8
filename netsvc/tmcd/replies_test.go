package tmcd

import (
	"net/netip"
	"strings"
	"testing"

	"hyzer/storage/registry"
)

// reply asks a site for one command.
func reply(tb testing.TB, site *registry.SiteFile, from, request string) string {
	tb.Helper()
	head, rest, err := ParseHead([]byte(request), true)
	if err != nil {
		tb.Fatal(err)
	}
	req := Request{Head: head, From: netip.MustParseAddr(from)}
	return string(NewHandler().Handle(registry.NewSnapshot(site), req, []byte(request)[rest:]).Reply)
}

// portSite is a machine and a virtual node on it, with every kind of port.
func portSite() *registry.SiteFile {
	ip := netip.MustParseAddr
	mac := func(last byte) registry.MAC { return registry.MAC{2, 0, 0, 0, 0, last} }
	site := loopSite()
	site.Site.Vars = map[string]string{"general/allowjumboframes": "1"}
	site.Nodes[0].Attributes = map[string]string{"shared_lan_ip": "10.9.0.1", "shared_lan_mask": "255.0.0.0", "shared_lan_mac": "020000000099"}
	site.Nodes[0].Interfaces = append(site.Nodes[0].Interfaces,
		registry.Interface{Name: "eth1", Role: "expt", Type: "ixgbe", MAC: mac(1), IP: ip("10.1.0.1"), Mask: ip("255.255.0.0"), SpeedMbps: 10000, Duplex: "full"},
		registry.Interface{Name: "eth2", Role: "expt", Type: "mlx", MAC: mac(2), IP: ip("10.2.0.1"), Mask: ip("255.255.0.0"), SpeedMbps: 100000, Duplex: "full", Autoneg: true},
		registry.Interface{Name: "eth3", Role: "expt", Type: "P2PLTE", MAC: mac(3), IP: ip("10.3.0.1"), SpeedMbps: 1000},
		registry.Interface{Name: "eth4", Role: "expt", Type: "igb", MAC: mac(4), Duplex: "full"})
	site.Nodes[0].Virtual = []registry.VirtInterface{
		{Unit: 1, Type: "vlan", MAC: mac(11), IP: ip("10.4.0.1"), Mask: ip("255.255.0.0"), Parent: "eth1", LanIndex: 7, VLAN: 70},
		{Unit: 2, Type: "vlan", MAC: mac(12), VNode: "v1", LanIndex: 7},
		{Unit: 3, Type: "veth", MAC: mac(13), VNode: "v1", Parent: "eth1", LanIndex: 8},
		{Unit: 4, Type: "veth-ne", MAC: mac(14), VNode: "v1", Parent: "eth1", LanIndex: 8},
		{Unit: 5, Type: "alias", MAC: mac(15), VNode: "v1", Parent: "eth1"},
		{Unit: 6, Type: "vlan", MAC: mac(16), VNode: "v2", Parent: "eth1"},
	}
	site.Nodes = append(site.Nodes, registry.Node{ID: "v1", Type: "t", Host: "n1"})
	site.Reservations = append(site.Reservations, registry.Reservation{Node: "v1", Experiment: "p/e", VName: "vm"})
	site.Experiments[0].Lans = []registry.Lan{
		{Name: "jumbo", Index: 6, Members: []registry.LanMember{{VNode: "a", IP: ip("10.1.0.1"), Jumbo: true}}},
		{Name: "lan7", Index: 7}, {Name: "lan8", Index: 8}}
	site.Experiments[0].VLANs = []registry.VLAN{{ID: 70, Lan: "lan7", Tag: 257}}
	return site
}

// TestIfconfig shows the ports of a machine and of a virtual node on it.
func TestIfconfig(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, request string
		want          []string
	}{
		{"machine", "VERSION=44 ifconfig ", []string{
			"INTERFACE IFACETYPE=ixgbe INET=10.1.0.1 MASK=255.255.0.0 MAC=020000000001 SPEED=10000Mbps DUPLEX=full IFACE= RTABID=0 LAN=jumbo MTU=9000",
			"INTERFACE IFACETYPE=mlx INET=10.2.0.1 MASK=255.255.0.0 MAC=020000000002 SPEED=0Mbps DUPLEX=full IFACE= RTABID=0 LAN= MTU=9000",
			"INTERFACE IFACETYPE=ixgbe INET=10.9.0.1 MASK=255.0.0.0 MAC=020000000099 SPEED=100Mbps DUPLEX=full IFACE= RTABID=0 LAN=shared_lan_0 MTU=",
			"INTERFACE IFACETYPE=vlan INET=10.4.0.1 MASK=255.255.0.0 ID=1 VMAC=02000000000b PMAC=020000000001 RTABID=0 ENCAPSULATE=0 LAN=lan7 VTAG=257 MTU=",
		}},
		{"virtual node", "VNODEID=v1 VERSION=44 ifconfig ", []string{
			"INTERFACE IFACETYPE=vlan INET=10.4.0.1 MASK=255.255.0.0 ID=1 VMAC=02000000000b PMAC=020000000001 RTABID=0 ENCAPSULATE=0 LAN=lan7 VTAG=257 MTU=",
			"INTERFACE IFACETYPE=loop INET= MASK= ID=2 VMAC=02000000000c PMAC=none RTABID=0 ENCAPSULATE=0 LAN=lan7 VTAG=7 MTU=",
			"INTERFACE IFACETYPE=veth INET= MASK= ID=3 VMAC=02000000000d PMAC=020000000001 RTABID=0 ENCAPSULATE=1 LAN=lan8 VTAG=8 MTU=",
			"INTERFACE IFACETYPE=veth INET= MASK= ID=4 VMAC=02000000000e PMAC=020000000001 RTABID=0 ENCAPSULATE=0 LAN=lan8 VTAG=8 MTU=",
			"INTERFACE IFACETYPE=alias INET= MASK= ID=5 VMAC=02000000000f PMAC=020000000001 RTABID=0 ENCAPSULATE=0 LAN= VTAG=0 MTU=",
		}},
		{"virtual node, before vlans", "VNODEID=v1 VERSION=15 ifconfig ", []string{
			"IFACETYPE=veth INET= MASK= ID=3 VMAC=02000000000d PMAC=020000000001 RTABID=0 ENCAPSULATE=1",
			"IFACETYPE=veth INET= MASK= ID=4 VMAC=02000000000e PMAC=020000000001 RTABID=0 ENCAPSULATE=0",
		}},
	} {
		if got, want := reply(t, portSite(), "127.0.1.1", tc.request), strings.Join(tc.want, "\n")+"\n"; got != want {
			t.Errorf("%s:\n%s\nwant\n%s", tc.name, got, want)
		}
	}
}

// TestTaints: what a node that its user may not see or become root on is told.
func TestTaints(t *testing.T) {
	t.Parallel()
	site := func(taint, sharing string) *registry.SiteFile {
		s := loopSite()
		s.Site.FSName, s.Site.Dirs = "fs", registry.SiteDirs{Proj: "/q/proj", Users: "/q/users"}
		s.Projects = append(s.Projects, registry.Project{ID: "emulab-ops"})
		s.Users = []registry.User{{ID: "admin", Status: "active", Admin: true}, {ID: "u", Status: "active"}}
		s.Groups = []registry.Group{
			{Project: "p", ID: "p", UnixName: "p", UnixGID: 1, Members: []registry.Member{{User: "u", Trust: registry.TrustProjectRoot}}},
			{Project: "emulab-ops", ID: "emulab-ops", UnixName: "ops", UnixGID: 2, Members: []registry.Member{{User: "admin", Trust: registry.TrustProjectRoot}, {User: "u", Trust: "user"}}},
		}
		s.Runtimes = []registry.Runtime{{Node: "n1", RPMs: "/r", Tarballs: "/d /t", NFSMounts: "emulabdefault"}}
		if taint != "" {
			s.Runtimes[0].Taints = []string{taint}
		}
		s.Reservations[0].Sharing = sharing
		return s
	}
	user := func(uid, gid, root string) string {
		return "ADDUSER LOGIN=" + uid + " PSWD=* UID=0 GID=" + gid + " ROOT=" + root + ` NAME="" HOMEDIR=/users/` + uid + ` GLIST="" SERIAL=0 EMAIL="" SHELL=` + "\n"
	}
	for _, tc := range []struct{ taint, sharing, command, want string }{
		{"", "", "accounts", "ADDGROUP NAME=p GID=1\n" + user("u", "1", "1")},
		{"useronly", "", "accounts", "ADDGROUP NAME=p GID=1\n" + user("u", "1", "0")},
		{"blackbox", "", "accounts", "ADDGROUP NAME=ops GID=2\n" + user("admin", "2", "1")},
		{"", "using_shared", "accounts", "ADDGROUP NAME=ops GID=2\n" + user("admin", "2", "1")},
		{"useronly", "", "rpms", ""},
		{"useronly", "", "tarballs", "SERVER=boss USEWEB=0 DIR=/d TARBALL=/t\n"},
		{"blackbox", "", "tarballs", ""},
		{"blackbox", "", "mounts", "FSTYPE=NFS\nREMOTE=fs:/q/proj/p LOCAL=/proj/p\n"},
		{"", "", "mounts", "FSTYPE=NFS\nREMOTE=fs:/q/proj/p LOCAL=/proj/p\nREMOTE=fs:/q/users/u LOCAL=/users/u\n"},
		{"", "using_shared", "mounts", "FSTYPE=NFS\nREMOTE=fs:/q/proj LOCAL=/proj\nREMOTE=fs:/q/users LOCAL=/users\n"},
	} {
		if got := reply(t, site(tc.taint, tc.sharing), "127.0.1.1", "VERSION=44 "+tc.command+" "); got != tc.want {
			t.Errorf("%s, taint %q, sharing %q:\n got %q\nwant %q", tc.command, tc.taint, tc.sharing, got, tc.want)
		}
	}
}
