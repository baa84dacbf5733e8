package registry

import (
	"net/netip"
	"time"
)

// Site is what holds for the whole installation. There is one.
type Site struct {
	Domain   string     `json:"domain,omitzero"`
	BossName string     `json:"boss_name,omitzero"` // name that nodes know the appliance by
	BossIP   netip.Addr `json:"boss_ip,omitzero"`   // its address on the control net
	FSName   string     `json:"fs_name,omitzero"`   // file server, for mounts
	Dirs     SiteDirs   `json:"dirs,omitzero"`
	// NewNodeOS is the memory file system that unknown machines boot.
	NewNodeOS Ref      `json:"new_node_os,omitzero"`
	Subnets   []Subnet `json:"subnets,omitzero"`
	// BootFiles names the network boot program by client class ("bios",
	// "efi-x64", "efi-arm64", "ipxe", "http-x64" ...), for nodes and types
	// that name none.
	BootFiles map[string]string `json:"boot_files,omitzero"`
	// Vars are Emulab's site variables, each with its value in effect.
	Vars map[string]string `json:"vars,omitzero"`
	// WebBase is the URL of the web server that remote nodes load images
	// from.
	WebBase string `json:"web_base,omitzero"`
	// RootKeys are public keys of root beyond the site's own, as those of
	// an outer testbed.
	RootKeys  []string         `json:"root_keys,omitzero"`
	Servers   []Server         `json:"servers,omitzero"`
	Firewalls FirewallDefaults `json:"firewall_defaults,omitzero"`
	HWCollect HWCollect        `json:"hardware_collection,omitzero"`
}

// SiteDirs are exported directories of the file server.
type SiteDirs struct {
	Proj    string `json:"proj,omitzero"`
	Groups  string `json:"groups,omitzero"`
	Users   string `json:"users,omitzero"`
	Share   string `json:"share,omitzero"`
	Scratch string `json:"scratch,omitzero"`
	// ExptWork is a folder of this machine in which <pid>/<eid>/ holds the
	// maps that the experiment's mapper made: topomap.gz and others.
	ExptWork string `json:"expt_work,omitzero"`
}

// DHCP modes of a subnet.
const (
	DHCPOff   = "off"   // say nothing; also what an empty mode means
	DHCPProxy = "proxy" // boot information only, another server gives addresses
	DHCPServe = "serve" // addresses and boot information
)

// Subnet is one network on which machines boot.
type Subnet struct {
	Prefix    netip.Prefix `json:"prefix"`
	DHCP      string       `json:"dhcp,omitzero"` // DHCPOff, DHCPProxy or DHCPServe
	Router    netip.Addr   `json:"router,omitzero"`
	DNS       []netip.Addr `json:"dns,omitzero"`
	NTP       []netip.Addr `json:"ntp,omitzero"`
	Domain    string       `json:"domain,omitzero"`
	LeaseSecs int          `json:"lease_secs,omitzero"` // 0: 36000, as Emulab's template
	// RangeFirst and RangeLast bound the addresses for machines that have
	// no reservation. Without them such machines get none.
	RangeFirst netip.Addr `json:"range_first,omitzero"`
	RangeLast  netip.Addr `json:"range_last,omitzero"`
	// Server is the appliance's own address there, for server identifier
	// and next server. Zero: the site's BossIP.
	Server netip.Addr `json:"server,omitzero"`
}

// NodeType is what machines of one make share. Attributes hold the long tail
// of Emulab's node_type_attributes; a node's own attributes override them.
type NodeType struct {
	Name       string            `json:"name"`
	Class      string            `json:"class"` // pc, pcvm, switch ...
	Virtual    bool              `json:"virtual,omitzero"`
	Remote     bool              `json:"remote,omitzero"`
	Jailed     bool              `json:"jailed,omitzero"`
	Dynamic    bool              `json:"dynamic,omitzero"`
	Subnode    bool              `json:"subnode,omitzero"` // a part of its host, such as a mote
	Imageable  bool              `json:"imageable,omitzero"`
	DefaultOS  Ref               `json:"default_os,omitzero"`
	LoaderOS   Ref               `json:"loader_os,omitzero"` // disk loader MFS
	AdminOS    Ref               `json:"admin_os,omitzero"`
	Attributes map[string]string `json:"attributes,omitzero"`
	// TimeoutSecs overrides state time-outs, by "MODE/STATE": slow firmware
	// needs longer ones.
	TimeoutSecs map[string]int `json:"timeout_secs,omitzero"`
}

// Roles of nodes.
const (
	RoleTestNode = "testnode"
	RoleVirtNode = "virtnode"
	RoleCtrlNode = "ctrlnode"
)

// Node is one machine, real or virtual.
type Node struct {
	ID         string            `json:"id"`
	UUID       string            `json:"uuid,omitzero"`
	Type       string            `json:"type"`
	Role       string            `json:"role,omitzero"` // empty: RoleTestNode
	Host       string            `json:"host,omitzero"` // the machine a virtual node runs on
	Interfaces []Interface       `json:"interfaces,omitzero"`
	Virtual    []VirtInterface   `json:"virtual_interfaces,omitzero"`
	Power      Power             `json:"power,omitzero"`
	Attributes map[string]string `json:"attributes,omitzero"`
	JailIP     netip.Addr        `json:"jail_ip,omitzero"`
	Jailed     bool              `json:"jailed,omitzero"`
	SSHDPort   int               `json:"sshd_port,omitzero"`
	// Subbosses names the node that serves this one in the appliance's
	// place, by service: "tftp", "dhcp", "frisbee".
	Subbosses map[string]string `json:"subbosses,omitzero"`
	// ServiceAttrs configure what a subboss itself serves, by service and
	// name: frisbee, interface.
	ServiceAttrs map[string]map[string]string `json:"service_attributes,omitzero"`
	NTP          []NTPServer                  `json:"ntp,omitzero"` // empty: ntp1 of the site's domain
	Console      Console                      `json:"console,omitzero"`
	Delays       []Delay                      `json:"delays,omitzero"`
	LinkDelays   []LinkDelay                  `json:"link_delays,omitzero"`
	Bridges      []Bridge                     `json:"bridges,omitzero"`
	Traces       []Trace                      `json:"traces,omitzero"`
	HardDisks    []HardDisk                   `json:"hard_disks,omitzero"`
	// WideAreaKey identifies a node that has no fixed address (PRIVKEY).
	WideAreaKey string `json:"widearea_key,omitzero"`
	// BootPath overrides the boot file of DHCP; NextBootPath once.
	BootPath string `json:"boot_path,omitzero"`
}

// Interface roles. The control interface is the one a node boots from.
const (
	InterfaceControl      = "ctrl"
	InterfaceOuterControl = "outer_ctrl"
	InterfaceExperiment   = "expt"
)

// Interface is one network port of a node.
type Interface struct {
	Name      string     `json:"name"` // eth0
	Role      string     `json:"role"`
	MAC       MAC        `json:"mac,omitzero"`
	IP        netip.Addr `json:"ip,omitzero"`
	Mask      netip.Addr `json:"mask,omitzero"` // 255.255.255.0
	Type      string     `json:"type,omitzero"` // igb, ixgbe ...
	SpeedMbps int        `json:"speed_mbps,omitzero"`
	Duplex    string     `json:"duplex,omitzero"`
	Card      int        `json:"card,omitzero"`
	Port      int        `json:"port,omitzero"`
	RouteTab  int        `json:"route_table,omitzero"`
	// Autoneg says that this kind of port works only with autonegotiation:
	// nodes are told speed 0.
	Autoneg  bool              `json:"force_autonegotiation,omitzero"`
	Settings map[string]string `json:"settings,omitzero"`
}

// VirtInterface is an encapsulated or shared port on a host (vinterfaces).
type VirtInterface struct {
	Unit       int        `json:"unit"`
	Type       string     `json:"type"` // vlan, veth, alias, loop
	MAC        MAC        `json:"mac,omitzero"`
	IP         netip.Addr `json:"ip,omitzero"`
	Mask       netip.Addr `json:"mask,omitzero"`
	Parent     string     `json:"parent,omitzero"` // name of the port below
	RouteTab   int        `json:"route_table,omitzero"`
	VNode      string     `json:"vnode,omitzero"` // node that uses it
	Experiment string     `json:"experiment,omitzero"`
	LanIndex   int        `json:"lan_index,omitzero"` // virtlanidx
	VLAN       int        `json:"vlan,omitzero"`      // id in Experiment.VLANs
	// Current bandwidth and similar values appear in no reply of today.
}

// Power says how a node's power is switched.
type Power struct {
	Driver  string `json:"driver,omitzero"`  // redfish, exec ...
	Address string `json:"address,omitzero"` // URL, host or command, by driver
	Outlet  string `json:"outlet,omitzero"`
	User    string `json:"user,omitzero"`
	// SecretFile holds the password; secrets do not live in the registry.
	SecretFile string `json:"secret_file,omitzero"`
	// Insecure accepts any certificate: management controllers come with
	// certificates of their own making.
	Insecure bool `json:"insecure,omitzero"`
}

// OS is an operating system's versions, oldest first; the last is the head.
type OS struct {
	Project  string      `json:"project"`
	Name     string      `json:"name"`
	LegacyID int         `json:"legacy_id,omitzero"` // Emulab's osid
	Versions []OSVersion `json:"versions"`
}

// OSVersion is one published version, immutable once used.
type OSVersion struct {
	Version  int      `json:"version"`
	Family   string   `json:"family"`            // Linux, FreeBSD ...
	Release  string   `json:"release,omitzero"`  // 20.04
	Path     string   `json:"path,omitzero"`     // MFS or multiboot path
	MFS      bool     `json:"mfs,omitzero"`      // Path is a memory file system
	Features []string `json:"features,omitzero"` // ping, ssh, ipod, isup ...
	OpMode   string   `json:"op_mode"`
	NextOS   Ref      `json:"next_os,omitzero"` // generic -> concrete
	// RebootSecs is how long a reboot may take.
	RebootSecs int `json:"reboot_secs,omitzero"`
}

// Image is a disk image's versions, oldest first; the last is the head.
type Image struct {
	Project  string         `json:"project"`
	Group    string         `json:"group,omitzero"` // empty: same as Project
	Name     string         `json:"name"`
	LegacyID int            `json:"legacy_id,omitzero"`
	Global   bool           `json:"global,omitzero"` // every project may load it
	Versions []ImageVersion `json:"versions"`
}

// ImageVersion is one published content.
type ImageVersion struct {
	Version    int    `json:"version"`
	Path       string `json:"path"`                // file served by multicast
	Format     string `json:"format,omitzero"`     // empty: ndz
	LoadPart   int    `json:"load_part"`           // 0 whole disk, else slot
	LoadLength int    `json:"load_length"`         // number of slots written
	BootPart   int    `json:"boot_part,omitzero"`  // slot of BootOS in a whole-disk image
	BootOS     Ref    `json:"boot_os,omitzero"`    // system it boots
	Partitions []Slot `json:"partitions,omitzero"` // which system each slot holds
	MBRVersion int    `json:"mbr_version,omitzero"`
	SizeBytes  int64  `json:"size_bytes,omitzero"` // of the file
	SHA256     string `json:"sha256,omitzero"`
	AccessKey  string `json:"access_key,omitzero"` // lets remote nodes load it from the web
	LBALow     int64  `json:"lba_low,omitzero"`
	LBAHigh    int64  `json:"lba_high,omitzero"`
	LBASize    int    `json:"lba_size,omitzero"` // bytes of a sector
	Relocs     bool   `json:"relocatable,omitzero"`
	// Updated is when the content last changed (IMAGEMTIME).
	Updated time.Time `json:"updated,omitzero"`
	// UploadedBy is the node that wrote it, empty if an operator did.
	UploadedBy string `json:"uploaded_by,omitzero"`
}

// Slot is a partition number with the system in it.
type Slot struct {
	Slot int `json:"slot"`
	OS   Ref `json:"os"`
}
