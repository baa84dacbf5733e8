package site

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"

	"hyzer/bench/vnode"
	"hyzer/storage/registry"
)

// Names of the records that a site has.
const (
	Project    = "testbed"
	Experiment = Project + "/demo"
	NodeType   = "vpc"
	DiskImage  = registry.OpsProject + "/LINUX-STD"
	LoaderPath = "/tftpboot/frisbee"
	BIOSFile   = "/tftpboot/pxeboot.emu"
	UEFIFile   = "/tftpboot/ipxe.efi"
)

// nodesMax is how many nodes the addresses of a site are made for.
const nodesMax = 60000

// Options of a site.
type Options struct {
	Nodes int // at most 60000; called pc1 to pcN
	// Reserved is how many of them, from the first, the experiment has; -1:
	// all. The others are free.
	Reserved int
	// Boss is the appliance's address; 127.0.0.1 if not set.
	Boss netip.Addr
	// Subnet is the nodes' network, at least 16 bits shorter than the
	// addresses that Nodes needs; 127.77.0.0/16 if not set.
	Subnet netip.Prefix
	DHCP   string // registry.DHCPServe if empty
	// Power is the Redfish address of the chassis; empty: no power control.
	Power string
	Image *Image // nil: no image
}

// Site is a site in the form that the registry imports.
type Site struct {
	File *registry.SiteFile
	opts Options
}

// New makes a site.
func New(opts Options) (*Site, error) {
	if !opts.Boss.IsValid() {
		opts.Boss = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	if !opts.Subnet.IsValid() {
		opts.Subnet = netip.MustParsePrefix("127.77.0.0/16")
	}
	if opts.DHCP == "" {
		opts.DHCP = registry.DHCPServe
	}
	if opts.Reserved < 0 {
		opts.Reserved = opts.Nodes
	}
	s := &Site{File: &registry.SiteFile{}, opts: opts}
	if opts.Nodes < 1 || opts.Nodes > nodesMax || opts.Reserved > opts.Nodes {
		return nil, fmt.Errorf("site of %d nodes, %d reserved: want 1 to %d", opts.Nodes, opts.Reserved, nodesMax)
	}
	if last := s.IP(opts.Nodes - 1); !opts.Subnet.Contains(last) {
		return nil, fmt.Errorf("site of %d nodes: %v is outside %v", opts.Nodes, last, opts.Subnet)
	}
	s.common()
	s.image()
	for i := range opts.Nodes {
		s.node(i)
	}
	return s, nil
}

// Name is the name of node i, from 0.
func (s *Site) Name(i int) string { return "pc" + strconv.Itoa(i+1) }

// Names are all nodes.
func (s *Site) Names() []string {
	names := make([]string, s.opts.Nodes)
	for i := range names {
		names[i] = s.Name(i)
	}
	return names
}

// firstHost is the host part of the first node's address.
const firstHost = 10

// IP is the address of node i.
func (s *Site) IP(i int) netip.Addr {
	base := s.opts.Subnet.Masked().Addr().As4()
	host := binary.BigEndian.Uint32(base[:]) + firstHost + uint32(i)
	binary.BigEndian.PutUint32(base[:], host)
	return netip.AddrFrom4(base)
}

// MAC is the hardware address of node i, of the range for private use.
func (s *Site) MAC(i int) registry.MAC {
	m := registry.MAC{0x02, 0x48, 0x59}
	m[3], m[4], m[5] = byte((i+1)>>16), byte((i+1)>>8), byte(i+1)
	return m
}

func (s *Site) mask() netip.Addr {
	var m [4]byte
	binary.BigEndian.PutUint32(m[:], ^uint32(0)<<(32-s.opts.Subnet.Bits()))
	return netip.AddrFrom4(m)
}

// Machine is what makes node i as a virtual node: identity, the appliance's
// address and the sums of its boot files. The caller adds ports and disk.
func (s *Site) Machine(i int) vnode.Config {
	id := sha256.Sum256([]byte(s.Name(i)))
	return vnode.Config{
		Name: s.Name(i), MAC: s.MAC(i), UUID: [16]byte(id[:16]), IP: s.IP(i),
		Server: vnode.Servers{IP: s.opts.Boss}, Files: BootFileSums(),
	}
}

// Systems that nodes run.
func (s *Site) loaderOS() registry.Ref { return registry.HeadRef(registry.OpsProject, "FRISBEE-MFS") }
func (s *Site) adminOS() registry.Ref  { return registry.HeadRef(registry.OpsProject, "ADMIN-MFS") }
func (s *Site) diskOS() registry.Ref   { return registry.HeadRef(registry.OpsProject, "LINUX-STD") }

// common makes what does not depend on the number of nodes.
func (s *Site) common() {
	f := s.File
	f.Site = &registry.Site{
		Domain: "testbed.example", BossName: "boss", BossIP: s.opts.Boss, FSName: "fs",
		Dirs: registry.SiteDirs{Proj: "/q/proj", Users: "/q/users", Share: "/q/share"},
		Subnets: []registry.Subnet{{
			Prefix: s.opts.Subnet, DHCP: s.opts.DHCP, Server: s.opts.Boss, Domain: "testbed.example",
		}},
		BootFiles: map[string]string{"bios": BIOSFile, "efi-x64": UEFIFile, "efi-arm64": UEFIFile},
		Vars:      map[string]string{"images/frisbee/heartbeat": "5"},
	}
	f.Projects = []registry.Project{
		{ID: registry.OpsProject, Name: "operations", UnixGID: 6000},
		{ID: Project, Name: "Virtual testbed", Leader: "alice", UnixGID: 6001},
	}
	f.Users = []registry.User{
		{ID: "alice", UnixUID: 20001, Name: "Alice", Email: "alice@testbed.example", Shell: "bash", Status: "active", PubKeys: []string{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExampleE alice"}},
		{ID: "bob", UnixUID: 20002, Name: "Bob", Email: "bob@testbed.example", Shell: "tcsh", Status: "active"},
	}
	f.Groups = []registry.Group{{Project: Project, ID: Project, Leader: "alice", UnixName: Project, UnixGID: 6001, Members: []registry.Member{
		{User: "alice", Trust: registry.TrustProjectRoot}, {User: "bob", Trust: "user"},
	}}}
	f.OSes = []registry.OS{
		memoryOS("FRISBEE-MFS", LoaderPath, "RELOAD"),
		memoryOS("ADMIN-MFS", "/tftpboot/freebsd", "PXEFBSD"),
		{Project: registry.OpsProject, Name: "LINUX-STD", Versions: []registry.OSVersion{{
			Family: "Linux", Release: "24.04", OpMode: "NORMALv2", Features: []string{"ping", "ssh", "isup"},
		}}},
	}
	f.Types = []registry.NodeType{{
		Name: NodeType, Class: "pc", Imageable: true,
		DefaultOS: s.diskOS(), LoaderOS: s.loaderOS(), AdminOS: s.adminOS(),
		Attributes: map[string]string{"disktype": "vd", "bootdisk_unit": "a"},
	}}
	f.Experiments = []registry.Experiment{{Project: Project, ID: "demo", Index: 1, Creator: "alice", Swapper: "alice", State: "active"}}
}

func memoryOS(name, path, mode string) registry.OS {
	return registry.OS{Project: registry.OpsProject, Name: name, Versions: []registry.OSVersion{{
		Family: "Linux", Path: path, MFS: true, OpMode: mode, Features: []string{"ping", "ssh", "isup"},
	}}}
}

func (s *Site) image() {
	if s.opts.Image == nil {
		return
	}
	s.File.Images = []registry.Image{{
		Project: registry.OpsProject, Name: "LINUX-STD", Global: true,
		Versions: []registry.ImageVersion{s.opts.Image.Version(s.diskOS())},
	}}
}

// node makes the records of node i.
func (s *Site) node(i int) {
	f, name := s.File, s.Name(i)
	n := registry.Node{ID: name, Type: NodeType, Interfaces: []registry.Interface{
		{Name: "eth0", Role: registry.InterfaceControl, MAC: s.MAC(i), IP: s.IP(i), Mask: s.mask(), Type: "virtio", SpeedMbps: 1000, Duplex: "full"},
		s.experimentPort(i),
	}}
	f.Nodes = append(f.Nodes, n)
	if s.opts.Power != "" {
		s.SetPower(i, s.opts.Power)
	}
	if i >= s.opts.Reserved {
		return
	}
	vname := "node" + strconv.Itoa(i)
	f.Reservations = append(f.Reservations, registry.Reservation{Node: name, Experiment: Experiment, VName: vname, Role: "node"})
	f.Runtimes = append(f.Runtimes, registry.Runtime{Node: name, StartupCmd: "/proj/" + Project + "/start.sh"})
	e := &f.Experiments[0]
	if len(e.Lans) == 0 {
		e.Lans = []registry.Lan{{Name: "lan0", Index: 1}}
	}
	e.Lans[0].Members = append(e.Lans[0].Members, registry.LanMember{VNode: vname, IP: experimentIP(i), Mask: netip.MustParseAddr("255.255.0.0"), Protocol: "ethernet"})
}

// SetPower makes a chassis at a Redfish address switch node i.
func (s *Site) SetPower(i int, url string) {
	s.File.Nodes[i].Power = registry.Power{Driver: "redfish", Address: url, Outlet: s.Name(i)}
}

// experimentIP is in 10.77.0.0/16, which exists in the records only.
func experimentIP(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 77, byte((i + firstHost) >> 8), byte(i + firstHost)})
}

func (s *Site) experimentPort(i int) registry.Interface {
	mac := s.MAC(i)
	mac[2]++
	p := registry.Interface{Name: "eth1", Role: registry.InterfaceExperiment, MAC: mac, Type: "virtio", SpeedMbps: 1000, Duplex: "full", Card: 1}
	if i < s.opts.Reserved {
		p.IP, p.Mask = experimentIP(i), netip.MustParseAddr("255.255.0.0")
	}
	return p
}
