package registry

import "net/netip"

// What few sites use: client services, tunnels, traces, bridges, motes, and
// the hardware that node checks expect.

// ClientService changes how one of the node software's own boot steps runs
// (client_services, virt_client_service_ctl).
type ClientService struct {
	VNode   string `json:"vnode,omitzero"` // empty: all of the experiment
	Name    string `json:"name"`
	Env     string `json:"env"`    // boot or load
	Whence  string `json:"whence"` // first or every
	Enabled bool   `json:"enabled"`
	Hooks   bool   `json:"hooks_enabled"`
	Fatal   bool   `json:"fatal"`
	Blob    string `json:"blob,omitzero"` // id of what is run in its place
}

// ServiceHook is run before or after a client service
// (virt_client_service_hooks).
type ServiceHook struct {
	VNode   string `json:"vnode,omitzero"` // empty: all of the experiment
	Service string `json:"service"`
	Env     string `json:"env"`
	Whence  string `json:"whence"`
	Op      string `json:"op"`    // boot, shutdown, reconfig, reset
	Point   string `json:"point"` // pre or post
	Fatal   bool   `json:"fatal"`
	Blob    string `json:"blob"`
	Argv    string `json:"argv,omitzero"`
}

// Bridge is a port of a node that joins links (bridges).
type Bridge struct {
	Index int    `json:"index"` // ports of one number are one bridge
	Port  string `json:"port"`  // name of the interface
	VNode string `json:"vnode"`
	Link  string `json:"link"`
}

// Trace is a link that a node listens on (traces).
type Trace struct {
	Index   int       `json:"index"`
	Link    string    `json:"link"`
	Ports   [2]string `json:"ports"`          // names of interfaces; the second may be empty
	VNode   string    `json:"vnode,omitzero"` // whose end of the link it is
	Type    string    `json:"type"`           // header, packet, monitor
	Expr    string    `json:"expr,omitzero"`  // as tcpdump reads
	SnapLen int       `json:"snap_len,omitzero"`
}

// HardDisk is a disk that the node checker is to find (blockstores).
type HardDisk struct {
	Serial      string `json:"serial"`
	Type        string `json:"type"`                  // SATA, SAS ...
	SectorBytes int    `json:"sector_bytes,omitzero"` // 0: 512
	Size        string `json:"size"`                  // as the checker prints it
}

// Tunnel is a lan made of IP tunnels (lans, lan_members).
type Tunnel struct {
	ID      int            `json:"id"` // lanid
	Members []TunnelMember `json:"members,omitzero"`
}

// TunnelMember is one node's end; attributes are tunnel_ip, tunnel_peerip and
// so on, in stored order.
type TunnelMember struct {
	ID         int       `json:"id"`
	Node       string    `json:"node"`
	Attributes []Setting `json:"attributes,omitzero"`
}

// NodeText is a text for one virtual node, such as its NSE configuration.
type NodeText struct {
	VNode string `json:"vnode"`
	Text  string `json:"text"`
}

// MoteLog names a mote's log and how to read it (virt_node_motelog).
type MoteLog struct {
	VNode     string `json:"vnode"`
	ID        string `json:"id"`
	ClassFile string `json:"class_file,omitzero"`
	SpecFile  string `json:"spec_file,omitzero"`
}

// PublicAddr is a routable address that the experiment was given
// (virt_address_allocation).
type PublicAddr struct {
	IP   netip.Addr `json:"ip"`
	Mask netip.Addr `json:"mask,omitzero"`
	Node string     `json:"node,omitzero"` // it is on
	Pool string     `json:"pool,omitzero"`
}

// HWCollect says what a node's memory file system collects of its hardware.
// Without a folder it collects nothing, and is told nothing.
type HWCollect struct {
	OutDir string `json:"out_dir,omitzero"`
	// IntervalHours is between two collections of one node; 0: each boot.
	IntervalHours int         `json:"interval_hours,omitzero"`
	Commands      []HWCommand `json:"commands,omitzero"`
}

// HWCommand is one command whose output is kept.
type HWCommand struct {
	OS   string `json:"os"` // that it is for
	Name string `json:"name"`
	Line string `json:"line"`
}
